import { sql } from 'kysely'
import { error, fixIn, notice, ok, warning } from '../../finding.ts'
import type { Check, Fix, Observation } from '../../finding.ts'
import { faultOf } from '../database.ts'
import type { DatabaseAddress, QueryFault, RommDatabase } from '../database.ts'
import { generationOf } from '../queries.ts'
import type { Generation } from '../queries.ts'
import { grantOf, readOf, userOf } from './grants.ts'
import type { Grantee, TableRead } from './grants.ts'

export interface DatabaseToExamine {
  readonly db: RommDatabase
  readonly address: DatabaseAddress
  /** Which schema RomM's release has, where the database does not say. */
  readonly expected: Generation
}

const NOT_GIVEN = notice(
  'romm.database is not given: passwords and client tokens are asked of RomM, and which scopes a token has only RomM knows',
  fixIn(
    'configuration',
    'romm:',
    '  database: { driver: mariadb, host: romm-db, user: postern, password: … }',
  ),
)

/** Whether RomM's database can be used, and whether its user may read what it must and nothing more. */
export function databaseChecks(given: DatabaseToExamine | undefined): Check[] {
  if (given === undefined) return [{ id: 'romm.database', look: () => [NOT_GIVEN] }]
  const schema = schemaOf(given)
  return [
    { id: 'romm.database', look: async () => [...connection(given.address, await schema)] },
    { id: 'romm.database.rights', look: async () => rights(given, await schema) },
    { id: 'romm.database.surplus', look: async () => surplus(given, await schema) },
    { id: 'romm.database.primary', look: async () => primary(given, await schema) },
  ]
}

/** What the database says of its schema, or why it does not. */
type Schema =
  | { readonly kind: 'read'; readonly generation: Generation }
  | { readonly kind: 'failed'; readonly fault: QueryFault; readonly generation: Generation }

async function schemaOf({ db, expected }: DatabaseToExamine): Promise<Schema> {
  try {
    return { kind: 'read', generation: await generationOf(db) }
  } catch (cause) {
    return { kind: 'failed', fault: faultOf(cause), generation: expected }
  }
}

const SCHEMAS: Readonly<Record<Generation, string>> = {
  roles: 'roles, as until RomM 4.9',
  groups: 'permission groups, as since RomM 5.0',
}

function setting(...lines: readonly string[]): Fix {
  return fixIn('configuration', 'romm:', '  database:', ...lines.map((line) => `    ${line}`))
}

function connection(address: DatabaseAddress, schema: Schema): Observation[] {
  const { driver, host, port, name, user } = address
  const where = `${name} at ${host}:${port}`
  if (schema.kind === 'read') return [ok(`${where}: ${SCHEMAS[schema.generation]}`)]
  switch (schema.fault) {
    case 'missing_right':
      return [ok(`${where} lets ${user} in`)]
    case 'wrong_login':
      return [
        error(
          `${where} refuses the user ${user}, its password, or the name ${name}`,
          setting(`user: ${user}`, 'password: …', `name: ${name}`),
        ),
      ]
    case 'other_schema':
      return [error(`${where} does not hold RomM's tables`, setting('name: …'))]
    case 'impossible_name':
    case 'away':
      return [error(`${where} (${driver}) does not answer`, setting(`host: ${host}`))]
  }
}

/** Nothing more can be asked of a database that lets nobody in, or is another one. */
function isOpen(schema: Schema): boolean {
  return schema.kind === 'read' || schema.fault === 'missing_right'
}

async function rights(given: DatabaseToExamine, schema: Schema): Promise<Observation[]> {
  if (!isOpen(schema)) return []
  const tables = readOf(schema.generation)
  const faults = await Promise.all(tables.map((each) => lookAt(given.db, each)))
  const grantee = await granteeOf(given)
  const lacking = tables.filter((_, index) => faults[index] === 'missing_right')
  const unlike = tables.filter((_, index) => faults[index] === 'other_schema')
  if (lacking.length > 0) {
    const names = lacking.map(({ table }) => table).join(', ')
    const grants = lacking.map((each) => grantOf(each, grantee))
    return [error(`the database user may not read all that it must of: ${names}`, fixIn('sql', ...grants))]
  }
  if (unlike.length > 0) {
    return [error(`not as RomM has them: the tables ${unlike.map(({ table }) => table).join(', ')}`)]
  }
  return [ok(`${grantee.user} may read what it must`)]
}

/** Reads no row: whether it may is decided all the same. */
async function lookAt(db: RommDatabase, { table, columns }: TableRead): Promise<QueryFault | undefined> {
  try {
    const list = sql.join(columns.map((column) => sql.ref(column)))
    await sql`select ${list} from ${sql.table(table)} where 1 = 0`.execute(db)
    return undefined
  } catch (cause) {
    const fault = faultOf(cause)
    if (fault === 'missing_right' || fault === 'other_schema') return fault
    throw cause
  }
}

async function granteeOf({ db, address: { driver, name } }: DatabaseToExamine): Promise<Grantee> {
  const { rows } = await sql<{ user: string }>`select current_user as ${sql.ref('user')}`.execute(db)
  return { driver, name, user: rows[0]?.user ?? '' }
}

/** Whoever may write there can make themselves an admin of RomM. */
async function surplus(given: DatabaseToExamine, schema: Schema): Promise<Observation[]> {
  if (!isOpen(schema)) return []
  const { driver, name } = given.address
  const held = driver === 'postgresql' ? await heldInPostgres(given.db) : await heldInMariadb(given.db)
  if (held.length === 0) return [ok('it may do nothing else there')]
  const user = driver === 'postgresql' ? 'postern' : 'postern@%'
  return [
    warning(
      `${given.address.user} may do more there than read (${held.join(', ')}): give Postern a user of its own`,
      fixIn('sql', ...userOf(schema.generation, { driver, name, user })),
      fixIn('configuration', 'romm:', '  database: { user: postern, password: … }'),
    ),
  ]
}

async function heldInMariadb(db: RommDatabase): Promise<string[]> {
  const { rows } = await sql<Readonly<Record<string, string>>>`show grants`.execute(db)
  const lists = rows.flatMap((row) => Object.values(row)).map((text) => /^GRANT (.+?) ON /.exec(text)?.[1])
  // A privilege may be for columns: SELECT (id, username).
  const privileges = lists.flatMap((list = '') => list.replace(/ ?\([^)]*\)/g, '').split(', '))
  return [...new Set(privileges)].filter((held) => !['', 'USAGE', 'SELECT', 'SHOW VIEW'].includes(held))
}

async function heldInPostgres(db: RommDatabase): Promise<string[]> {
  const { rows: roles } = await sql<{ rolsuper: boolean }>`
    select rolsuper from pg_roles where rolname = current_user`.execute(db)
  if (roles[0]?.rolsuper === true) return ['superuser']
  const { rows } = await sql<{ privilege: string }>`
    select privilege from unnest(array['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) as privilege
    where has_table_privilege('users', privilege)`.execute(db)
  return rows.map(({ privilege }) => privilege)
}

/** A copy that lags behind would let a deleted token live on. */
async function primary({ db, address }: DatabaseToExamine, schema: Schema): Promise<Observation[]> {
  if (!isOpen(schema)) return []
  const asked =
    address.driver === 'postgresql'
      ? sql<{ copy: unknown }>`select pg_is_in_recovery() as copy`
      : sql<{ copy: unknown }>`select @@global.read_only as copy`
  const { rows } = await asked.execute(db)
  // MariaDB says 1 or 0.
  return rows[0]?.copy === true || rows[0]?.copy === 1
    ? [
        warning(
          'it is a copy, or read-only: a token deleted at the primary lives on there',
          setting('host: …'),
        ),
      ]
    : [ok('it is the primary')]
}
