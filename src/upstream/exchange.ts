import { IncomingMessage } from 'node:http'
import type { MaybePromise } from '../pipeline/outcome.ts'
import type { Permit } from '../pipeline/permit.ts'
import type { IncomingRequest, OutgoingResponse } from '../request/exchange.ts'
import { announcesBody } from '../request/headers.ts'
import type { RawHeaders } from '../request/request.ts'
import { Answer, type Flow } from './answer.ts'
import { ClientGone, failureOf, isBroken, isStaleConnection, type UpstreamFailure } from './failure.ts'
import { valueOf } from './headers.ts'
import type { Connection, Exchanger } from './http1/connection.ts'
import type { ResponseHead } from './http1/head.ts'
import type { ConnectionPool } from './http1/pool.ts'
import { requestHead, type Sent } from './http1/request.ts'
import type { ResponseHeaders, ResponseObserver } from './observer.ts'
import type { Excess } from './shares.ts'
import { Upload } from './upload.ts'

/** How a forwarded request ended. */
export type ForwardReport =
  | { readonly kind: 'answered'; readonly status: number }
  /** Nothing was written: the caller answers. */
  | { readonly kind: 'failed'; readonly reason: UpstreamFailure | Excess; readonly cause: unknown }
  /** The upstream broke off inside its answer, so the client's connection was destroyed. */
  | { readonly kind: 'cut'; readonly status: number; readonly cause: unknown }
  /** The client left first. */
  | { readonly kind: 'aborted'; readonly status: number | undefined }

/** Measures how long the upstream takes to begin its answers. */
export interface Timing {
  /** Monotonic milliseconds. */
  now(): number
  /** @param waited milliseconds */
  begun(waited: number): void
}

/** What an exchange uses of the upstream it belongs to. */
export interface ExchangeContext {
  readonly connections: ConnectionPool
  readonly observe: ResponseObserver | undefined
  readonly responseHeaders: ResponseHeaders | undefined
  readonly onFailure: (reason: UpstreamFailure, cause: unknown) => void
  readonly timing: Timing | undefined
}

/** Whose request it is, and where its answer goes. */
export interface Client {
  readonly req: IncomingRequest
  readonly res: OutgoingResponse
  /** Where the client waits for `100 Continue` before it sends its body. */
  readonly sendContinue: (() => void) | undefined
}

/** One request on its way up and its answer on its way down. No promise is made unless the observer makes one. */
export class Exchange implements Exchanger, Flow {
  readonly method: string
  readonly #context: ExchangeContext
  readonly #permit: Permit
  readonly #res: OutgoingResponse
  readonly #answer: Answer
  readonly #done: (report: ForwardReport) => void
  readonly #observed: boolean
  readonly #sent: Sent
  readonly #upload: Upload | undefined
  #head = ''
  #sendContinue: (() => void) | undefined
  #connection: Connection | undefined
  #startedAt = 0
  #status: number | undefined
  #begun = false
  #retried = false
  #over = false
  // What came while the observer's promise held the answer, in order.
  #held: (() => void)[] | undefined

  constructor(
    context: ExchangeContext,
    permit: Permit,
    client: Client,
    done: (report: ForwardReport) => void,
  ) {
    const { req } = client
    this.method = permit.method
    this.#context = context
    this.#permit = permit
    this.#res = client.res
    this.#answer = new Answer(req, client.res)
    this.#done = done
    this.#observed = context.observe?.before(permit) !== undefined
    this.#sendContinue = client.sendContinue
    const body = req instanceof IncomingMessage && announcesBody(req.rawHeaders) ? req : undefined
    this.#sent = body === undefined ? 'nothing' : sentAs(permit.headers)
    this.#upload = body && new Upload(body, this.#sent === 'chunks')
  }

  start(): void {
    const { target, headers } = this.#permit
    try {
      this.#head = requestHead(this.method, target.value, headers, this.#sent)
    } catch (cause) {
      return this.#refuse(cause)
    }
    this.#res.on('close', this.#onClientClose)
    this.#startedAt = this.#context.timing?.now() ?? 0
    this.#connection = this.#context.connections.start(this, false)
  }

  /** It cannot be written, and the upstream is not to blame. */
  #refuse(cause: unknown): void {
    const report: ForwardReport = { kind: 'failed', reason: 'upstream_unreachable', cause }
    const settled = this.#observe('lost', [])
    if (settled === undefined) this.#finish(report)
    else void settled.then(() => this.#finish(report))
  }

  onReady(connection: Connection): void {
    this.#connection = connection
    if (this.#res.destroyed && this.#mayAbort) return connection.abort(new ClientGone())
    this.#sendContinue?.()
    this.#sendContinue = undefined
    if (this.#upload === undefined) connection.send(this.#head, false)
    else this.#upload.start(this.#head, connection)
  }

  onBegun(): void {
    this.#begun = true
  }

  onHead(head: ResponseHead): void {
    const { status } = head
    this.#status = status
    const { timing } = this.#context
    timing?.begun(timing.now() - this.#startedAt)
    const settled = this.#observe(status, head.headers)
    if (settled === undefined) this.#begin(head)
    else this.#hold(settled, () => this.#begin(head))
  }

  #begin({ status, reason, headers, length }: ResponseHead): void {
    const shown = this.#context.responseHeaders?.(this.#permit, headers) ?? headers
    this.#answer.begin(status, reason, shown, length)
  }

  onData(piece: Buffer): void {
    if (this.#held) {
      const copy = Buffer.from(piece)
      this.#held.push(() => this.onData(copy))
    } else this.#answer.write(piece, this)
  }

  onEnd(): void {
    // It may serve somebody else by now.
    this.#connection = undefined
    if (this.#held) return void this.#held.push(() => this.onEnd())
    const status = this.#status ?? 0
    const gone = this.#res.destroyed
    this.#upload?.stop()
    if (!gone) this.#answer.end()
    this.#finish(gone ? { kind: 'aborted', status } : { kind: 'answered', status })
  }

  onError(cause: Error): void {
    this.#connection = undefined
    if (this.#held) return void this.#held.push(() => this.onError(cause))
    if (this.#over) return
    if (this.#status !== undefined) return this.#breakOff(this.#status, cause)
    if (!this.#res.destroyed && this.#retry(cause)) return
    const settled = this.#observe('lost', [])
    if (settled === undefined) this.#fail(cause)
    else void settled.then(() => this.#fail(cause))
  }

  pause(): void {
    this.#connection?.pause()
  }

  resume(): void {
    this.#connection?.resume()
  }

  /** An idle connection that the upstream was closing: once more, on a new one, since others may be as old. */
  #retry(error: Error): boolean {
    if (this.#retried || this.#begun || !this.#maySendAgain(error)) return false
    this.#retried = true
    this.#connection = this.#context.connections.start(this, true)
    return true
  }

  /** What was not sent at all may be, whatever it is. */
  #maySendAgain(error: Error): boolean {
    if (this.#upload === undefined) return isStaleConnection(error, this.method)
    return !this.#upload.hasBegun && isBroken(error)
  }

  #fail(cause: Error): void {
    this.#upload?.stop()
    if (this.#res.destroyed) return this.#finish({ kind: 'aborted', status: undefined })
    const reason = failureOf(cause)
    this.#context.onFailure(reason, cause)
    this.#finish({ kind: 'failed', reason, cause })
  }

  #breakOff(status: number, cause: Error): void {
    this.#upload?.stop()
    if (this.#res.destroyed) return this.#finish({ kind: 'aborted', status })
    this.#context.onFailure(failureOf(cause), cause)
    // The only way to say "incomplete" once the head is out (RFC 9112 §8).
    this.#res.destroy()
    this.#finish({ kind: 'cut', status, cause })
  }

  #finish(report: ForwardReport): void {
    if (this.#over) return
    this.#over = true
    this.#done(report)
  }

  readonly #onClientClose = (): void => {
    if (this.#over || this.#res.writableFinished) return
    if (this.#mayAbort) this.#connection?.abort(new ClientGone())
    // It may have been paused for a client that will never catch up now.
    else if (!this.#held) this.resume()
  }

  /**
   * An observed request is not aborted, unless its body can no longer arrive: what was received and not yet read is
   * lost with the client's connection, and the upstream would wait for it.
   */
  get #mayAbort(): boolean {
    return !this.#observed || (this.#upload !== undefined && !this.#upload.isRead)
  }

  #observe(status: number | 'lost', headers: string[]): Promise<void> | undefined {
    if (!this.#observed || !this.#context.observe) return undefined
    try {
      const answer: MaybePromise<void> = this.#context.observe.respond(this.#permit, status, headers)
      return answer instanceof Promise ? answer.catch(ignore) : undefined
    } catch {
      return undefined
    }
  }

  /**
   * Nothing reaches the client before `settled`. Pausing is not enough: the end of a bodiless answer, and errors,
   * come in spite of it.
   */
  #hold(settled: Promise<void>, begin: () => void): void {
    const held: (() => void)[] = [begin]
    this.#held = held
    this.pause()
    const release = (): void => {
      this.#held = undefined
      try {
        for (const step of held) step()
        this.resume()
      } catch (error) {
        this.#giveUp(error instanceof Error ? error : new Error(String(error)))
      }
    }
    void settled.then(release)
  }

  #giveUp(error: Error): void {
    if (this.#connection === undefined) this.onError(error)
    else this.#connection.abort(error)
  }
}

function sentAs(headers: RawHeaders): Sent {
  return valueOf(headers, 'content-length') === undefined ? 'chunks' : 'length'
}

function ignore(): void {}
