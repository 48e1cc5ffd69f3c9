import t from 'tap'
import { freshRedis } from '../support/services.ts'
import { admit, DEATHS, type Death, type Person } from './people.ts'
import { everywhere, expected, freshRomm, startReplicas, type Replica } from './support.ts'
import { askAll, untilRefused, Witness } from './witness.ts'

const romm = await freshRomm(t)
const { state } = romm.standin
/** Milliseconds for which C and D count what RomM said. */
const TTL = 1_000
// A and B would count it for ten minutes: whoever refuses before that was told.
const replicas = await startReplicas(
  t,
  { 'upstream.url': romm.standin.url, 'redis.url': (await freshRedis(t)).url },
  [{ 'ask.ttl': '10m' }, { 'ask.ttl': '10m' }, { 'ask.ttl': `${TTL}ms` }, { 'ask.ttl': `${TTL}ms` }],
)
const [a, b, c, d] = replicas

/** RomM lets the sessions live, and here it alone is asked. */
const PASSWORD: Death = { ...DEATHS.password, dead: ['basic'] }

/** What RomM alone knows is that a token is good: which scopes it has, it decides itself. */
const DEFERRED: Death = { ...DEATHS.permissions, dead: ['session', 'basic', 'jwt'] }

async function questions(act: () => Promise<unknown>): Promise<number> {
  romm.standin.forget()
  await act()
  return romm.standin.questions
}

t.test('what RomM said to one replica, the others need not ask', async (t) => {
  const person = await admit(romm)
  t.equal(
    await questions(() => everywhere([a], person)),
    4,
    'one for each credential; a token is one, however it comes',
  )
  t.equal(await questions(() => everywhere([b], person)), 1, 'passwords stay in the process')
  t.equal(await questions(() => everywhere([a, b], person)), 0)
})

const SEEN: readonly Death[] = [
  DEATHS['token deleted'],
  DEATHS['token renewed'],
  DEATHS.logout,
  DEATHS.disabled,
  PASSWORD,
  DEATHS.renamed,
  DEATHS.deleted,
  DEFERRED,
]

for (const death of SEEN) {
  t.test(`${death.title}: what RomM said before counts nowhere once A has answered`, async (t) => {
    const [person, unknown, bystander] = [await admit(romm), await admit(romm), await admit(romm)]
    await everywhere(replicas, person)
    // B has never seen this one: only what A shared could let it in.
    await everywhere([a], unknown)
    for (const dying of [person, unknown]) {
      const answer = await a.ask(...death.request(dying))
      const after = await everywhere(replicas, dying)
      t.ok(answer.status < 300, answer.text)
      t.same(after, expected(replicas, death.dead, death.status))
    }
    t.same(await everywhere(replicas, bystander), expected(replicas, [], 0))
    t.equal(await a.metric('postern_changes_unacknowledged_total'), 0)
  })
}

t.test('what is changed behind the gateways is noticed within ask.ttl', async (t) => {
  const witness = new Witness()
  const die = async (person: Person, death: Death, known: readonly Replica[]): Promise<void> => {
    await askAll(witness, known, [person])
    const change = async (): Promise<void> => void (await death.change(state, person))
    await witness.dies(person, death, change, () => TTL)
    await untilRefused(witness, [c, d], person, death)
    t.pass(death.title)
  }
  const deaths = [DEATHS['token deleted'], DEATHS.logout, DEATHS.disabled, PASSWORD, DEFERRED]
  for (const known of [[c, d], [c]])
    await Promise.all(deaths.map(async (death) => die(await admit(romm), death, known)))
  t.same(witness.faults(), [])
  t.same(Object.keys(witness.statuses()).sort(), ['200', '401', '403'])
})
