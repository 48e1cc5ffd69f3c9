import { connect, Socket } from 'node:net'
import { CompiledQuery, Kysely, MysqlDialect, PostgresDialect, sql } from 'kysely'
import type { Expression, SqlBool } from 'kysely'
import { createPool } from 'mysql2'
import { Pool } from 'pg'

/** Where RomM's database is. The user needs SELECT on a few columns and nothing else: `docs/romm.md` has the GRANTs. */
export interface DatabaseAddress {
  readonly driver: 'mariadb' | 'mysql' | 'postgresql'
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly name: string
  readonly poolSize: number
  readonly tls: boolean
}

/** RomM fact: the columns that say who somebody is. Booleans are 0 and 1 in MariaDB. */
export interface RommTables {
  users: {
    id: number
    username: string
    hashed_password: string | null
    enabled: boolean | number
    role: string
    /** Since 5.0. */
    permission_group_id: number | null
  }
  client_tokens: {
    id: number
    user_id: number
    hashed_token: string
    scopes: string
    expires_at: Date | null
    /** Since 5.0. */
    device_id: string | null
  }
  permission_groups: { id: number; is_default: boolean | number }
  permission_group_grants: { group_id: number; entity: string; action: string }
  user_permission_overrides: { user_id: number; entity: string; action: string; granted: boolean | number }
  alembic_version: { version_num: string }
}

export type RommDatabase = Kysely<RommTables>

/** Milliseconds. */
const LONGEST_SILENCE = 5_000

/**
 * Opens a pool; connects on first use.
 * @param silence milliseconds after which a connection that says nothing is given up, whether it is idle or asked: one
 *   to a server that hangs, or is gone without a word, would keep its place in the pool for a quarter of an hour
 */
export function openDatabase(address: DatabaseAddress, silence: number = LONGEST_SILENCE): RommDatabase {
  const dialect = address.driver === 'postgresql' ? postgres(address, silence) : mysql(address, silence)
  return new Kysely<RommTables>({ dialect })
}

function impatient(socket: Socket, silence: number): Socket {
  return socket.setTimeout(silence, () => socket.destroy(new Error(`nothing heard for ${silence} ms`)))
}

function mysql(address: DatabaseAddress, silence: number): MysqlDialect {
  const pool = createPool({
    host: address.host,
    port: address.port,
    user: address.user,
    password: address.password,
    database: address.name,
    connectionLimit: address.poolSize,
    connectTimeout: silence,
    stream: () => impatient(connect(address.port, address.host).setNoDelay(), silence),
    // RomM fact: it writes UTC literals into columns without a zone.
    timezone: 'Z',
    charset: 'utf8mb4',
    ...(address.tls && { ssl: { verifyIdentity: true } }),
  })
  return new MysqlDialect({
    pool,
    // Values are escaped with backslashes here. Under NO_BACKSLASH_ESCAPES a name could end its literal and go on as SQL.
    onCreateConnection: async (connection) => {
      await connection.executeQuery(CompiledQuery.raw("set session sql_mode = ''"))
    },
  })
}

function postgres(address: DatabaseAddress, silence: number): PostgresDialect {
  const pool = new Pool({
    host: address.host,
    port: address.port,
    user: address.user,
    password: address.password,
    database: address.name,
    max: address.poolSize,
    connectionTimeoutMillis: silence,
    stream: () => impatient(new Socket(), silence),
    ...(address.tls && { ssl: true }),
  })
  // A connection that breaks, idle or at work, is replaced on next use; unheard, either event would end the process.
  pool.on('error', () => undefined)
  pool.on('connect', (client) => client.on('error', () => undefined))
  return new PostgresDialect({ pool })
}

/** RomM fact: names are compared as `lower(username) = lower(?)`, by the database and its collation. */
export function namedLike(column: Expression<string>, name: string): Expression<SqlBool> {
  return sql<SqlBool>`lower(${column}) = lower(${name})`
}

/** What a database's own error code says about a failed query. */
export type QueryFault = 'missing_right' | 'wrong_login' | 'other_schema' | 'impossible_name' | 'away'

// MariaDB and MySQL name them, PostgreSQL numbers them (SQLSTATE, appendix A of its manual).
const FAULTS: Readonly<Record<string, QueryFault>> = {
  ER_TABLEACCESS_DENIED_ERROR: 'missing_right',
  ER_COLUMNACCESS_DENIED_ERROR: 'missing_right',
  '42501': 'missing_right',
  ER_ACCESS_DENIED_ERROR: 'wrong_login',
  ER_DBACCESS_DENIED_ERROR: 'wrong_login',
  ER_BAD_DB_ERROR: 'wrong_login',
  '28P01': 'wrong_login',
  '28000': 'wrong_login',
  '3D000': 'wrong_login',
  ER_NO_SUCH_TABLE: 'other_schema',
  ER_BAD_FIELD_ERROR: 'other_schema',
  '42P01': 'other_schema',
  '42703': 'other_schema',
  // A name that the column's character set cannot hold is nobody's.
  ER_CANT_AGGREGATE_2COLLATIONS: 'impossible_name',
  '22021': 'impossible_name',
}

export function faultOf(error: unknown): QueryFault {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''
  return FAULTS[code] ?? 'away'
}
