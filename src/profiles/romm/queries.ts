import { sql } from 'kysely'
import type { TokenRecord } from '../../directory/records.ts'
import { scopeList } from '../../directory/scope-list.ts'
import { namedLike } from './database.ts'
import type { RommDatabase } from './database.ts'
import type { Permission } from './scopes.ts'

/** Which of its two schemas RomM has: roles alone (until 4.9), or permission groups (since 5.0). */
export type Generation = 'roles' | 'groups'

/** RomM fact: permission groups came with this migration. */
const GROUPS_SINCE = '0092'

export interface UserRow {
  readonly id: number
  readonly username: string
  readonly hashed_password: string | null
  readonly enabled: boolean | number
  readonly role: string
  readonly permission_group_id: number | null
}

export interface TokenRow {
  readonly id: number
  readonly user_id: number
  readonly hashed_token: string
  readonly scopes: string
  readonly expires_at: Date | null
  readonly device_id: string | null
}

/** The permission tables, as far as some users need them. */
export interface PermissionRows {
  readonly defaultGroup: number | undefined
  readonly grants: ReadonlyMap<number, readonly Permission[]>
  readonly overrides: ReadonlyMap<number, readonly (Permission & { readonly granted: boolean })[]>
}

export async function generationOf(db: RommDatabase): Promise<Generation> {
  const row = await db.selectFrom('alembic_version').select('version_num').executeTakeFirst()
  return (row?.version_num ?? '') >= GROUPS_SINCE ? 'groups' : 'roles'
}

const USER_COLUMNS = ['id', 'username', 'hashed_password', 'enabled', 'role'] as const
const USERNAME = sql.ref<string>('username')

function users(db: RommDatabase, generation: Generation) {
  const query = db.selectFrom('users').select(USER_COLUMNS)
  return generation === 'groups'
    ? query.select('permission_group_id')
    : query.select(sql<number | null>`null`.as('permission_group_id'))
}

export async function usersByIds(
  db: RommDatabase,
  generation: Generation,
  ids: readonly number[],
): Promise<UserRow[]> {
  return ids.length === 0 ? [] : users(db, generation).where('id', 'in', ids).execute()
}

/**
 * Rows by the name that was asked for; the database alone knows which names are the same to it. Written by hand: a builder
 * takes longer over each of hundreds of names than the database's answer takes to read.
 */
export async function usersByNames(
  db: RommDatabase,
  generation: Generation,
  names: readonly string[],
): Promise<ReadonlyMap<string, readonly UserRow[]>> {
  if (names.length === 0) return new Map()
  const group = generation === 'groups' ? 'permission_group_id' : 'null as permission_group_id'
  const columns = sql.raw([...USER_COLUMNS, group].join(', '))
  const questions = names.map(
    (name, index) => sql`
      select ${sql.lit(index)} as asked, ${columns}
      from users where ${namedLike(USERNAME, name)}`,
  )
  const query = sql<UserRow & { readonly asked: number }>`${sql.join(questions, sql` union all `)}`
  const { rows } = await query.execute(db)
  return Map.groupBy(rows, (row) => names[row.asked] ?? '')
}

export async function permissionsOf(db: RommDatabase, rows: readonly UserRow[]): Promise<PermissionRows> {
  const ids = rows.map((row) => row.id)
  const [groups, grants, overrides] = await Promise.all([
    // RomM fact: of several default groups the first counts.
    db.selectFrom('permission_groups').select(['id', 'is_default']).orderBy('id').execute(),
    db.selectFrom('permission_group_grants').select(['group_id', 'entity', 'action']).execute(),
    db
      .selectFrom('user_permission_overrides')
      .select(['user_id', 'entity', 'action', 'granted'])
      .where('user_id', 'in', ids)
      .execute(),
  ])
  return {
    defaultGroup: groups.find((group) => Boolean(group.is_default))?.id,
    grants: Map.groupBy(grants, (grant) => grant.group_id),
    overrides: Map.groupBy(
      overrides.map((row) => ({ ...row, granted: Boolean(row.granted) })),
      (row) => row.user_id,
    ),
  }
}

/**
 * Tokens by id where that is known, by digest where it is not: an integer key costs the same on every schema, while
 * a digest's column may have another character set than our literal.
 */
export async function tokensBy(
  db: RommDatabase,
  generation: Generation,
  ids: readonly number[],
  digests: readonly string[],
): Promise<TokenRecord[]> {
  const base = db
    .selectFrom('client_tokens')
    .select(['id', 'user_id', 'hashed_token', 'scopes', 'expires_at'])
  const query =
    generation === 'groups' ? base.select('device_id') : base.select(sql<string | null>`null`.as('device_id'))
  const [known, found] = await Promise.all([
    ids.length === 0 ? [] : query.where('id', 'in', ids).execute(),
    digests.length === 0 ? [] : query.where('hashed_token', 'in', digests).execute(),
  ])
  return [...known, ...found].map(tokenRecord)
}

export function tokenRecord(row: TokenRow): TokenRecord {
  return Object.freeze({
    id: String(row.id),
    userId: String(row.user_id),
    digest: row.hashed_token,
    scopes: scopeList(row.scopes),
    expiresAt: row.expires_at === null ? undefined : instantOf(row.expires_at),
    deviceId: row.device_id ?? undefined,
  })
}

/** A date that is none (`0000-00-00`) is long over. */
function instantOf(date: Date): number {
  const instant = date.getTime()
  return Number.isFinite(instant) ? instant : 0
}
