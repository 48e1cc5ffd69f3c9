import { Redis } from 'ioredis'
import t from 'tap'
import { type Connection, connect, type Database } from '../database.ts'
import { freshMariadb, freshPostgres, freshRedis } from '../services.ts'
import { fillRomm, fillSessions } from './fixture.ts'
import { createReader, createRommSchema, type Generation } from './schema.ts'

interface TokenState {
  readonly id: number
  readonly expired: number | boolean
}

async function select<Row>(db: Database, connection: Connection, query: string): Promise<Row[]> {
  const answer = await connection.query(query)
  // mysql2 answers [rows, fields], pg { rows }.
  return db.kind === 'mariadb' ? (answer as [Row[]])[0] : (answer as { rows: Row[] }).rows
}

for (const fresh of [freshMariadb, freshPostgres]) {
  for (const generation of [1, 2] satisfies Generation[]) {
    t.test(`${fresh.name} holds RomM's accounts of generation ${generation}`, async (t) => {
      const db = await fresh(t)
      await createRommSchema(db, generation)
      await fillRomm(db, generation)
      const reader = await createReader(db, generation)
      const connection = await connect(reader)
      t.teardown(() => connection.end())
      const ask = <Row>(query: string) => select<Row>(reader, connection, query)

      const roles = await ask<{ role: string }>('select role from users order by id')
      t.same(
        roles.map(({ role }) => role),
        generation === 1
          ? ['ADMIN', 'VIEWER', 'EDITOR', 'VIEWER', 'VIEWER', 'VIEWER', 'VIEWER']
          : ['admin', 'user', 'user', 'user', 'user', 'user', 'user'],
      )
      const now = db.kind === 'mariadb' ? 'utc_timestamp()' : 'now()'
      const tokens = await ask<TokenState>(
        `select id, expires_at < ${now} as expired from client_tokens where expires_at is not null order by id`,
      )
      t.same(
        tokens.map(({ id, expired }) => [id, Boolean(expired)]),
        [
          [28, true],
          [29, false],
        ],
      )
      t.equal((await ask('select version_num from alembic_version')).length, 1)
      await t.rejects(ask('select email from users'), 'the reader reads no column it need not')
      await t.rejects(ask("update users set username = 'x'"), 'the reader writes nothing')
      if (generation === 2) {
        t.equal((await ask('select group_id, entity, action from permission_group_grants')).length, 41)
        t.equal(
          (await ask('select user_id, entity, action, granted from user_permission_overrides')).length,
          4,
        )
        t.equal((await ask('select device_id from client_tokens')).length, 29)
      } else {
        await t.rejects(ask('select id from permission_groups'))
        await t.rejects(ask('select device_id from client_tokens'))
      }
      const owner = await connect(db)
      t.teardown(() => owner.end())
      const role = generation === 1 ? 'VIEWER' : 'user'
      await owner.query(`insert into users (username, enabled, role) values ('new', true, '${role}')`)
      t.same(await ask("select id from users where username = 'new'"), [{ id: 8 }])
    })
  }
}

t.test("Redis holds RomM's sessions", async (t) => {
  const server = await freshRedis(t)
  const redis = new Redis(server.url)
  t.teardown(() => redis.disconnect())
  await fillSessions(redis)
  t.equal((await redis.keys('session:*')).length, 14)
  t.equal(await redis.scard('user_sessions:vera'), 3)
  const id = '2dab17a5-8dce-4caf-ab54-fa479242423e'
  t.match(JSON.parse((await redis.get(`session:${id}`)) ?? ''), { iss: 'romm:auth', sub: 'admin' })
  t.ok((await redis.ttl(`session:${id}`)) > 1_209_000)
})
