import type { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { connectRedis, settled } from '../../src/directory/redis.ts'
import { createSharedTier, type SharedTierOptions } from '../../src/directory/shared.ts'
import type { SharedTier } from '../../src/directory/shared.ts'
import { virtualClock } from '../support/clock.ts'
import { freshRedis, redisUrl } from '../support/services.ts'
import type { Server } from '../support/services/server.ts'
import { FRESH, type Row } from './source.ts'

const SECRET = Buffer.from('a secret that replicas share')

/** Connected as in service. */
async function connectTo(t: Test, address: { host: string; port: number }): Promise<Redis> {
  const redis = connectRedis({ ...address, db: 0, tls: false }, 'test', () => undefined)
  t.teardown(() => redis.disconnect())
  await settled(redis)
  return redis
}

const GENERATION = 'g'

/** Resolves at the next one, whatever errors come before it. */
function event(redis: Redis, name: 'close' | 'ready'): Promise<void> {
  return new Promise((resolve) => redis.once(name, resolve))
}

interface Stage {
  readonly redis: Redis
  readonly prefix: string
  readonly clock: ReturnType<typeof virtualClock>
  /** Another replica, or another installation. */
  readonly tier: (options?: Partial<SharedTierOptions<Row>>) => SharedTier<Row>
}

async function stage(t: Test, server?: Server): Promise<Stage> {
  const { hostname, port } = new URL(server?.url ?? (await redisUrl()))
  const redis = await connectTo(t, { host: hostname, port: Number(port) })
  const prefix = `postern:test:${t.name}:`
  // Expiries are compared with this clock, and Redis keeps time of its own: here both stand still together.
  const clock = virtualClock(Date.now())
  const tier: Stage['tier'] = (options) =>
    createSharedTier<Row>({
      redis,
      clock,
      secret: SECRET,
      prefix,
      generation: () => GENERATION,
      freshFor: FRESH,
      parse: rowOf,
      serialize: (row) => row,
      ...options,
    })
  return { redis, prefix, clock, tier }
}

function rowOf(json: unknown): Row | undefined {
  return typeof json === 'object' && json !== null && 'word' in json && typeof json.word === 'string'
    ? { word: json.word }
    : undefined
}

/** Redis answers in order: once this has, what was put before it is there. */
async function putAndWait(redis: Redis, tier: SharedTier<Row>, key: string, row: Row, ttl = FRESH) {
  tier.put(key, row, ttl, GENERATION)
  await redis.ping()
}

t.test('what one replica puts another gets, with its age', async (t) => {
  const { redis, tier, clock } = await stage(t)
  const row = { word: 'a.b.c – ünï "quoted"' }
  await putAndWait(redis, tier(), 'k', row, 2_000)
  const found = await tier().get('k', GENERATION)
  t.same(found?.value, row)
  t.ok(found !== undefined && found.age >= 1_000 && found.age < 2_000, 'a third of its life had passed')
  clock.jump(500)
  const older = await tier().get('k', GENERATION)
  t.ok(older !== undefined && older.age >= 1_500, 'the signed expiry counts where it says less')
  clock.jump(1_500)
  t.equal(await tier().get('k', GENERATION), undefined)
  t.equal(await tier().get('other', GENERATION), undefined)
})

t.test('a writer whose clock is ahead prolongs nothing', async (t) => {
  const { redis, tier, clock } = await stage(t)
  const ahead = virtualClock(clock.now() + 60_000)
  await putAndWait(redis, tier({ clock: ahead }), 'k', { word: 'w' }, 1_000)
  const found = await tier().get('k', GENERATION)
  t.ok(found !== undefined && found.age >= 2_000, "Redis' own time counts where it says less")
})

t.test('a replica that lets answers live longer does not make them younger here', async (t) => {
  const { redis, tier } = await stage(t)
  await putAndWait(redis, tier({ freshFor: 60_000 }), 'k', { word: 'w' }, 2_000)
  t.equal(await tier().get('k', GENERATION), undefined)
})

t.test('an entry that is none of ours counts for nothing', async (t) => {
  const { redis, prefix, tier, clock } = await stage(t)
  const name = `${prefix}${GENERATION}:k`
  await putAndWait(redis, tier(), 'k', { word: 'good' })
  const text = (await redis.get(name)) ?? ''
  const [expiry = '', mac = '', ...body] = text.split('.')
  const later = String(Number(expiry) + 1_000)
  const attacks = {
    'made up': `${expiry}.${mac}.{"word":"bad"}`,
    'signed with nothing': `${expiry}..${body.join('.')}`,
    prolonged: `${later}.${mac}.${body.join('.')}`,
    'cut off': text.slice(0, -1),
    'cut down to its expiry': expiry,
    empty: '',
    'not of this world': '\u0000\uffff.....',
    doubled: `${text}.${text}`,
    'a prototype': `${clock.now() + 1_000}.${mac}.{"__proto__":{"word":"bad"}}`,
  }
  for (const [attack, forged] of Object.entries(attacks)) {
    await redis.set(name, forged, 'PX', FRESH)
    t.equal(await tier().get('k', GENERATION), undefined, attack)
  }
  await redis.set(name, text, 'PX', FRESH)
  t.same((await tier().get('k', GENERATION))?.value, { word: 'good' }, 'the entry itself does')
  await redis.set(`${prefix}${GENERATION}:other`, text, 'PX', FRESH)
  t.equal(await tier().get('other', GENERATION), undefined, 'moved to another key')
  await redis.set(name, text)
  t.equal(await tier().get('k', GENERATION), undefined, 'without an expiry in Redis')
  await redis.del(name)
  await redis.lpush(name, text)
  t.equal(await tier().get('k', GENERATION), undefined, 'of another type')
})

t.test('nothing passes from one installation to another', async (t) => {
  const { redis, prefix, tier } = await stage(t)
  await putAndWait(redis, tier(), 'k', { word: 'w' })
  t.equal(await tier({ secret: Buffer.from('another') }).get('k', GENERATION), undefined)
  t.equal(await tier({ prefix: `${prefix}x:` }).get('k', GENERATION), undefined)
  t.equal(
    await tier({ parse: () => undefined }).get('k', GENERATION),
    undefined,
    'nor from one release to another',
  )
})

t.test('what has no life left is not written', async (t) => {
  const { redis, prefix, tier } = await stage(t)
  await putAndWait(redis, tier(), 'dead', { word: 'w' }, 0.5)
  await putAndWait(redis, tier(), 'long dead', { word: 'w' }, -1)
  t.equal(await redis.exists(`${prefix}dead`, `${prefix}long dead`), 0)
})

t.test('while Redis is away there is nothing in it, at once', async (t) => {
  const server = await freshRedis(t)
  const { redis, tier } = await stage(t, server)
  await putAndWait(redis, tier(), 'k', { word: 'w' })
  const closed = event(redis, 'close')
  await server.stop()
  await closed
  t.equal(await tier().get('k', GENERATION), undefined)
  tier().put('k', { word: 'w' }, FRESH, GENERATION)
  const ready = event(redis, 'ready')
  await server.start()
  await ready
  t.equal(await tier().get('k', GENERATION), undefined, 'it came back empty')
  await putAndWait(redis, tier(), 'k', { word: 'new' })
  t.same((await tier().get('k', GENERATION))?.value, { word: 'new' })
})

t.test('a Redis that hangs is given up', async (t) => {
  const server = await freshRedis(t)
  const { redis, tier } = await stage(t, server)
  await putAndWait(redis, tier(), 'k', { word: 'w' })
  server.pause()
  t.equal(await tier().get('k', GENERATION), undefined)
  await new Promise((close) => redis.once('close', close))
  t.pass('and so is the connection to it, in case another one has taken its place')
  server.cont()
})

t.test('a start waits for no Redis', async (t) => {
  const server = await freshRedis(t)
  server.pause()
  const states: string[] = []
  const redis = connectRedis({ host: server.host, port: server.port, db: 0, tls: false }, 'test', (state) =>
    states.push(state),
  )
  t.teardown(() => redis.disconnect())
  await settled(redis)
  t.same(states, ['away'])
  const ready = event(redis, 'ready')
  server.cont()
  await ready
  await settled(redis)
  t.equal(states.at(-1), 'ready')
  redis.disconnect()
  await server.stop()
  const nobody = connectRedis(
    { host: server.host, port: server.port, db: 0, tls: false },
    'test',
    () => undefined,
  )
  t.teardown(() => nobody.disconnect())
  await settled(nobody)
  t.not(nobody.status, 'ready')
})
