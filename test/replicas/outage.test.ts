import t from 'tap'
import { databaseSettings } from '../support/gateway.ts'
import { freshProxy } from '../support/proxy.ts'
import { freshRedis } from '../support/services.ts'
import { admit, admitAll, DEATHS, MODES, type Death, type Person } from './people.ts'
import {
  BOUND,
  eventually,
  everywhere,
  expected,
  freshRomm,
  ladderOf,
  QUICK,
  startReplicas,
  type Replica,
} from './support.ts'
import { askAll, untilRefused, Witness } from './witness.ts'

/** Milliseconds for which what is known counts while its source is away. */
const STALE = 1_000
const romm = await freshRomm(t)
const { state } = romm.standin
/** Between A and the database; between both and RomM's Redis; between both and RomM. */
const database = await freshProxy(t, romm.reader.port)
const sessions = await freshProxy(t, romm.redis.port)
const upstream = await freshProxy(t, romm.standin.port)
const replicas = await startReplicas(
  t,
  {
    'upstream.url': `http://127.0.0.1:${upstream.port}`,
    'redis.url': (await freshRedis(t)).url,
    ...ladderOf(romm),
    'romm.redis.url': `redis://127.0.0.1:${sessions.port}`,
    ...QUICK,
    'cache.staleIfError': `${STALE}ms`,
  },
  [databaseSettings({ ...romm.reader, port: database.port }), {}],
)
const [a, b] = replicas

/** RomM is asked about somebody, since nothing that is known counts any longer. */
async function asks(replica: Replica, person: Person): Promise<void> {
  await eventually(`${replica.name} asks RomM`, async () => {
    romm.standin.forget()
    await everywhere([replica], person)
    return romm.standin.questions > 0
  })
}

const DYING: readonly Death[] = [
  DEATHS['token deleted'],
  DEATHS.logout,
  DEATHS.disabled,
  DEATHS.deleted,
  // Whose sessions live on at RomM, which is asked.
  { ...DEATHS.password, dead: ['basic'] },
]

/** Somebody dies in each way through one replica, and both refuse from its very answer on. */
async function dieThrough(through: Replica, witness: Witness): Promise<void> {
  const people = await admitAll(romm, DYING.length)
  await askAll(witness, replicas, people)
  for (const [i, death] of DYING.entries()) {
    for (const person of people.slice(i, i + 1)) {
      const act = (): Promise<unknown> => through.ask(...death.request(person))
      await witness.dies(person, death, act, () => 0)
      await untilRefused(witness, replicas, person, death)
    }
  }
}

t.test('A, whose database is away, asks RomM, and is told what changes elsewhere', async (t) => {
  const witness = new Witness()
  const [known, dying] = [await admit(romm), await admit(romm)]
  await askAll(witness, replicas, [known, dying])
  database.cut()
  await askAll(witness, replicas, [known])
  await asks(a, known)
  await askAll(witness, replicas, [known, await admit(romm)])
  await dieThrough(b, witness)
  await dieThrough(a, witness)
  // Behind both: what A knows from before counts for its time, and what RomM says for its own.
  const change = async (): Promise<void> => {
    state.disableUser(dying.name)
    await romm.store.save()
  }
  await witness.dies(dying, DEATHS.disabled, change, (name) => (name === 'A' ? BOUND + STALE : BOUND))
  await untilRefused(witness, replicas, dying, DEATHS.disabled)
  database.resume()
  await eventually('A asks RomM no more', async () => {
    romm.standin.forget()
    await askAll(witness, [a], [known])
    return romm.standin.questions === 0
  })
  t.same(witness.faults(), [])
  t.equal(await a.metric('postern_changes_unacknowledged_total'), 0)
  t.equal(await b.metric('postern_changes_unacknowledged_total'), 0)
})

t.test(
  'without RomM’s Redis both ask about sessions, and a logout through one counts for both',
  async (t) => {
    const witness = new Witness()
    const known = await admit(romm)
    await askAll(witness, replicas, [known])
    sessions.cut()
    await asks(a, known)
    await asks(b, known)
    await dieThrough(a, witness)
    await dieThrough(b, witness)
    await askAll(witness, replicas, [known])
    sessions.resume()
    t.same(witness.faults(), [])
  },
)

t.test('with everything away nobody is refused, and nobody who died is let in afterwards', async (t) => {
  const [known, dead] = await admitAll(romm, 2)
  if (known === undefined || dead === undefined) return
  await everywhere(replicas, known)
  await b.ask(...DEATHS.disabled.request(dead))
  for (const wire of [database, sessions, upstream]) wire.cut()
  await eventually('A cannot check', async () => {
    const statuses = Object.values(await everywhere([a], known))
    // What is known is let through to a RomM that is not there.
    t.same(
      statuses.filter((status) => status !== 502 && status !== 503),
      [],
    )
    return statuses.every((status) => status === 503)
  })
  t.same(await everywhere([a], dead), Object.fromEntries(MODES.map((mode) => [`A ${mode}`, 503])))
  // B has its database.
  t.match(await everywhere([b], known), { 'B basic': 502, 'B jwt': 502, 'B token': 502, 'B session': 503 })
  for (const wire of [database, sessions, upstream]) wire.resume()
  const alive = expected(replicas, [], 0)
  await eventually('everybody is back', async () => {
    const found = await everywhere(replicas, known)
    t.notOk(Object.values(found).some((status) => status === 401 || status === 403))
    return Object.entries(alive).every(([who, status]) => found[who] === status)
  })
  t.same(await everywhere(replicas, dead), expected(replicas, MODES, 401))
})
