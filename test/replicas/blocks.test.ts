/** A block holds on every replica, open sockets included, until it is over or lifted. */
import { once } from 'node:events'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { serve, sets } from '../cli/processes.ts'
import { ask, type Answer } from '../support/romm/ask.ts'
import { freshProxy } from '../support/proxy.ts'
import { freshRedis } from '../support/services.ts'
import { admit, MODES, type Mode, type Person } from './people.ts'
import {
  cutOff,
  eventually,
  everywhere,
  expected,
  freshRomm,
  joined,
  ladderOf,
  type Replica,
  startReplicas,
} from './support.ts'

const romm = await freshRomm(t)
const shared = await freshRedis(t)
/** Between C and the Redis that all of them share. */
const wire = await freshProxy(t, shared.port)
const settings = {
  'upstream.url': romm.standin.url,
  'redis.url': shared.url,
  trustedProxies: '["127.0.0.1"]',
  // Whoever refuses sooner was told.
  'cache.revalidate': '5m',
  ...ladderOf(romm),
}
const replicas = await startReplicas(t, settings, [{}, {}, { 'redis.url': `redis://127.0.0.1:${wire.port}` }])
const [a, b, c] = replicas
const bystander = await admit(romm)

async function say(
  { admin }: Pick<Replica, 'admin'>,
  method: 'POST' | 'DELETE',
  block: { readonly kind: string; readonly what: string; readonly for?: number },
): Promise<Answer> {
  const { kind, what } = block
  if (method === 'DELETE') return ask(admin, `/blocks/${kind}/${encodeURIComponent(what)}`, { method })
  const headers = { 'content-type': 'application/json' }
  return ask(admin, '/blocks', { method, headers, body: JSON.stringify({ for: 3_600_000, ...block }) })
}

interface Shown {
  readonly user?: string
  readonly mode: string
  readonly session?: string
}

/** What `who` calls somebody's session. */
async function sessionOf({ admin }: Replica, { name }: Person): Promise<string> {
  const seen = JSON.parse((await ask(admin, '/who')).text) as readonly Shown[]
  return seen.find(({ user, mode }) => user === name && mode === 'session')?.session ?? ''
}

const TOKENS: readonly Mode[] = ['token as password', 'token']
const CASES: readonly (readonly [
  kind: string,
  dead: readonly Mode[],
  whatOf: (person: Person) => string | Promise<string>,
])[] = [
  ['user', MODES, ({ name }) => name.toUpperCase()],
  ['token', TOKENS, ({ tokenId }) => String(tokenId)],
  ['session', ['session'], (person) => sessionOf(a, person)],
]

for (const [kind, dead, whatOf] of CASES) {
  t.test(
    `a ${kind} that is blocked through A is refused by all, sockets included, and let in again`,
    async (t) => {
      const person = await admit(romm)
      t.same(await everywhere(replicas, person), expected(replicas, [], 0), 'all are known')
      const sockets = await Promise.all(dead.map((mode) => b.socket(person.as[mode])))
      const witness = await b.socket(bystander.as.session)
      const closed = Promise.all(sockets.map((socket) => once(socket, 'close')))
      const what = await whatOf(person)
      const { status, text } = await say(a, 'POST', { kind, what })
      t.equal(status, 200, text)
      t.match(JSON.parse(text), { block: { kind }, reach: { told: 2, missed: 0 } })
      t.same(await everywhere(replicas, person), expected(replicas, dead, 403))
      await closed
      const echo = once(witness, 'message')
      witness.send('still there?')
      await echo
      t.same(await everywhere(replicas, bystander), expected(replicas, [], 0), 'the others live')
      t.equal((await say(c, 'DELETE', { kind, what })).status, 200)
      t.same(await everywhere(replicas, person), expected(replicas, [], 0), 'and live again')
      t.equal((await say(b, 'DELETE', { kind, what })).status, 404)
    },
  )
}

const from = (address: string) => ({ headers: { ...bystander.as.token, 'x-forwarded-for': address } })

t.test('an address that is blocked is refused whatever it asks for, and no other is', async (t) => {
  const statuses = async (path: string, address: string): Promise<number[]> =>
    Promise.all(replicas.map(async (replica) => (await replica.ask(path, from(address))).status))
  const socket = await b.socket(from('203.0.113.7').headers)
  const closed = once(socket, 'close')
  t.equal((await say(a, 'POST', { kind: 'address', what: '203.0.113.0/24' })).status, 200)
  for (const path of ['/api/roms', '/api/heartbeat', '/-/postern/me', '/api/nowhere'])
    t.same(await statuses(path, '203.0.113.7'), [403, 403, 403], path)
  await closed
  t.same(await statuses('/api/roms', '203.0.114.7'), [200, 200, 200])
  t.match(await b.ask('/api/roms', from('203.0.113.9')), {
    status: 403,
    headers: { 'postern-reason': 'blocked' },
  })
  await say(a, 'DELETE', { kind: 'address', what: '203.0.113.0/24' })
  t.same(await statuses('/api/roms', '203.0.113.7'), [200, 200, 200])
})

t.test('a block ends by itself', async (t) => {
  const { name, as } = await admit(romm)
  const statuses = () => Promise.all(replicas.map((replica) => replica.status(as.token)))
  await say(a, 'POST', { kind: 'user', what: name, for: 4_000 })
  t.same(await statuses(), [403, 403, 403])
  await eventually('it is over', async () => (await statuses()).join() === '200,200,200')
})

/** Every replica has been told, or has read. */
const all = (what: string, person: Person, dead: readonly Mode[]) =>
  eventually(what, async () => {
    const found = await everywhere(replicas, person)
    return JSON.stringify(found) === JSON.stringify(expected(replicas, dead, 403))
  })

t.test('while Redis is away what is known holds, and afterwards everybody knows everything', async (t) => {
  const [early, late, own, freed] = [
    await admit(romm),
    await admit(romm),
    await admit(romm),
    await admit(romm),
  ]
  for (const person of [early, freed]) await say(a, 'POST', { kind: 'user', what: person.name })
  wire.cut()
  await cutOff(c)
  t.same(await everywhere([c], early), expected([c], MODES, 403), 'what C knew')
  await say(a, 'POST', { kind: 'user', what: late.name })
  await say(a, 'DELETE', { kind: 'user', what: freed.name })
  await say(c, 'POST', { kind: 'user', what: own.name })
  t.same(await everywhere([c], own), expected([c], MODES, 403), 'C refuses at once')
  t.same(await everywhere([a], own), expected([a], [], 0), 'which A was not told')
  t.same(await everywhere([c], late), expected([c], [], 0), 'nor C of the other')
  wire.resume()
  await joined(c, 2)
  await all('C has read what A marked', late, MODES)
  await all('C has read what A lifted', freed, [])
  t.same(await everywhere([c], early), expected([c], MODES, 403))
  await t.test(
    'who comes later reads what C wrote there, and A what it lacks when it next joins',
    async (t) => {
      await held(t, [early, late, own], [freed])
    },
  )
})

/** A replica that was not there knows them before it is ready. */
async function held(t: Test, blocked: readonly Person[], free: readonly Person[]): Promise<void> {
  const options = sets({ 'assertion.enabled': 'false', 'cache.secret': 'what the replicas share' })
  const [, ...rest] = Object.entries(settings).filter(([name]) => name !== 'trustedProxies')
  const newcomer = await serve(t, [
    ...sets(Object.fromEntries(rest)),
    ...options,
    '--upstream',
    romm.standin.url,
  ])
  const first = async (person: Person): Promise<number> =>
    (await ask(newcomer.port, '/api/roms', { headers: person.as.token })).status
  for (const person of blocked) t.equal(await first(person), 403, person.name)
  for (const person of free) t.equal(await first(person), 200, person.name)
}

t.test('what others write into Redis blocks nobody, and what they delete there is not lost', async (t) => {
  const person = await admit(romm)
  const redis = new Redis(shared.url)
  t.teardown(() => redis.disconnect())
  const [key = ''] = await redis.keys('postern:marks:*')
  const mark = { kind: 'user', what: bystander.name, at: Date.now(), until: Date.now() + 1e9, lifted: false }
  await say(a, 'POST', { kind: 'user', what: person.name })
  const sealed = (await redis.hget(key, `user ${person.name}`)) ?? ''
  await redis.hset(key, `user ${bystander.name}`, JSON.stringify(mark))
  await redis.hset(key, `user moved`, sealed)
  await redis.hdel(key, `user ${person.name}`)
  wire.cut()
  await cutOff(c)
  wire.resume()
  await joined(c, 2)
  t.same(await everywhere(replicas, bystander), expected(replicas, [], 0), 'nobody signed it')
  t.same(await everywhere(replicas, person), expected(replicas, MODES, 403), 'C knew it still')
  await eventually('and wrote it again', async () => (await redis.hexists(key, `user ${person.name}`)) === 1)
})
