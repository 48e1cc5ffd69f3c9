import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { posix } from 'node:path'
import type { Duplex } from 'node:stream'
import { parseArgs } from 'node:util'
import { WebSocketServer } from 'ws'
import { Backend } from './backend.ts'
import { readFixture, readOpenApi, readRoutes } from './facts.ts'
import { unquote } from './python.ts'
import { file, html, type Reply, text } from './reply.ts'
import { readTable, servedDocument } from './routes.ts'
import { generationOf } from './scopes.ts'
import { State } from './state.ts'

/**
 * A stand-in RomM: one server that answers as the recorded backend and the web server in front of it do, over
 * the users and credentials of the fixture. `node test/support/romm/standin.ts --port 8080` runs it alone.
 */
export interface StandinOptions {
  /** Default: any free one of 127.0.0.1. */
  readonly port?: number
  readonly host?: string
  /** Default `5.2.0`. Older ones answer 403 to anonymous requests and cap other users in kiosk mode. */
  readonly version?: string
  readonly kiosk?: boolean
  /** Default off, as when the decisions were recorded. */
  readonly csrf?: boolean
  /** DISABLE_DOWNLOAD_ENDPOINT_AUTH. */
  readonly openDownloads?: boolean
  /** Default: the fixture's. */
  readonly secret?: string
  /** false: nobody has an account yet, as at a first run. */
  readonly users?: boolean
  /** Overrides what the heartbeat says of the setup wizard; by default it is true while no admin exists. */
  readonly setupWizard?: boolean
  /** Milliseconds since the epoch. */
  readonly now?: () => number
  /** Awaited before the answer to whatever is no GET or HEAD: `state` may have changed. */
  readonly commit?: (state: State) => Promise<void>
}

/** A request as it arrived. */
export interface Received {
  readonly method: string
  /** The raw target. */
  readonly target: string
  readonly headers: IncomingHttpHeaders
  /** Names and values in turn, in the order and the case in which they came. */
  readonly rawHeaders: readonly string[]
  /** The peer's `address:port`. */
  readonly remote: string
  readonly upgrade: boolean
  /** Of the body, so far. */
  bytes: number
}

export interface Standin {
  /** As is the port, it stays known after `close()`, so that another can be started in its place. */
  readonly url: string
  readonly port: number
  /** Users, tokens, sessions, groups: change them as an administrator or another client would. */
  readonly state: State
  /** What arrived since the start or the last `forget()`, the latest 10,000. */
  readonly requests: readonly Received[]
  /** How many times `GET /api/users/me` was asked. */
  readonly questions: number
  /** Answers in place of RomM when it returns true: to break, hold or delay what a test wants broken. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined
  /** Back to the fixture. */
  reset(): void
  forget(): void
  close(): Promise<void>
}

const REMEMBERED = 10_000
/** How much of a body is kept for its handler; the rest is only counted. */
const KEPT_BYTES = 1 << 20
const SOCKET_PATH = /^\/(?:ws|netplay)\/socket\.io\/?$/
const WEBSOCKET = /^websocket$/i

export async function startStandin(options: StandinOptions = {}): Promise<Standin> {
  const standin = new StandinServer(options)
  await standin.listen(options.port ?? 0, options.host ?? '127.0.0.1')
  return standin
}

class StandinServer implements Standin {
  readonly state: State
  readonly requests: Received[] = []
  url = ''
  port = 0
  questions = 0
  intercept: Standin['intercept']
  readonly reset: () => void
  readonly #backend: Backend
  readonly #commit: (state: State) => Promise<void>
  readonly #sockets = new WebSocketServer({ noServer: true })
  readonly #server = createServer(
    { keepAliveTimeout: 600_000, requestTimeout: 0, shouldUpgradeCallback: isSocket },
    (request, response) => void this.#serve(request, response),
  )

  constructor(options: StandinOptions) {
    const { version = '5.2.0', kiosk = false, csrf = false, openDownloads = false, users = true } = options
    const { now = Date.now, setupWizard, commit = () => Promise.resolve() } = options
    const fixture = readFixture()
    const generation = generationOf(version)
    const secret = options.secret ?? fixture.secret
    const facts = readRoutes()
    const document = servedDocument(readOpenApi(), facts, { version, openDownloads })
    const state = new State(generation, kiosk)
    const table = readTable(facts, document, openDownloads)
    const { anonymousStatus } = generation
    this.state = state
    this.#commit = commit
    this.reset = () => state.load(fixture, users, now())
    this.reset()
    const settings = {
      state,
      secret,
      kiosk,
      now,
      table,
      document,
      csrf,
      version,
      anonymousStatus,
      setupWizard,
    }
    this.#backend = new Backend(settings)
    this.#server.on('upgrade', (request, socket, head) => void this.#upgrade(request, socket, head))
  }

  async listen(port: number, host: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#server.once('error', reject).listen(port, host, resolve)
    await promise
    // A TCP server that listens has an address of this type.
    const { address, family, port: bound } = this.#server.address() as AddressInfo
    this.port = bound
    this.url = `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`
  }

  forget(): void {
    this.requests.length = 0
    this.questions = 0
  }

  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    for (const socket of this.#sockets.clients) socket.terminate()
    this.#server.close(() => resolve())
    this.#server.closeAllConnections()
    await promise
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const received = this.#record(request, false)
    if (this.intercept?.(request, response) === true) return
    try {
      const reply = await this.#front(request, received)
      if (!isSafe(received)) await this.#commit(this.state)
      write(response, reply)
    } catch {
      // RomM fact: an exception, of whatever kind, is a 500 without cookies or CORS headers.
      write(response, text(500, 'Internal Server Error'))
    }
  }

  #record(request: IncomingMessage, upgrade: boolean): Received {
    const { method = '', url: target = '', headers, rawHeaders, socket } = request
    const remote = `${socket.remoteAddress}:${socket.remotePort}`
    const received = { method, target, headers, rawHeaders, remote, upgrade, bytes: 0 }
    if (this.requests.length >= REMEMBERED) this.requests.splice(0, REMEMBERED / 2)
    this.requests.push(received)
    if (method === 'GET' && /^\/api\/users\/me\/?$/.test(pathOf(target))) this.questions += 1
    return received
  }

  /** The web server in RomM's image: it chooses by the decoded path and hands on the raw target. */
  async #front(request: IncomingMessage, received: Received): Promise<Reply> {
    const location = locationOf(received.target)
    if (/^\/(?:api|ws|netplay)|^\/openapi\.json$/.test(location)) {
      const query = /\?.*/s.exec(received.target)?.[0].slice(1) ?? ''
      const readBody = (): Promise<Buffer> => receive(request, received)
      return this.#backend.answer(request, pathOf(received.target), query, readBody)
    }
    return staticReply(request, location)
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    this.#record(request, true)
    socket.on('error', () => socket.destroy())
    try {
      const caller = await this.#backend.identifySocket(request)
      this.#sockets.handleUpgrade(request, socket, head, (client) => {
        client.on('message', (data, isBinary) => client.send(data, { binary: isBinary }))
        // What is no frame ends the socket, which `ws` does by itself.
        client.on('error', () => undefined)
        client.send(JSON.stringify({ url: request.url, user: caller?.user.username ?? null }))
      })
    } catch {
      socket.end('HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
    }
  }
}

function isSafe({ method }: Received): boolean {
  return method === 'GET' || method === 'HEAD'
}

function isSocket({ method, url = '', headers }: IncomingMessage): boolean {
  return method === 'GET' && WEBSOCKET.test(headers.upgrade ?? '') && SOCKET_PATH.test(locationOf(url))
}

const pathOf = (target: string): string => target.replace(/\?.*/s, '').replace(/^https?:\/\/[^/]*/, '')

/** What nginx compares with its locations: decoded, slashes merged, dots resolved. */
const locationOf = (target: string): string => posix.normalize(unquote(pathOf(target)))

/** RomM fact: covers, manuals and bundles are public files; whatever else exists nowhere is the web client. */
function staticReply({ method, headers }: IncomingMessage, location: string): Reply {
  if (/^\/(?:library|cache)\/|^\/decode$/.test(location)) return html(404, '404 Not Found')
  if (method !== 'GET' && method !== 'HEAD') return html(405, '405 Not Allowed')
  if (location.startsWith('/assets/romm/resources/')) return file(headers, posix.basename(location))
  if (/^\/assets\/[\w-]+\.(?:js|css)$/.test(location)) return text(200, '/* a bundle */', 'text/javascript')
  if (/^\/assets(?:\/|$)/.test(location)) return html(404, '404 Not Found')
  const index = html(200, '<!doctype html><title>RomM</title><div id="app"></div>')
  const isolated = /^\/rom\/[^/]+\/ejs$|^\/console\/rom\/[^/]+\/play$/.test(location)
  return isolated ? { ...index, headers: [...(index.headers ?? []), ...ISOLATION] } : index
}

/** Players need SharedArrayBuffer. */
const ISOLATION = [
  ['cross-origin-embedder-policy', 'require-corp'],
  ['cross-origin-opener-policy', 'same-origin'],
] as const

async function receive(request: AsyncIterable<Buffer>, received: Received): Promise<Buffer> {
  const kept: Buffer[] = []
  for await (const chunk of request) {
    if (received.bytes < KEPT_BYTES) kept.push(chunk)
    received.bytes += chunk.length
  }
  return Buffer.concat(kept)
}

function write(response: ServerResponse, { status, headers = [], body = '' }: Reply): void {
  const length = status === 204 ? [] : ['content-length', String(Buffer.byteLength(body))]
  response.writeHead(status, [...headers.flat(), ...length]).end(body)
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '8080' },
      host: { type: 'string', default: '127.0.0.1' },
      version: { type: 'string', default: '5.2.0' },
      kiosk: { type: 'boolean', default: false },
      csrf: { type: 'boolean', default: false },
      'open-downloads': { type: 'boolean', default: false },
    },
  })
  const { port, host, version, kiosk, csrf, 'open-downloads': openDownloads } = values
  const standin = await startStandin({ port: Number(port), host, version, kiosk, csrf, openDownloads })
  console.log(standin.url)
}
