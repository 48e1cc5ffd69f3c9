/** Workers are replicas to each other: with Redis through it, without it through the process that started them. */
import { join } from 'node:path'
import t from 'tap'
import { generateKey } from '../../src/assertion/keys.ts'
import { freshFolder } from '../cli/processes.ts'
import { freshRedis } from '../support/services.ts'
import { admit, DEATHS, MODES, type Death, type Mode, type Person } from '../replicas/people.ts'
import { eventually, freshRomm, ladderOf } from '../replicas/support.ts'
import { serveTogether, TOLD_ONLY, type Client, type Workers } from './support.ts'

const romm = await freshRomm(t)
const GENEROUS = { 'ask.rate': '100000', 'ask.ratePerAddress': '100000', 'attempts.perAddress': '100000' }
const COMMON = { ...TOLD_ONLY, ...GENEROUS, 'upstream.url': romm.standin.url }
const redis = await freshRedis(t)

// With Redis somebody else might be making a key.
const keys = join(await freshFolder(t), 'keys')
await generateKey(keys, 'EdDSA', Date.now())

async function together(settings: Record<string, string>): Promise<Workers> {
  const workers = await serveTogether(t, { ...COMMON, ...settings })
  await eventually('each hears the other', async () => (await workers.metric('postern_replicas')) === 1)
  return workers
}

const alone = await together(ladderOf(romm))
const WAYS = [
  { name: 'without Redis', workers: alone },
  { name: 'without Redis, where RomM is asked', workers: await together({}) },
  {
    name: 'with Redis',
    workers: await together({
      ...ladderOf(romm),
      'redis.url': redis.url,
      'cache.secret': 'of the replicas',
      'keys.folder': keys,
    }),
  },
]

/** What RomM itself would go on taking is another matter where it alone is asked. */
const SEEN: readonly Death[] = [DEATHS['token deleted'], DEATHS.logout, DEATHS.disabled, DEATHS.deleted]

async function statuses(
  clients: readonly Client[],
  { as }: Person,
  modes: readonly Mode[] = MODES,
): Promise<number[]> {
  return Promise.all(clients.flatMap((client) => modes.map((mode) => client.status(as[mode]))))
}

for (const { name, workers } of WAYS) {
  for (const death of SEEN) {
    t.test(`${name}, ${death.title} is refused by every worker before the answer`, async (t) => {
      const clients = await workers.clients()
      for (const through of clients) {
        const person = await admit(romm)
        t.strictSame(new Set(await statuses(clients, person)), new Set([200]), 'known to both')
        const answer = await through.ask(...death.request(person))
        t.ok(answer.status < 300, `through worker ${through.worker}: ${answer.status}`)
        t.strictSame(
          new Set(await statuses(clients, person, death.dead)),
          new Set([death.status]),
          'refused by both',
        )
      }
    })
  }
}

t.test('a session that one worker saw is tied to its user for all of them', async (t) => {
  const [one, two] = await alone.clients()
  const person = await admit(romm)
  t.equal(await one.status(person.as.session), 200)
  const { request } = DEATHS.password
  t.ok((await one.ask(...request(person))).status < 300)
  // RomM lets it live, and this worker has never seen it.
  t.equal(await two.status(person.as.session), 401)
})

t.test('guesses are counted by all workers together', async (t) => {
  const guessing = await together({ ...ladderOf(romm), 'attempts.perUserAndAddress': '3' })
  const [one, two] = await guessing.clients()
  const { name } = await admit(romm)
  const guess = (client: Client, password: string): Promise<number> =>
    client.status({ authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` })
  for (const password of ['a', 'b', 'c']) t.equal(await guess(one, password), 401, password)
  t.equal(await guess(two, 'd'), 401, 'one is still looked at')
  t.equal(await guess(two, 'e'), 429)
  t.equal(await guess(one, 'f'), 429)
})

t.test('every worker signs with the same key', async (t) => {
  const kids = await Promise.all(
    (await alone.clients()).map(async (client) => {
      const { text } = await client.ask('/.well-known/postern/jwks.json')
      return (JSON.parse(text) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid)
    }),
  )
  t.equal(kids[0]?.length, 1)
  t.same(kids[0], kids[1])
})
