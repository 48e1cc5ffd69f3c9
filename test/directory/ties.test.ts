import t, { type Test } from 'tap'
import type { NamedUser, UserRecord } from '../../src/directory/records.ts'
import { connectRedis, settled as connected } from '../../src/directory/redis.ts'
import { createSharedTies } from '../../src/directory/shared-ties.ts'
import { Ties, type TieStore } from '../../src/directory/ties.ts'
import { user } from '../authenticators/people.ts'
import { freshRedis } from '../support/services.ts'

const SECRET = Buffer.from('shared by the replicas')
const OLD = user('vera', { passwordHash: 'old' })
const NEW = user('vera', { passwordHash: 'new' })

async function stage(t: Test) {
  const server = await freshRedis(t)
  const { hostname, port } = new URL(server.url)
  const redis = connectRedis(
    { host: hostname, port: Number(port), db: 0, tls: false },
    'test',
    () => undefined,
  )
  redis.on('error', () => undefined)
  await connected(redis)
  t.teardown(() => redis.disconnect())
  const store = (secret = SECRET): TieStore =>
    createSharedTies({ redis, secret, prefix: 'postern:tie:', lifetime: 60_000 })
  return { server, redis, store }
}

const tieOf = ({ id, passwordHash }: UserRecord): string => `${id} ${passwordHash}`

/** One replica. @param now what the source says */
function replica(store: TieStore | undefined, now: { user: UserRecord | undefined }): Ties {
  const named = (): NamedUser | undefined => now.user && { kind: 'user', user: now.user }
  return new Ties({ maxEntries: 100, tieOf, anew: async () => named(), store })
}

t.test('what one replica tied, or cut, is so for all of them', async (t) => {
  const { redis, store } = await stage(t)
  const now = { user: OLD as UserRecord | undefined }
  const [a, b, c] = [replica(store(), now), replica(store(), now), replica(store(), now)]
  t.equal(await a.belongs('k', 'vera', OLD), OLD)
  t.equal(a.belongs('k', 'vera', OLD), OLD, 'and then without a promise')
  t.ok((await redis.pttl('postern:tie:k')) > 0)
  now.user = NEW
  t.equal(await b.belongs('k', 'vera', NEW), undefined, 'tied before b ever saw it')
  t.ok(await b.isCut('k'))
  t.ok(await a.isCut('k'), 'though a holds it for alive')
  t.equal(a.belongs('k', 'vera', OLD), OLD, 'as long as it has not been told')
  a.doubt('k')
  t.equal(await a.belongs('k', 'vera', OLD), undefined)
  t.equal(await a.belongs('k', 'vera', NEW), undefined)
  t.ok(await a.isCut('k'))
  t.ok(await c.isCut('k'), 'of which c hears from Redis')
  t.notOk(await c.isCut('other'))
  now.user = OLD
  t.equal(await c.belongs('k', 'vera', OLD), undefined)
  t.equal(await c.belongs('new', 'vera', NEW), OLD, 'tied to what the source says, not to what was known')
})

t.test('a cut is told when the others can know of it, and no doubt takes it back', async (t) => {
  const { store } = await stage(t)
  const now = { user: OLD as UserRecord | undefined }
  const told = Promise.withResolvers<string>()
  const a = new Ties({
    maxEntries: 9,
    tieOf,
    anew: async () => ({ kind: 'user', user: OLD }),
    store: store(),
    onCut: told.resolve,
  })
  await a.belongs('k', 'vera', OLD)
  t.equal(a.belongs('k', 'vera', NEW), undefined)
  t.equal(await told.promise, 'k')
  t.ok(await replica(store(), now).isCut('k'))
  a.doubt('k')
  t.equal(await a.belongs('k', 'vera', OLD), undefined)
  const alone = replica(undefined, now)
  await alone.belongs('k', 'vera', OLD)
  alone.doubt('k')
  t.equal(await alone.belongs('k', 'vera', OLD), OLD)
  alone.doubt('k')
  t.equal(await alone.belongs('k', 'vera', NEW), undefined, 'what is held is not forgotten for it')
})

t.test('under another name it is another credential', async (t) => {
  const { redis, store } = await stage(t)
  const now = { user: OLD as UserRecord | undefined }
  const a = replica(store(), now)
  await a.belongs('k', 'vera', OLD)
  a.end('k', 'vera')
  t.ok(await a.isCut('k'))
  const bob = user('bob')
  now.user = bob
  t.equal(await a.belongs('k', 'bob', bob), bob)
  await redis.ping()
  const b = replica(store(), now)
  t.equal(await b.belongs('k', 'bob', bob), bob)
  t.notOk(await b.isCut('k'))
})

t.test('who was never seen alive is not ended', async (t) => {
  const now = { user: undefined as UserRecord | undefined }
  const a = replica(undefined, now)
  a.end('k', 'vera')
  t.notOk(await a.isCut('k'))
  t.equal(await a.belongs('k', 'vera', OLD), undefined, 'and one whose user has just gone belongs to nobody')
  t.notOk(await a.isCut('k'))
  now.user = OLD
  t.equal(await a.belongs('k', 'vera', OLD), OLD)
})

t.test('a tie that is none of ours is none', async (t) => {
  const { redis, store } = await stage(t)
  const now = { user: OLD as UserRecord | undefined }
  await replica(store(Buffer.from('another')), now).belongs('k', 'vera', NEW)
  await redis.set('postern:tie:forged', '["vera",null]')
  await replica(store(), now).belongs('moved', 'vera', OLD)
  await redis.copy('postern:tie:moved', 'postern:tie:elsewhere')
  const a = replica(store(), now)
  for (const key of ['k', 'forged', 'elsewhere']) {
    t.notOk(await a.isCut(key), key)
    t.equal(await a.belongs(key, 'vera', OLD), OLD, key)
  }
})

t.test('without Redis each replica goes by what it saw itself', async (t) => {
  const { server, redis, store } = await stage(t)
  const now = { user: OLD as UserRecord | undefined }
  const closed = new Promise((resolve) => redis.once('close', resolve))
  await server.stop()
  await closed
  const a = replica(store(), now)
  t.equal(await a.belongs('k', 'vera', OLD), OLD)
  t.equal(await a.belongs('k', 'vera', NEW), undefined)
  t.ok(await a.isCut('k'))
})

t.test('a source that cannot be asked is no answer', async (t) => {
  const away = new Error('away')
  const ties = new Ties({
    maxEntries: 9,
    tieOf: ({ id }) => id,
    anew: () => Promise.reject(away),
    store: undefined,
  })
  await t.rejects(async () => ties.belongs('k', 'vera', OLD), away)
})
