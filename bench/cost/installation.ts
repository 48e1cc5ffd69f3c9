import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { connect, type Connection, type Database } from '../../test/support/database.ts'
import { databaseSettings, inFolder } from '../../test/support/gateway.ts'
import { readFixture } from '../../test/support/romm/facts.ts'
import { fillRomm, fillSessions } from '../../test/support/romm/fixture.ts'
import { createReader, createRommSchema } from '../../test/support/romm/schema.ts'
import { startPostgres } from '../../test/support/services/postgres.ts'
import { freePort } from '../../test/support/services/process.ts'
import { startRedis } from '../../test/support/services/redis.ts'

const DOCUMENT = join(import.meta.dirname, '../../test/parity/facts/openapi.json')
const MAIN = join(import.meta.dirname, '../../src/main.ts')

/** RomM's database and sessions, with everything that a gateway can be given. */
export interface Installation {
  /** The command of a `serve` of its own, with every step of the ladder and each request logged. */
  serve(options: ServeOptions): Promise<{ readonly port: number; readonly command: readonly string[] }>
  /** @param count client tokens of one user, the n-th as `tokenText(n)`; made once */
  addTokens(count: number): Promise<void>
  close(): Promise<void>
}

export interface ServeOptions {
  readonly backend: number
  readonly folder: string
  /** Rows of the route table besides RomM's. */
  readonly routes: number
  readonly settings: Readonly<Record<string, string>>
  /** It answers a proxy's questions there, and nobody else's. */
  readonly decision: boolean
}

/** RomM fact: `rmm_` and 64 hexadecimal digits. */
export function tokenText(number: number): string {
  return `rmm_${number.toString(16).padStart(64, '0')}`
}

export async function install(): Promise<Installation> {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  const { hostname: host, port, username: user, password } = new URL(postgres.url)
  const owner: Database = { kind: 'postgres', host, port: Number(port), user, password, database: 'postgres' }
  await createRommSchema(owner, 2)
  await fillRomm(owner, 2)
  const sessions = new Redis(redis.url)
  await fillSessions(sessions)
  sessions.disconnect()
  const connection = await connect(owner)
  const given = {
    ...databaseSettings(await createReader(owner, 2)),
    'romm.secret': readFixture().secret,
    'romm.redis.url': redis.url,
  }
  let tokens = 0
  return {
    async addTokens(count) {
      if (count > tokens) await insertTokens(connection, tokens, count)
      tokens = Math.max(tokens, count)
    },
    async serve({ backend, folder, routes, settings, decision }) {
      const listening = await freePort()
      const document = routes === 0 ? DOCUMENT : await documentWith(folder, routes)
      const all = {
        ...inFolder(folder),
        ...given,
        'upstream.url': `http://127.0.0.1:${backend}`,
        'openapi.document': `file:${document}`,
        'openapi.cache': 'off',
        'listen.probes': 'off',
        'listen.admin': 'off',
        ...(decision
          ? { 'decision.listen': `127.0.0.1:${listening}` }
          : { 'listen.edge': `127.0.0.1:${listening}` }),
        ...settings,
      }
      const sets = Object.entries(all).flatMap(([name, value]) => ['--set', `${name}=${value}`])
      return { port: listening, command: [process.execPath, MAIN, 'serve', ...sets] }
    },
    async close() {
      await connection.end()
      await Promise.all([postgres.close(), redis.close()])
    },
  }
}

/** They are vera's. */
async function insertTokens(connection: Connection, from: number, to: number): Promise<void> {
  await connection.query(
    `insert into client_tokens (user_id, name, hashed_token, scopes)
     select 2, 'bench', encode(sha256(convert_to('rmm_' || lpad(to_hex(n), 64, '0'), 'UTF8')), 'hex'), 'me.read roms.read'
     from generate_series(${from}, ${to - 1}) as n`,
  )
}

interface Document {
  readonly paths: Readonly<Record<string, unknown>>
}

/** RomM's document with more paths, each as its `GET /api/roms/{id}` is. */
async function documentWith(folder: string, routes: number): Promise<string> {
  // The document in the project's own test facts.
  const romm = JSON.parse(await readFile(DOCUMENT, 'utf8')) as Document
  const model = romm.paths['/api/roms/{id}']
  const more = Array.from({ length: routes }, (_, i): [string, unknown] => [
    `/api/more${Math.floor(i / 10)}/{id}/part${i % 10}`,
    model,
  ])
  await mkdir(folder, { recursive: true })
  const file = join(folder, 'openapi.json')
  await writeFile(file, JSON.stringify({ ...romm, paths: { ...romm.paths, ...Object.fromEntries(more) } }))
  return file
}
