import { Redis } from 'ioredis'
import { createConnection } from 'mysql2/promise'
import { Client } from 'pg'
import t from 'tap'
import { freshMariadb, freshPostgres, freshRedis, redisUrl } from './services.ts'

t.test('the shared Redis answers', async (t) => {
  const redis = new Redis(await redisUrl())
  t.teardown(() => redis.disconnect())
  t.equal(await redis.ping(), 'PONG')
})

t.test("a test's own Redis can be hung, continued, ended and started again", async (t) => {
  const server = await freshRedis(t)
  const redis = new Redis(server.url, { retryStrategy: () => 5 })
  redis.on('error', () => {})
  t.teardown(() => redis.disconnect())
  await redis.set('k', 'v')

  server.pause()
  let answered = false
  const pending = redis.get('k').then((value) => ((answered = true), value))
  await new Promise((done) => setImmediate(done))
  t.equal(answered, false)
  server.cont()
  t.equal(await pending, 'v')

  const closed = new Promise((done) => redis.once('close', done))
  await server.stop()
  await closed
  await server.start()
  t.equal(await redis.get('k'), null, 'it kept nothing, and its address')
})

t.test('each MariaDB database is new, in the asked charset, behind a password', async (t) => {
  const [one, two] = [await freshMariadb(t), await freshMariadb(t, 'latin1')]
  t.not(one.database, two.database)
  for (const [options, charset] of [
    [one, 'utf8mb4'],
    [two, 'latin1'],
  ] as const) {
    const { kind: _, ...where } = options
    const connection = await createConnection(where)
    t.teardown(() => connection.end())
    const [rows] = await connection.query('select @@character_set_database as charset')
    t.same(rows, [{ charset }])
    await t.rejects(createConnection({ ...where, password: 'wrong' }), { code: 'ER_ACCESS_DENIED_ERROR' })
  }
})

t.test('each PostgreSQL database is new, behind a password', async (t) => {
  const [one, two] = [await freshPostgres(t), await freshPostgres(t)]
  t.not(one.database, two.database)
  const client = new Client(one)
  await client.connect()
  t.teardown(() => client.end())
  const { rows } = await client.query<object>(
    "select count(*)::int as tables from pg_tables where schemaname = 'public'",
  )
  t.same(rows, [{ tables: 0 }])
  await t.rejects(new Client({ ...one, password: 'wrong' }).connect(), { code: '28P01' })
})
