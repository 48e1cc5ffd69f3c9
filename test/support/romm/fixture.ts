import type { Redis } from 'ioredis'
import { connect, type Connection, type Database } from '../database.ts'
import { readFixture, type UserRow } from './facts.ts'
import type { Generation } from './schema.ts'

/** RomM fact: the last revision of each generation that was seen, or one that is surely of it. */
const REVISIONS = { 1: '0072_client_tokens', 2: '0108_roms_primary_region' } as const satisfies Record<
  Generation,
  string
>
/** RomM fact: group 2 is "Editor (legacy)", made of the editors of generation 1. */
const EDITORS = 2
/** RomM fact: seconds a session lives after its last use. */
const SESSION_SECONDS = 1_209_600

/** Fills RomM's tables, made by `createRommSchema`; what expires does so counted from now. */
export async function fillRomm(db: Database, generation: Generation): Promise<void> {
  const fixture = readFixture()
  const connection = await connect(db)
  const insert = (table: string, rows: readonly object[]) => insertRows(connection, db.kind, table, rows)
  try {
    await insert('alembic_version', [{ version_num: REVISIONS[generation] }])
    if (generation === 2) {
      await insert('permission_groups', fixture.permission_groups)
      await insert('permission_group_grants', fixture.permission_group_grants)
    }
    await insert(
      'users',
      fixture.users.map(({ password: _, ...user }) => (generation === 2 ? user : firstGeneration(user))),
    )
    if (generation === 2) await insert('user_permission_overrides', fixture.user_permission_overrides)
    await insert(
      'client_tokens',
      fixture.client_tokens.map(({ raw: _, expires: __, ...token }) => ({
        ...token,
        name: `token ${token.id}`,
      })),
    )
    for (const { id, expires } of fixture.client_tokens) {
      if (expires === null) continue
      await connection.query(
        `update client_tokens set expires_at = ${fromNow(db.kind, expires)} where id = ${id}`,
      )
    }
    if (db.kind === 'postgres') await skipUsedKeys(connection, generation)
  } finally {
    await connection.end()
  }
}

/** Writes the sessions into Redis as RomM does on a login. */
export async function fillSessions(redis: Redis): Promise<void> {
  const pipeline = redis.pipeline()
  for (const { id, data } of readFixture().sessions) {
    pipeline.set(`session:${id}`, JSON.stringify(data), 'EX', SESSION_SECONDS)
    if (typeof data['sub'] === 'string') pipeline.sadd(`user_sessions:${data['sub']}`, id)
  }
  for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error
}

function firstGeneration({ permission_group_id: group, ...user }: UserRow): object {
  const role = user.role === 'admin' ? 'ADMIN' : group === EDITORS ? 'EDITOR' : 'VIEWER'
  return { ...user, role }
}

async function insertRows(
  connection: Connection,
  kind: Database['kind'],
  table: string,
  rows: readonly object[],
): Promise<void> {
  const columns = Object.keys(rows[0] ?? {})
  const values = rows.flatMap((row): unknown[] => Object.values(row))
  const marks = values.map((_, index) => (kind === 'mariadb' ? '?' : `$${index + 1}`))
  const tuples = rows.map(
    (_, row) => `(${marks.slice(row * columns.length, (row + 1) * columns.length).join(', ')})`,
  )
  await connection.query(`insert into ${table} (${columns.join(', ')}) values ${tuples.join(', ')}`, values)
}

/** RomM fact: instants are UTC, and in MariaDB the column does not say so. */
function fromNow(kind: Database['kind'], interval: string): string {
  return kind === 'postgres'
    ? `now() + interval '${interval}'`
    : `utc_timestamp() + interval ${interval.replace(/s$/, '')}`
}

/** PostgreSQL does not notice that keys were given by hand. */
async function skipUsedKeys(connection: Connection, generation: Generation): Promise<void> {
  for (const table of generation === 2
    ? ['users', 'client_tokens', 'permission_groups']
    : ['users', 'client_tokens']) {
    await connection.query(`select setval(pg_get_serial_sequence('${table}', 'id'), max(id)) from ${table}`)
  }
}
