import { randomBytes } from 'node:crypto'
import tap, { type Test } from 'tap'
import { type Database, execute } from './database.ts'
import { startMariadb } from './services/mariadb.ts'
import { startPostgres } from './services/postgres.ts'
import { startRedis } from './services/redis.ts'
import type { Server } from './services/server.ts'

/** The Redis of the whole run: for tests that keep to keys of their own and listen to no channel. */
export const redisUrl = shared('POSTERN_TEST_REDIS', startRedis)
const mariadbUrl = shared('POSTERN_TEST_MARIADB', startMariadb)
const postgresUrl = shared('POSTERN_TEST_POSTGRES', startPostgres)

/** A Redis process of the test's own, which it may stop, start, pause and continue. */
export async function freshRedis(t: Test): Promise<Server> {
  const server = await startRedis()
  t.teardown(() => server.close())
  return server
}

/** A new, empty database; its user may do everything. `latin1` is what an old installation may have. */
export async function freshMariadb(t: Test, charset: 'utf8mb4' | 'latin1' = 'utf8mb4'): Promise<Database> {
  const admin = database('mariadb', await mariadbUrl(), '')
  const name = databaseName(t)
  await execute(admin, [`create database ${name} character set ${charset}`])
  return { ...admin, database: name }
}

/** A new, empty database; its user may do everything. */
export async function freshPostgres(t: Test): Promise<Database> {
  const admin = database('postgres', await postgresUrl(), 'postgres')
  const name = databaseName(t)
  await execute(admin, [`create database ${name}`])
  return { ...admin, database: name }
}

/** Named after its test, for whoever reads the server's log or process list. */
function databaseName(t: Test): string {
  const words = t.name.toLowerCase().replace(/[^a-z0-9]+/g, '_')
  return `t_${words.slice(0, 40)}_${randomBytes(4).toString('hex')}`
}

function database(kind: Database['kind'], address: string, name: string): Database {
  const { hostname, port, username, password } = new URL(address)
  return { kind, host: hostname, port: Number(port), user: username, password, database: name }
}

/** A server of the whole run, or, for a test file that is run alone, of its process. */
function shared(variable: string, start: () => Promise<Server>): () => Promise<string> {
  let url: Promise<string> | undefined
  const startOwn = async (): Promise<string> => {
    const server = await start()
    tap.teardown(() => server.close())
    return server.url
  }
  return () => (url ??= Promise.resolve(process.env[variable] ?? startOwn()))
}
