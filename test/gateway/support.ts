import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Redis } from 'ioredis'
import type { Test } from 'tap'
import { databaseSettings } from '../support/gateway.ts'
import { readFixture } from '../support/romm/facts.ts'
import { fillRomm, fillSessions } from '../support/romm/fixture.ts'
import { createReader, createRommSchema } from '../support/romm/schema.ts'
import { type Database } from '../support/database.ts'
import { freshPostgres, freshRedis } from '../support/services.ts'
import type { Server } from '../support/services/server.ts'

export const fixture = readFixture()

/** Enough for every credential of the fixture to be asked about at once, and to fail. */
export const ASK_FREELY = {
  'ask.rate': '100000',
  'ask.ratePerAddress': '100000',
  'attempts.perAddress': '100000',
}

/** RomM's secret, database and sessions, filled with the fixture. */
export interface Ladder {
  /** All but the upstream's URL. */
  readonly settings: Readonly<Record<string, string>>
  /** RomM's own. */
  readonly redis: Server
  /** As its owner sees it. */
  readonly database: Database
  /** As the gateway sees it. */
  readonly reader: Database
}

export async function freshLadder(
  t: Test,
  make: (t: Test) => Promise<Database> = freshPostgres,
): Promise<Ladder> {
  const database = await make(t)
  await createRommSchema(database, 2)
  await fillRomm(database, 2)
  const redis = await freshRedis(t)
  const client = new Redis(redis.url)
  await fillSessions(client)
  client.disconnect()
  const reader = await createReader(database, 2)
  const settings = {
    ...ASK_FREELY,
    'romm.secret': fixture.secret,
    'romm.redis.url': redis.url,
    ...databaseSettings(reader),
  }
  return { settings, redis, database, reader }
}

/** An answer as its bytes came. */
export interface RawAnswer {
  readonly status: number
  /** Status line and headers. */
  readonly head: string
  /** One character a byte. */
  readonly body: string
  /** Every value of a header; the name in any case. */
  all(name: string): string[]
  /** The only value of a header, or undefined. @throws if there are several */
  one(name: string): string | undefined
}

/** A client that writes what it is told, byte for byte. */
export class RawClient {
  readonly socket: Socket
  #text = ''
  #ended = false
  #failure: string | undefined
  #wake: () => void = () => undefined

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => this.#note(() => (this.#text += chunk.toString('latin1'))))
    socket.on('end', () => this.#note(() => (this.#ended = true)))
    socket.on('close', () => this.#note(() => (this.#ended = true)))
    socket.on('error', (error) => this.#note(() => (this.#failure = error.message)))
  }

  static async open(t: Test, port: number): Promise<RawClient> {
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    await once(socket, 'connect')
    return new RawClient(socket)
  }

  send(bytes: string | Buffer): this {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
    return this
  }

  /** What came that no answer was made of. */
  get rest(): string {
    return this.#text
  }

  get failure(): string | undefined {
    return this.#failure
  }

  /** The next answer. @param to the method that it answers: HEAD has no body */
  async answer(to = 'GET'): Promise<RawAnswer> {
    const end = await this.#until(() => this.#text.indexOf('\r\n\r\n'))
    const head = this.#text.slice(0, end)
    this.#text = this.#text.slice(end + 4)
    const read = readHead(head)
    const bodiless = to === 'HEAD' || read.status < 200 || read.status === 204 || read.status === 304
    return { ...read, body: bodiless ? '' : await this.#body(read) }
  }

  /** Resolves when the other end has closed or broken the connection. */
  async ended(): Promise<void> {
    await this.#until(() => (this.#ended ? 0 : -1), true)
  }

  async #body({ one }: Pick<RawAnswer, 'one'>): Promise<string> {
    if (one('transfer-encoding') === 'chunked') return this.#chunks()
    const length = one('content-length')
    if (length === undefined) await this.ended()
    else await this.#until(() => this.#text.length - Number(length))
    return this.#take(length === undefined ? this.#text.length : Number(length))
  }

  async #chunks(): Promise<string> {
    let body = ''
    for (;;) {
      const line = await this.#until(() => this.#text.indexOf('\r\n'))
      const size = Number.parseInt(this.#take(line + 2), 16)
      await this.#until(() => this.#text.length - size - 2)
      body += this.#take(size)
      this.#take(2)
      if (size === 0) return body
    }
  }

  #take(length: number): string {
    const taken = this.#text.slice(0, length)
    this.#text = this.#text.slice(length)
    return taken
  }

  /** @param look what is waited for is there once this is not negative */
  async #until(look: () => number, evenAfterEnd = false): Promise<number> {
    for (;;) {
      const found = look()
      if (found >= 0) return found
      if (this.#ended && !evenAfterEnd)
        throw new Error(`the connection ended (${this.#failure ?? 'in order'}) after: ${this.#text}`)
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  #note(change: () => void): void {
    change()
    this.#wake()
  }
}

function readHead(head: string): Omit<RawAnswer, 'body'> {
  const [line = '', ...fields] = head.split('\r\n')
  const pairs = fields.map((field) => {
    const colon = field.indexOf(':')
    return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()] as const
  })
  const all = (name: string): string[] =>
    pairs.filter(([key]) => key === name.toLowerCase()).map(([, value]) => value)
  const one = (name: string): string | undefined => {
    const values = all(name)
    if (values.length > 1) throw new Error(`several ${name}: ${values.join(' | ')}`)
    return values[0]
  }
  return { status: Number(line.split(' ')[1]), head, all, one }
}

/** Sends bytes on a connection of their own and reads one answer. */
export async function talk(
  t: Test,
  port: number,
  bytes: string | Buffer,
  to?: string,
): Promise<RawAnswer & { readonly client: RawClient }> {
  const client = await RawClient.open(t, port)
  return { ...(await client.send(bytes).answer(to)), client }
}

/** A request without body. @param fields header lines */
export function message(target: string, fields: readonly string[] = [], method = 'GET'): string {
  return [`${method} ${target} HTTP/1.1`, 'Host: games.example', ...fields, '', ''].join('\r\n')
}

/** The credential's headers as lines. */
export function lines(headers: Readonly<Record<string, string>>): string[] {
  return Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
}

/** What every refusal has, and its reason. */
export function isRefusal(t: Test, answer: RawAnswer, status: number, reason: string): void {
  t.equal(answer.status, status, answer.head)
  t.equal(answer.one('postern-reason'), reason)
  t.equal(answer.one('content-type'), 'application/json')
  t.equal(answer.one('cache-control'), 'no-store')
  t.equal(answer.one('vary'), 'Authorization, Cookie')
  t.match(answer.one('x-request-id'), /^[0-9a-f-]{36}$/)
  t.equal(answer.one('location'), undefined)
  t.equal(answer.one('retry-after') !== undefined, status === 503 || status === 429)
  t.match(answer.body, /^\{"detail":"/)
  if (status === 404) t.equal(answer.body, '{"detail":"Not Found"}')
  else t.match(JSON.parse(answer.body), { reason, request_id: answer.one('x-request-id') })
}

/** Looks again and again, since servers come back when they do. @throws after ten seconds */
export async function eventually(look: () => Promise<boolean>): Promise<void> {
  const giveUp = AbortSignal.timeout(10_000)
  while (!(await look())) {
    giveUp.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
