import { lstat, unlink } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { connect, Server as NetServer, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { PosternError } from '../errors.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { Reason } from '../pipeline/reason.ts'
import type { IncomingRequest, OutgoingResponse } from '../request/exchange.ts'
import { boundConnections } from './connections.ts'
import type { ConnectionLimits } from './connections.ts'
import { Conversation } from './conversation.ts'
import { IdleConnections } from './idle.ts'
import { PlainConnection } from './plain/connection.ts'
import type { PlainOwner } from './plain/connection.ts'

/** What stands behind a listener. */
export interface Handler {
  /** Whether the other end of a connection is a trusted proxy. */
  trusts(remoteAddress: string): boolean
  /** @param sendContinue where the client waits for `100 Continue` */
  handle(req: IncomingRequest, res: OutgoingResponse, sendContinue?: () => void): void
  mayUpgrade(req: IncomingRequest): boolean
  upgrade(req: IncomingRequest, socket: Duplex, head: Buffer): void
  refuseRaw(socket: Duplex, reason: Reason): void
  refuseExpectation(req: IncomingRequest, res: OutgoingResponse): void
}

/** Bytes, and milliseconds. */
export interface EdgeLimits extends ConnectionLimits {
  readonly headerBytes: number
  readonly headersTimeout: number
  readonly keepAliveTimeout: number
  readonly idleTimeout: number
}

export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/** Milliseconds. */
const SLOWEST_CHECK = 5_000

/** The listener on which the backend is served. */
export class EdgeServer {
  readonly #server: Server
  /** Gives a connection to Node's server. */
  readonly #attach: (socket: Socket) => void
  readonly #plain = new Set<PlainConnection>()
  readonly #plainOwner: PlainOwner
  readonly #current: () => Handler
  readonly #conversations = new WeakMap<Duplex, Conversation>()
  readonly #idle: IdleConnections
  #draining = false

  /** @param current the handler of the moment: a new configuration brings a new one */
  constructor(limits: EdgeLimits, current: () => Handler, metrics: Pick<Metrics, 'connectionRefused'>) {
    this.#current = current
    this.#plainOwner = {
      ...limits,
      onRequest: (req, res) => this.#handle(req, res),
      onUnusual: (connection) => this.#handOver(connection),
      onSilent: (connection) => this.#endSilent(connection),
      onClosed: (connection) => this.#plain.delete(connection),
    }
    const server = createServer({
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersTimeout,
      // How often Node looks for late ones; by default a limit of seconds could be missed by half a minute.
      connectionsCheckingInterval: Math.min(Math.ceil(limits.headersTimeout / 4), SLOWEST_CHECK),
      // Idle ones are looked after below.
      keepAliveTimeout: 0,
      // Whole uploads may take hours; what counts is that they keep flowing (idleTimeout).
      requestTimeout: 0,
      // A missing Host is refused by us, in JSON.
      requireHostHeader: false,
      noDelay: true,
      shouldUpgradeCallback: (req) => this.#mayUpgrade(req),
      optimizeEmptyRequests: true,
    })
    // Some releases of Node drop what is more, and without its `Authorization` a request would be another one. So none
    // is dropped here, and the handler counts them; their bytes are bounded above.
    server.maxHeadersCount = 0
    server.setTimeout(limits.idleTimeout, (socket) => this.#endIdle(socket))
    this.#attach = takeOver(server)
    this.#idle = new IdleConnections(limits.keepAliveTimeout, limits.idleTimeout / 8)
    server.on('connection', (socket) => this.#begin(socket))
    boundConnections(server, limits, {
      isProxy: (peer) => current().trusts(peer),
      onRefused: (bound) => metrics.connectionRefused(bound),
    })
    server.on('request', (req, res) => this.#handle(req, res))
    server.on('checkContinue', (req, res) => this.#handle(req, res, continuing(req, res)))
    server.on('checkExpectation', (req, res) => {
      if (this.#conversation(req.socket).begin(req, res)) current().refuseExpectation(req, res)
    })
    server.on('upgrade', (req, socket, head) => {
      this.#idle.forget(req.socket)
      current().upgrade(req, socket, head)
    })
    server.on('connect', (_req, socket) => current().refuseRaw(socket, 'malformed_request'))
    server.on('clientError', (error, socket) => this.#refuseUnparsed(error, socket))
    this.#server = server
  }

  /**
   * @param setting where the address stands
   * @returns the address it got, for port 0. @throws PosternError `listen_failed`
   */
  listen(address: Address, setting: string): Promise<string> {
    return listen(this.#server, address, setting)
  }

  /**
   * Takes no new connections and ends idle ones; resolves when every exchange is over, or after `graceMs`.
   * @param lingerMs for which idle connections wait for a request, whose answer tells the client to open another connection:
   * where others go on listening here, none needs to meet a connection that closes
   */
  async close(graceMs: number, lingerMs = 0): Promise<void> {
    this.#draining = true
    const closed = Promise.withResolvers<void>()
    // The server's own would end idle connections with it.
    NetServer.prototype.close.call(this.#server, () => closed.resolve())
    const endIdle = (): void => {
      this.#server.closeIdleConnections()
      for (const { socket, isIdle } of this.#plain) if (isIdle) socket.destroy()
    }
    if (lingerMs === 0) endIdle()
    // A connection whose last answer ends from now on would otherwise be kept for its next request.
    const idle = setInterval(endIdle, Math.max(lingerMs, 50))
    const grace = setTimeout(() => {
      this.#server.closeAllConnections()
      for (const { socket } of this.#plain) socket.destroy()
    }, graceMs)
    await closed.promise
    clearInterval(idle)
    clearTimeout(grace)
  }

  #conversation(socket: Duplex): Conversation {
    const known = this.#conversations.get(socket)
    if (known !== undefined) return known
    const conversation = new Conversation()
    this.#conversations.set(socket, conversation)
    return conversation
  }

  #begin(socket: Socket): void {
    const conversation = this.#conversation(socket)
    const connection = new PlainConnection(socket, conversation, this.#plainOwner)
    this.#plain.add(connection)
    this.#idle.watch(socket, conversation, (now) => connection.look(now))
  }

  #handle(req: IncomingRequest, res: OutgoingResponse, sendContinue?: () => void): void {
    if (this.#draining) res.shouldKeepAlive = false
    if (this.#conversation(req.socket).begin(req, res)) this.#current().handle(req, res, sendContinue)
  }

  #handOver(connection: PlainConnection): void {
    connection.leave()
    this.#plain.delete(connection)
    this.#attach(connection.socket)
    connection.socket.resume()
  }

  #endSilent(connection: PlainConnection): void {
    const { socket } = connection
    connection.leave()
    // Until then it is one of those that closing looks after.
    socket.once('close', () => this.#plain.delete(connection))
    this.#current().refuseRaw(socket, 'request_timeout')
  }

  #mayUpgrade(req: IncomingMessage): boolean {
    const conversation = this.#conversation(req.socket)
    // A socket opened behind an answer that is still due would speak before it.
    const wanted = !this.#draining && !conversation.isAnswering && this.#current().mayUpgrade(req)
    if (!wanted) conversation.endWith(req)
    return wanted
  }

  #refuseUnparsed(error: NodeJS.ErrnoException, socket: Duplex): void {
    const conversation = this.#conversation(socket)
    if (conversation.isLastDue || isEnding(socket)) return
    const mayAnswer = !conversation.isAnswering || conversation.isReadingItsBody(socket)
    if (error.code !== 'ECONNRESET' && socket.writable && mayAnswer) {
      this.#current().refuseRaw(socket, UNPARSED[error.code ?? ''] ?? 'malformed_request')
    } else if (conversation.hasBegunAnswer && socket instanceof Socket) socket.destroySoon()
    // Another answer would be read as the one that is awaited.
    else socket.destroy()
  }

  /** Silent for too long; only an upload that stopped has an answer to wait for. */
  #endIdle(socket: Socket): void {
    if (socket.writable && this.#conversation(socket).isReadingItsBody(socket)) {
      this.#current().refuseRaw(socket, 'request_timeout')
    } else socket.destroy()
  }
}

/** What comes after its last answer is nobody's, however much. */
function isEnding(socket: Duplex): boolean {
  return socket.writableEnded && !socket.destroyed
}

/** Takes from a server what it does with a new connection, to be done when it is wanted. */
function takeOver(server: Server): (socket: Socket) => void {
  const listeners = server.listeners('connection')
  server.removeAllListeners('connection')
  return (socket) => {
    for (const listener of listeners) Reflect.apply(listener, server, [socket])
  }
}

/** RFC 9110 §10.1.1: only from HTTP/1.1 on may an interim answer be sent. */
function continuing(req: IncomingMessage, res: ServerResponse): (() => void) | undefined {
  if (req.httpVersion !== '1.1') return undefined
  return () => {
    // Behind an answer that is still due, Node would put it between the head and the body of this request's own. Who
    // pipelines may not wait for it for ever.
    if (res.socket !== null) res.writeContinue()
  }
}

const UNPARSED: Readonly<Record<string, Reason>> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'content_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
}

/** Opens a listener. @throws PosternError `listen_failed` that names the address, its setting and what to do */
export async function listen(server: Server, address: Address, setting: string): Promise<string> {
  if (address.kind === 'unix') await removeAbandoned(address.path)
  return bind(server, address, setting)
}

/** A process that was killed leaves its socket behind, and no other could take its place. */
async function removeAbandoned(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (found?.isSocket() !== true) return
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const probe = connect(path, () => resolve(false))
  probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'))
  const isAbandoned = await promise
  probe.destroy()
  // What cannot be removed is what `bind` speaks of.
  if (isAbandoned) await unlink(path).catch(() => undefined)
}

function bind(server: Server, address: Address, setting: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const named = address.kind === 'tcp' ? `${bracketed(address.host)}:${address.port}` : `unix:${address.path}`
  const fail = (error: NodeJS.ErrnoException): void => {
    const sentence = `cannot listen on ${named} (${setting}): ${reasonFor(error)}`
    reject(new PosternError('listen_failed', sentence, { cause: error }))
  }
  server.once('error', fail)
  server.listen(
    address.kind === 'tcp' ? { host: address.host, port: address.port } : { path: address.path },
    () => {
      server.off('error', fail)
      const bound = server.address()
      resolve(
        typeof bound === 'object' && bound !== null ? `${bracketed(bound.address)}:${bound.port}` : named,
      )
    },
  )
  return promise
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

const LISTEN_FAULTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there already',
  EADDRNOTAVAIL: 'this machine does not have the address',
  EACCES: 'no permission (ports below 1024 need it)',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name is not known',
}

function reasonFor(error: NodeJS.ErrnoException): string {
  return LISTEN_FAULTS[error.code ?? ''] ?? error.message
}
