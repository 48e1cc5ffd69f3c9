/** The whole gateway before RomM: a client token that is in memory, every check, the assertion, counters and the log. */
import { hash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '../../src/config/load.ts'
import type { Config } from '../../src/config/schema.ts'
import { startGateway } from '../../src/gateway/gateway.ts'
import { systemClock } from '../../src/identity/clock.ts'
import { createLogger } from '../../src/observe/log.ts'
import { buffered } from '../../src/observe/output.ts'
import { fillRomm } from '../../test/support/romm/fixture.ts'
import { createRommSchema } from '../../test/support/romm/schema.ts'
import { connect, type Database } from '../../test/support/database.ts'
import { startPostgres } from '../../test/support/services/postgres.ts'
import { HEADERS } from '../headers.ts'
import { upstreamUrl } from './serve.ts'

const folder = await mkdtemp(join(tmpdir(), 'postern-bench-'))
const server = await startPostgres()
const database = await filled(new URL(server.url))
const gateway = await startGateway(configuration(database), {
  clock: systemClock,
  // Lines are made and written, to where they take no room.
  logger: createLogger('info', buffered('/dev/null')),
})
console.log(gateway.edge.slice(gateway.edge.lastIndexOf(':') + 1))

process.once('SIGTERM', () => {
  void gateway
    .close()
    .then(() => server.close())
    .then(() => rm(folder, { recursive: true }))
    .then(() => process.exit(0))
})

/** RomM's tables, and the token that the load presents, vera's. */
async function filled(url: URL): Promise<Database> {
  const admin: Database = {
    kind: 'postgres',
    host: url.hostname,
    port: Number(url.port),
    user: url.username,
    password: url.password,
    database: 'postgres',
  }
  await createRommSchema(admin, 2)
  await fillRomm(admin, 2)
  const token = HEADERS['Authorization']?.slice('Bearer '.length) ?? ''
  const connection = await connect(admin)
  await connection.query(
    `insert into client_tokens (user_id, name, hashed_token, scopes) values (2, 'bench', '${hash('sha256', token)}', 'roms.read')`,
  )
  await connection.end()
  return admin
}

function configuration({ host, port, user, password, database: name }: Database): Config {
  const loaded = loadConfig({
    env: {},
    overrides: {
      'upstream.url': upstreamUrl(),
      'listen.edge': '127.0.0.1:0',
      'listen.probes': 'off',
      'openapi.document': `file:${import.meta.dirname}/../../test/parity/facts/openapi.json`,
      'openapi.cache': 'off',
      'keys.folder': join(folder, 'keys'),
      'romm.database.driver': 'postgresql',
      'romm.database.host': host,
      'romm.database.port': String(port),
      'romm.database.user': user,
      'romm.database.password': password,
      'romm.database.name': name,
    },
  })
  if (loaded.ok) return loaded.config
  throw new Error(loaded.problems.map(({ path, message }) => `${path}: ${message}`).join('\n'))
}
