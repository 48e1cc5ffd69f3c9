/** Real gateways before a RomM with a database: what the benches of revocations and of questions run against. */
import { type ChildProcess, spawn } from 'node:child_process'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Pool } from 'undici'
import { generateKey } from '../src/assertion/keys.ts'
import { connect, type Connection, type Database, execute } from '../test/support/database.ts'
import { databaseSettings, inFolder } from '../test/support/gateway.ts'
import { readFixture } from '../test/support/romm/facts.ts'
import { fillRomm } from '../test/support/romm/fixture.ts'
import { createReader, createRommSchema } from '../test/support/romm/schema.ts'
import { startMariadb } from '../test/support/services/mariadb.ts'

const MAIN = join(import.meta.dirname, '../src/main.ts')
const ROMM = join(import.meta.dirname, 'servers/romm.ts')
const FIRST_USER = 1_001
const FIRST_TOKEN = 1_000_001

export interface Token {
  readonly id: number
  readonly raw: string
}

export type Settings = Readonly<Record<string, string>>

/** A server, asked over connections that stay. */
export class Peer {
  readonly url: string
  readonly #edge: Pool
  readonly #probes: string

  constructor(edge: string, probes: string) {
    this.url = edge
    this.#edge = new Pool(edge, { connections: 64 })
    this.#probes = probes
  }

  /** @returns the status */
  ask(raw: string, method: 'GET' | 'DELETE' = 'GET', path = '/api/roms/1'): Promise<number> {
    return this.send({ authorization: `Bearer ${raw}` }, method, path)
  }

  /** @returns the status */
  async send(
    headers: Readonly<Record<string, string>>,
    method: 'GET' | 'DELETE' = 'GET',
    path = '/api/roms/1',
  ): Promise<number> {
    const { statusCode, body } = await this.#edge.request({ method, path, headers })
    await body.dump()
    return statusCode
  }

  /** Of `/metrics`; 0 for one that is not there. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.#probes}/metrics`)).text()
    const line = text.split('\n').find((one) => one.startsWith(`${name} `) || one.startsWith(`${name}{`))
    return Number(line?.slice(line.lastIndexOf(' ')) ?? 0)
  }

  close(): Promise<void> {
    return this.#edge.destroy()
  }
}

/** RomM with its database, filled with the fixture; and what is started before it. */
export class Installation {
  /** The database's owner. */
  readonly connection: Connection
  readonly romm: Peer
  /** An admin's. */
  readonly admin: string
  readonly #settings: Settings
  /** How the database is named. */
  readonly #source: Settings
  readonly #closing: Closing
  #tokens = 0

  private constructor(
    connection: Connection,
    romm: Peer,
    settings: Settings,
    source: Settings,
    closing: Closing,
  ) {
    this.connection = connection
    this.#source = source
    this.romm = romm
    this.admin = readFixture().client_tokens[0]?.raw ?? ''
    this.#settings = settings
    this.#closing = closing
  }

  static async start(closing: Closing): Promise<Installation> {
    const database = await filled(closing)
    const folder = await mkdtemp(join(tmpdir(), 'postern-bench-'))
    closing.add(() => rm(folder, { recursive: true, force: true }))
    await generateKey(join(folder, 'keys'), 'EdDSA', Date.now())
    const connection = await connect(database)
    closing.add(() => connection.end())
    const env = { POSTERN_BENCH_DATABASE: JSON.stringify(database) }
    const url = `http://127.0.0.1:${await lineOf(launch(closing, [ROMM], env), () => true)}`
    const romm = new Peer(url, url)
    closing.add(() => romm.close())
    const settings = {
      ...inFolder(folder),
      'upstream.url': url,
      'log.decisions': 'off',
    }
    const source = databaseSettings(await createReader(database, 2))
    return new Installation(connection, romm, settings, source, closing)
  }

  /** A `postern serve` of its own, on free ports. */
  serve(settings: Settings = {}): Promise<Peer> {
    return this.serveWithout({ ...this.#source, ...settings })
  }

  /** One that has no database, and has to ask RomM. */
  async serveWithout(settings: Settings): Promise<Peer> {
    const sets = Object.entries({ ...this.#settings, ...settings }).flatMap(([name, value]) => [
      '--set',
      `${name}=${value}`,
    ])
    const server = launch(this.#closing, [MAIN, 'serve', ...sets])
    const line = await lineOf(server, (text) => text.includes('"msg":"listening"'))
    const { edge, probes } = JSON.parse(line) as { readonly edge: string; readonly probes: string }
    const peer = new Peer(`http://${edge}`, `http://${probes}`)
    this.#closing.add(() => peer.close())
    return peer
  }

  /** New tokens, each of a new user. */
  async addTokens(count: number): Promise<readonly Token[]> {
    const tokens = Array.from({ length: count }, (_, i) => {
      const number = this.#tokens + i
      return {
        id: FIRST_TOKEN + number,
        user: FIRST_USER + number,
        raw: `rmm_${hash('sha256', `${number}`)}`,
      }
    })
    this.#tokens += count
    const users = tokens.map(({ user }) => `(${user}, 'bench ${user}', true, 'user')`)
    const rows = tokens.map(
      ({ id, user, raw }) => `(${id}, ${user}, 'bench', '${hash('sha256', raw)}', 'me.read roms.read')`,
    )
    await this.connection.query(`insert into users (id, username, enabled, role) values ${users.join(', ')}`)
    await this.connection.query(
      `insert into client_tokens (id, user_id, name, hashed_token, scopes) values ${rows.join(', ')}`,
    )
    return tokens
  }
}

/** What is to be closed, the latest first. */
export class Closing {
  readonly #tasks: (() => unknown)[] = []

  add(task: () => unknown): void {
    this.#tasks.unshift(task)
  }

  async close(): Promise<void> {
    for (const task of this.#tasks) await task()
  }
}

async function filled(closing: Closing): Promise<Database> {
  const server = await startMariadb()
  closing.add(() => server.close())
  const { hostname: host, port, username: user, password } = new URL(server.url)
  const owner: Database = { kind: 'mariadb', host, port: Number(port), user, password, database: 'romm' }
  await execute({ ...owner, database: '' }, ['create database romm'])
  await createRommSchema(owner, 2)
  await fillRomm(owner, 2)
  return owner
}

function launch(closing: Closing, args: readonly string[], env: Settings = {}): ChildProcess {
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  // Whatever way the bench ends, its servers end with it.
  process.once('exit', () => child.kill('SIGKILL'))
  const ended = once(child, 'close')
  closing.add(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return child
}

/** The line in which a server says that it listens. @throws Error when it ends before */
async function lineOf({ stdout }: ChildProcess, isIt: (line: string) => boolean): Promise<string> {
  if (stdout === null) throw new Error('its output is not read')
  const lines = createInterface({ input: stdout })
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  lines.on('line', (line) => {
    if (isIt(line)) resolve(line)
  })
  lines.once('close', () => reject(new Error('a server ended before it listened')))
  return promise
}
