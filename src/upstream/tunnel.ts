import { createHash } from 'node:crypto'
import { STATUS_CODES, type IncomingHttpHeaders } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { Permit } from '../pipeline/permit.ts'
import { ClientGone, failureOf, type UpstreamFailure } from './failure.ts'
import { endToEnd, outgoing, valueOf } from './headers.ts'
import type { ResponseHeaders } from './observer.ts'
import type { Excess } from './shares.ts'
import type { SocketRegistry } from './sockets.ts'

/** How the handshake ended; the socket's life after it is the registry's matter. */
export type UpgradeReport =
  /** 101, or an ordinary answer that was passed on and ended the connection. */
  | { readonly kind: 'answered'; readonly status: number }
  /** Nothing was written: the caller answers on the socket. */
  | {
      readonly kind: 'failed'
      readonly reason: UpstreamFailure | Excess | 'malformed_request'
      readonly cause: unknown
    }
  /** The client left, or the socket was closed on demand. */
  | { readonly kind: 'aborted'; readonly status: number | undefined }

/** What a tunnel uses of the upstream it belongs to. */
export interface TunnelContext {
  /** Opens a connection for every handshake. */
  readonly fresh: Dispatcher
  readonly responseHeaders: ResponseHeaders | undefined
  readonly onFailure: (reason: UpstreamFailure, cause: unknown) => void
  readonly sockets: SocketRegistry
  readonly onExcess: (excess: Excess) => void
  /** Milliseconds until the upstream must have answered the handshake. */
  readonly handshakeTimeout: number
}

type Controller = Dispatcher.DispatchController

// How long one end may stay half-open after the other said goodbye.
const GOODBYE_MS = 30_000

/** A WebSocket handshake (RFC 6455 §4) and the bytes after it. */
export class Tunnel implements Dispatcher.DispatchHandler {
  readonly #context: TunnelContext
  readonly #permit: Permit
  readonly #client: Duplex
  readonly #done: (report: UpgradeReport) => void
  #controller: Controller | undefined
  #upstream: Duplex | undefined
  #status: number | undefined
  #goodbye: NodeJS.Timeout | undefined
  #over = false

  constructor(context: TunnelContext, permit: Permit, client: Duplex, done: (report: UpgradeReport) => void) {
    this.#context = context
    this.#permit = permit
    this.#client = client
    this.#done = done
  }

  /** @param head what the client sent after its request */
  start(head: Buffer): void {
    this.#client.on('error', ignore)
    // Who left while it was decided on has closed already, and would never be heard to close again.
    if (this.#client.destroyed) return this.#destroy()
    // Bytes sent before the answer would be taken for a request by an upstream that declines the upgrade
    // (RFC 6455 §4.1: the client waits for the server's response).
    if (head.length > 0) return this.#refuse()
    const excess = this.#context.sockets.add(this.#permit, this.#destroy)
    if (excess !== undefined) return this.#refuseExcess(excess)
    if (this.#over) return
    // The socket must flow, or nobody would notice that the client is gone.
    this.#client.on('data', this.#refuse).once('end', this.#destroy).once('close', this.#destroy).resume()
    const { fresh, handshakeTimeout } = this.#context
    const { method, target, headers } = this.#permit
    const options = { path: target.value, method, headers: outgoing(headers), upgrade: 'websocket' }
    fresh.dispatch({ ...options, headersTimeout: handshakeTimeout }, this)
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller
    if (this.#over) controller.abort(new ClientGone())
  }

  onRequestUpgrade(
    controller: Controller,
    status: number,
    headers: IncomingHttpHeaders,
    upstream: Duplex,
  ): void {
    upstream.on('error', ignore)
    if (this.#over || !this.#isAccepted(status, headers)) {
      upstream.destroy()
      return this.#fail(new Error('the upstream switched protocols without accepting the handshake'))
    }
    this.#stopWaiting()
    this.#upstream = upstream
    const kept = this.#responseHeaders(controller, headers)
    this.#client.write(headOf(101, [...kept, 'Connection', 'Upgrade', 'Upgrade', 'websocket']), 'latin1')
    this.#splice(upstream)
    this.#report({ kind: 'answered', status: 101 })
  }

  /** The upstream declines: an ordinary answer, after which the connection is of no more use. */
  onResponseStart(controller: Controller, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return
    this.#status = status
    this.#stopWaiting()
    this.#client.once('close', this.#destroy).on('data', ignore).resume()
    this.#client.on('drain', () => controller.resume())
    const kept = this.#responseHeaders(controller, headers)
    this.#client.write(headOf(status, [...kept, 'Connection', 'close']), 'latin1')
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (!this.#client.write(chunk)) controller.pause()
  }

  onResponseEnd(): void {
    this.#report({ kind: 'answered', status: this.#status ?? 0 })
    this.#client.end(this.#destroy)
  }

  onResponseError(_controller: Controller, error: Error): void {
    this.#fail(error)
  }

  #fail(cause: Error): void {
    if (this.#over) return
    const reason = failureOf(cause)
    this.#context.onFailure(reason, cause)
    if (this.#status !== undefined) return this.#destroy()
    this.#stopWaiting()
    this.#context.sockets.delete(this.#permit)
    this.#report({ kind: 'failed', reason, cause })
  }

  #refuseExcess(reason: Excess): void {
    this.#context.onExcess(reason)
    this.#report({ kind: 'failed', reason, cause: undefined })
  }

  readonly #refuse = (): void => {
    this.#stopWaiting()
    this.#context.sockets.delete(this.#permit)
    const cause = new Error('the client sent data before its handshake was answered')
    this.#report({ kind: 'failed', reason: 'malformed_request', cause })
    this.#controller?.abort(cause)
  }

  /** Ends it all, whatever state it is in. */
  readonly #destroy = (): void => {
    this.#context.sockets.delete(this.#permit)
    this.#client.destroy()
    this.#upstream?.destroy()
    this.#report({ kind: 'aborted', status: this.#status })
    if (this.#upstream === undefined) this.#controller?.abort(new ClientGone())
  }

  #stopWaiting(): void {
    this.#client.off('data', this.#refuse).off('end', this.#destroy).off('close', this.#destroy).pause()
  }

  #report(report: UpgradeReport): void {
    if (this.#over) return
    this.#over = true
    this.#done(report)
  }

  #responseHeaders(controller: Controller, headers: IncomingHttpHeaders): string[] {
    const kept = endToEnd(rawOf(controller), headers.connection)
    return this.#context.responseHeaders?.(this.#permit, kept) ?? kept
  }

  /** RFC 6455 §4.1: what makes a 101 an answer to this very handshake. */
  #isAccepted(status: number, headers: IncomingHttpHeaders): boolean {
    const key = valueOf(this.#permit.headers, 'sec-websocket-key')
    return (
      status === 101 &&
      key !== undefined &&
      /^websocket$/i.test(String(headers.upgrade)) &&
      /(?:^|,)\s*upgrade\s*(?:,|$)/i.test(String(headers.connection)) &&
      headers['sec-websocket-accept'] === acceptFor(key)
    )
  }

  #splice(upstream: Duplex): void {
    for (const end of [this.#client, upstream]) {
      if (end instanceof Socket) end.setTimeout(0).setNoDelay(true)
      end.once('end', this.#awaitGoodbye)
      end.once('close', () => this.#afterClose(end, end === upstream ? this.#client : upstream))
    }
    // pipe() passes each end's 'end' on to the other.
    upstream.pipe(this.#client).pipe(upstream)
  }

  readonly #awaitGoodbye = (): void => {
    this.#goodbye ??= setTimeout(this.#destroy, GOODBYE_MS)
  }

  /** An end that closed in order has its last bytes still on their way to the other; one that broke has none. */
  #afterClose(closed: Duplex, other: Duplex): void {
    if (closed.readableEnded && !other.destroyed) return
    clearTimeout(this.#goodbye)
    this.#destroy()
  }
}

/** RFC 6455 §4.2.2: what a server that understood the handshake answers to this key. */
function acceptFor(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}

function headOf(status: number, headers: readonly string[]): string {
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`
  for (let i = 0; i + 1 < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`
  return `${head}\r\n`
}

/** The forwarder keeps an HTTP/1 response's headers as byte strings, names and values in turn. */
function rawOf(controller: Controller): readonly (Buffer | string)[] {
  return Array.isArray(controller.rawHeaders) ? controller.rawHeaders : []
}

function ignore(): void {}
