import type { DatabaseAddress } from '../database.ts'
import type { RommTables } from '../database.ts'
import type { Generation } from '../queries.ts'

/** What is read of RomM's database, and nothing else: the rights that its user needs. */
const READ: { readonly [Table in keyof RommTables]: readonly (keyof RommTables[Table] & string)[] } = {
  alembic_version: ['version_num'],
  users: ['id', 'username', 'hashed_password', 'enabled', 'role', 'permission_group_id'],
  client_tokens: ['id', 'user_id', 'hashed_token', 'scopes', 'expires_at', 'device_id'],
  permission_groups: ['id', 'is_default'],
  permission_group_grants: ['group_id', 'entity', 'action'],
  user_permission_overrides: ['user_id', 'entity', 'action', 'granted'],
}

/** RomM fact: what came with 5.0. */
const SINCE_GROUPS: ReadonlySet<string> = new Set([
  'permission_groups',
  'permission_group_grants',
  'user_permission_overrides',
  'permission_group_id',
  'device_id',
])

export interface TableRead {
  readonly table: string
  readonly columns: readonly string[]
}

/** Tables and columns that are read of a schema. */
export function readOf(generation: Generation): TableRead[] {
  const isThere = (name: string): boolean => generation === 'groups' || !SINCE_GROUPS.has(name)
  return Object.entries(READ)
    .filter(([table]) => isThere(table))
    .map(([table, columns]) => ({ table, columns: columns.filter(isThere) }))
}

/** Who is to be given rights, as the database names them. */
export interface Grantee {
  readonly driver: DatabaseAddress['driver']
  /** Of the database. */
  readonly name: string
  /** `postern@%` in MariaDB and MySQL, `postern` in PostgreSQL. */
  readonly user: string
}

/** The statement that gives what is needed of a table. */
export function grantOf({ table, columns }: TableRead, grantee: Grantee): string {
  const on = grantee.driver === 'postgresql' ? table : `${quoted(grantee.name, '`')}.${table}`
  return `GRANT SELECT (${columns.join(', ')}) ON ${on} TO ${account(grantee)};`
}

/** Makes a user that may do no more than it must. */
export function userOf(generation: Generation, grantee: Grantee): string[] {
  const creation =
    grantee.driver === 'postgresql'
      ? `CREATE ROLE ${account(grantee)} LOGIN PASSWORD 'choose-a-password';`
      : `CREATE USER ${account(grantee)} IDENTIFIED BY 'choose-a-password';`
  return [creation, ...readOf(generation).map((each) => grantOf(each, grantee))]
}

function account({ driver, user }: Grantee): string {
  if (driver === 'postgresql') return quoted(user, '"')
  const at = user.lastIndexOf('@')
  return [user.slice(0, at), user.slice(at + 1)].map((part) => `'${part.replaceAll("'", "''")}'`).join('@')
}

/** A plain name stays as it is. */
function quoted(name: string, mark: '`' | '"'): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : mark + name.replaceAll(mark, mark + mark) + mark
}
