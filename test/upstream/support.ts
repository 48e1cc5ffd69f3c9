import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from 'node:net'
import type { Duplex, Writable } from 'node:stream'
import { promisify } from 'node:util'
import type t from 'tap'
import { type Permit, issuePermit } from '../../src/pipeline/permit.ts'
import { REASONS } from '../../src/pipeline/reason.ts'
import type { RouteRule } from '../../src/pipeline/rule.ts'
import { parseTarget } from '../../src/request/target.ts'
import type { ForwardReport } from '../../src/upstream/exchange.ts'
import type { UpgradeReport } from '../../src/upstream/tunnel.ts'
import { createUpstream, type Upstream, type UpstreamOptions } from '../../src/upstream/upstream.ts'

type Test = Pick<typeof t, 'teardown'>
export type Report = ForwardReport | UpgradeReport

/** A value that comes later; the tests wait for these instead of sleeping. */
export interface Later<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
}

export function later<T = void>(): Later<T> {
  return Promise.withResolvers<T>()
}

export async function portOf(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** A backend that is no HTTP server at all: it sees bytes and says bytes. */
export async function rawBackend(test: Test, serve: (socket: Socket) => void): Promise<string> {
  const open = new Set<Socket>()
  const server = createTcpServer((socket) => {
    open.add(socket.on('error', () => undefined).on('close', () => open.delete(socket)))
    serve(socket)
  })
  const port = await portOf(server)
  test.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return `http://127.0.0.1:${port}`
}

/** Answers every request that has arrived up to its empty line. */
export function perRequest(socket: Socket, answer: (head: string, nth: number) => string | undefined): void {
  let text = ''
  let nth = 0
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
      const head = text.slice(0, end)
      text = text.slice(end + 4)
      const bytes = answer(head, nth++)
      if (bytes !== undefined) socket.write(bytes, 'latin1')
    }
  })
}

export async function httpBackend(test: Test, serve: RequestListener): Promise<string> {
  const server = createServer(serve)
  server.requestTimeout = 0
  const port = await portOf(server)
  test.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${port}`
}

const RULE: RouteRule = {
  template: '/**',
  methods: '*',
  requirement: { kind: 'public' },
  origin: 'operator',
  conceal: false,
  socket: true,
  input: [],
  backendChecksScopes: false,
  hint: undefined,
}

const HOP = new Set(['connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade'])

/** @param more headers that did not come with the request */
export function permitFor(req: IncomingMessage, upgrade = false, more: readonly string[] = []): Permit {
  const method = req.method ?? 'GET'
  const target = parseTarget(req.url ?? '/', method, req.headers.host ?? '')
  if (!target.ok) throw new Error(target.fault)
  const headers: string[] = []
  for (let i = 0; i + 1 < req.rawHeaders.length; i += 2) {
    const name = req.rawHeaders[i] ?? ''
    if (!HOP.has(name.toLowerCase())) headers.push(name, req.rawHeaders[i + 1] ?? '')
  }
  headers.push(...more)
  const client = { address: '::1', peer: '::1', scheme: 'http', host: 'h', forwardedFor: '::1' } as const
  return issuePermit({
    requestId: String(req.headers['x-request-id'] ?? 'r'),
    method,
    target: target.target,
    headers,
    rule: RULE,
    principal: undefined,
    credential: undefined,
    client,
    upgrade,
  })
}

export interface Gateway {
  readonly port: number
  readonly upstream: Upstream
  readonly permits: Permit[]
  readonly failures: string[]
  /** Client connections that are open. */
  readonly connections: () => Promise<number>
  /** The next report that nobody has taken yet. */
  readonly report: () => Promise<Report>
}

/** Room for every client of a test. */
const ROOMY = {
  connections: 256,
  connectionsPerClient: 256,
  queue: 1024,
  queuePerClient: 1024,
  queueTimeout: 60_000,
  sockets: { max: 1024, perClient: 1024 },
  onExcess: () => undefined,
} as const

export function upstreamFor(
  test: Test,
  url: string,
  options: Partial<UpstreamOptions> = {},
): { upstream: Upstream; failures: string[] } {
  const failures: string[] = []
  const upstream = createUpstream({
    url,
    connectTimeout: 5000,
    headersTimeout: 60_000,
    bodyTimeout: 60_000,
    keepAliveTimeout: 4000,
    handshakeTimeout: 10_000,
    maxHeaderSize: 16_384,
    ...ROOMY,
    onFailure: (reason) => failures.push(reason),
    ...options,
  })
  test.teardown(() => upstream.close(0))
  return { upstream, failures }
}

/** A server in front of `url` that permits everything and answers what the upstream could not. */
export async function gateway(
  test: Test,
  url: string,
  options: Partial<UpstreamOptions> = {},
): Promise<Gateway> {
  const { upstream, failures } = upstreamFor(test, url, options)
  const reports: Report[] = []
  const waiting: ((report: Report) => void)[] = []
  const permits: Permit[] = []
  const settle = (report: Report): void => {
    const next = waiting.shift()
    if (next) next(report)
    else reports.push(report)
  }
  const serve = (req: IncomingMessage, res: ServerResponse, sendContinue?: () => void): void => {
    const permit = permitFor(req)
    permits.push(permit)
    const done = (report: Report): void => {
      if (report.kind === 'failed') res.writeHead(REASONS[report.reason].status).end(report.reason)
      settle(report)
    }
    upstream.forward(permit, req, res, done, sendContinue)
  }
  const server = createServer((req, res) => serve(req, res))
  server.on('checkContinue', (req: IncomingMessage, res: ServerResponse) =>
    serve(req, res, () => res.writeContinue()),
  )
  server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
    const permit = permitFor(req, true)
    permits.push(permit)
    upstream.upgrade(permit, socket, head, (report) => {
      if (report.kind === 'failed') socket.end(`HTTP/1.1 ${REASONS[report.reason].status} No\r\n\r\n`)
      settle(report)
    })
  })
  const port = await portOf(server)
  test.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const report = (): Promise<Report> => {
    const first = reports.shift()
    return first ? Promise.resolve(first) : new Promise((resolve) => waiting.push(resolve))
  }
  const connections = (): Promise<number> => promisify(server.getConnections.bind(server))()
  return { port, upstream, permits, failures, connections, report }
}

/** Writes bytes to a port and resolves with all that came back until the other end closed. */
export function raw(port: number, text: string | Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    let got = ''
    socket.on('data', (chunk: Buffer) => (got += chunk.toString('latin1')))
    socket.on('error', () => undefined).on('close', () => resolve(got))
    socket.write(text)
  })
}

/** A GET that asks for the connection to be closed, so that `raw` sees the end. */
export function get(target: string, more = '', method = 'GET'): string {
  return `${method} ${target} HTTP/1.1\r\nHost: games.example\r\n${more}Connection: close\r\n\r\n`
}

/** Resolves with what came on the socket as soon as it contains `part`. */
export function until(socket: Duplex, part: string): Promise<string> {
  return new Promise((resolve) => {
    let got = ''
    const look = (chunk: Buffer): void => {
      got += chunk.toString('latin1')
      if (!got.includes(part)) return
      socket.off('data', look)
      resolve(got)
    }
    socket.on('data', look)
  })
}

export function closed(socket: Duplex): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve()
    else socket.on('error', () => undefined).once('close', () => resolve())
  })
}

export interface Flood {
  readonly sent: () => number
  /** Resolves once nothing has moved for many rounds of the loop: every buffer on the way is full. */
  readonly stalled: Promise<void>
}

/** Writes `total` bytes as fast as they are taken, then ends. */
export function flood(to: Writable, total: number): Flood {
  const block = Buffer.alloc(64 * 1024, 'x')
  const { promise, resolve } = later()
  let sent = 0
  const more = (): void => {
    while (sent < total) {
      sent += block.length
      if (!to.write(block)) return void to.once('drain', more)
    }
    to.end()
  }
  let last = -1
  let still = 0
  const watch = setInterval(() => {
    still = last === sent ? still + 1 : 0
    last = sent
    if (still < 20) return
    clearInterval(watch)
    resolve()
  }, 10)
  more()
  return { sent: () => sent, stalled: promise }
}
