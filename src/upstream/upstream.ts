import type { Duplex } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { Pool } from 'undici'
import { PosternError } from '../errors.ts'
import type { Permit } from '../pipeline/permit.ts'
import type { IncomingRequest, OutgoingResponse } from '../request/exchange.ts'
import { Admission, type AdmissionLimits } from './admission.ts'
import { type Client, Exchange, type ExchangeContext, type ForwardReport, type Timing } from './exchange.ts'
import type { UpstreamFailure } from './failure.ts'
import { ConnectionPool } from './http1/pool.ts'
import type { ResponseHeaders, ResponseObserver } from './observer.ts'
import { ask, type Question, type QuestionAnswer } from './question.ts'
import type { Excess, Share } from './shares.ts'
import { type SocketLimits, SocketRegistry } from './sockets.ts'
import { Tunnel, type TunnelContext, type UpgradeReport } from './tunnel.ts'

export interface UpstreamOptions extends AdmissionLimits {
  /** Scheme, host and port; no path. */
  readonly url: string
  readonly sockets: SocketLimits
  /** Milliseconds, all of them. */
  readonly connectTimeout: number
  readonly headersTimeout: number
  /** Between two pieces of a body, not for all of it. */
  readonly bodyTimeout: number
  /** Shorter than the upstream's own, or requests meet connections that are just closing. */
  readonly keepAliveTimeout: number
  readonly handshakeTimeout: number
  /** Bytes of an answer's header block. */
  readonly maxHeaderSize: number
  readonly observe?: ResponseObserver
  readonly responseHeaders?: ResponseHeaders
  readonly timing?: Timing
  /** Told of every exchange, socket and question that came to nothing for the upstream's fault. */
  onFailure(reason: UpstreamFailure, cause: unknown): void
  /** Told of every request and socket that had to stay outside. */
  onExcess(excess: Excess): void
}

/** The way to the backend. Nothing but the gateway's own questions goes up without a permit. */
export interface Upstream {
  /**
   * At once, or as soon as there is a connection for it.
   * @param done called once, when the exchange is over
   * @param sendContinue where the client waits for `100 Continue`: called once the upstream is connected
   * @throws PosternError `permit_spent`; `internal` for a permit that is for a socket
   */
  forward(
    permit: Permit,
    req: IncomingRequest,
    res: OutgoingResponse,
    done: (report: ForwardReport) => void,
    sendContinue?: () => void,
  ): void
  /**
   * @param head what came on the socket after the request
   * @param done called once, when the handshake is over
   * @throws PosternError `permit_spent`; `internal` for a permit that is not for a socket
   */
  upgrade(permit: Permit, socket: Duplex, head: Buffer, done: (report: UpgradeReport) => void): void
  /** @throws PosternError `upstream_unreachable`, `upstream_timeout` */
  request(question: Question): Promise<QuestionAnswer>
  readonly sockets: SocketRegistry
  /** Forwarded requests that are not over. */
  readonly inFlight: number
  /** Requests that wait for a connection. */
  readonly waiting: number
  /** Closes every socket at once and gives requests `graceMs` to end. */
  close(graceMs: number): Promise<void>
}

// So few that questions cannot crowd the upstream, and their own, so that downloads cannot hold them up.
const QUESTION_CONNECTIONS = 4

type Done = (report: ForwardReport) => void

export function createUpstream(options: UpstreamOptions): Upstream {
  return new PooledUpstream(options)
}

class PooledUpstream implements Upstream {
  readonly sockets: SocketRegistry
  readonly #admission: Admission
  readonly #pools: readonly Pool[]
  readonly #questions: Pool
  readonly #connections: ConnectionPool
  readonly #context: ExchangeContext & TunnelContext

  constructor(options: UpstreamOptions) {
    const { url, connections } = options
    this.#connections = new ConnectionPool(url, options)
    // Without pipelining it keeps no connection alive.
    const fresh = new Pool(url, { ...poolOptions(options), connections, pipelining: 0 })
    this.#questions = new Pool(url, { ...poolOptions(options), connections: QUESTION_CONNECTIONS })
    this.#pools = [fresh, this.#questions]
    this.#admission = new Admission(options)
    this.sockets = new SocketRegistry(options.sockets)
    this.#context = {
      connections: this.#connections,
      fresh,
      observe: options.observe,
      responseHeaders: options.responseHeaders,
      onFailure: (reason, cause) => options.onFailure(reason, cause),
      onExcess: (excess) => options.onExcess(excess),
      timing: options.timing,
      sockets: this.sockets,
      handshakeTimeout: options.handshakeTimeout,
    }
  }

  get inFlight(): number {
    return this.#admission.active
  }

  get waiting(): number {
    return this.#admission.waiting
  }

  forward(
    permit: Permit,
    req: IncomingRequest,
    res: OutgoingResponse,
    done: (report: ForwardReport) => void,
    sendContinue?: () => void,
  ): void {
    spend(permit, false)
    const client = { req, res, sendContinue }
    const share = this.#admission.enter(permit)
    if (share === undefined) this.#wait(permit, client, done)
    else this.#start(permit, client, share, done)
  }

  #start(permit: Permit, client: Client, share: Share, done: Done): void {
    const finish = (report: ForwardReport): void => {
      this.#admission.leave(share)
      done(report)
    }
    new Exchange(this.#context, permit, client, finish).start()
  }

  upgrade(permit: Permit, socket: Duplex, head: Buffer, done: (report: UpgradeReport) => void): void {
    spend(permit, true)
    new Tunnel(this.#context, permit, socket, done).start(head)
  }

  /** Nothing of a request is read or sent while it waits, and a client that leaves waits no longer. */
  #wait(permit: Permit, client: Client, done: Done): void {
    const { res } = client
    const stayOutside = (report: ForwardReport): void => {
      // The secret in it was never looked at.
      permit.attempt?.ended('lost').catch(() => undefined)
      done(report)
    }
    const leave = this.#admission.wait(permit, (entered) => {
      res.off('close', giveUp)
      if (typeof entered !== 'string') return this.#start(permit, client, entered, done)
      this.#context.onExcess(entered)
      stayOutside({ kind: 'failed', reason: entered, cause: undefined })
    })
    function giveUp(): void {
      if (leave()) stayOutside({ kind: 'aborted', status: undefined })
    }
    res.once('close', giveUp)
  }

  request(question: Question): Promise<QuestionAnswer> {
    const { fresh, onFailure } = this.#context
    return ask({ pool: this.#questions, fresh, onFailure }, question)
  }

  async close(graceMs: number): Promise<void> {
    this.sockets.closeAll()
    const grace = new AbortController()
    const late = setTimeout(graceMs, undefined, { signal: grace.signal }).catch(() => undefined)
    // A pool that is closing takes nothing more, and what waits is still to come.
    const over = this.#admission
      .idle()
      .then(() => Promise.allSettled(this.#pools.map((pool) => pool.close())))
    await Promise.race([over, late])
    grace.abort()
    this.#connections.destroy()
    await Promise.all(this.#pools.map((pool) => pool.destroy()))
  }
}

function spend(permit: Permit, forSocket: boolean): void {
  if (permit.upgrade !== forSocket) throw new PosternError('internal', 'the permit is for something else')
  permit.spend()
}

function poolOptions(options: UpstreamOptions): Pool.Options {
  const { connectTimeout, headersTimeout, bodyTimeout, keepAliveTimeout, maxHeaderSize } = options
  return {
    connectTimeout,
    headersTimeout,
    bodyTimeout,
    keepAliveTimeout,
    maxHeaderSize,
    // One request at a time on a connection: a slow one must hold up nobody, nor an answer reach another client.
    pipelining: 1,
    allowH2: false,
  }
}
