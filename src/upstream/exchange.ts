import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { PassThrough } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { MaybePromise } from '../pipeline/outcome.ts'
import type { Permit } from '../pipeline/permit.ts'
import { announcesBody } from '../request/headers.ts'
import { Answer } from './answer.ts'
import { ClientGone, failureOf, isStaleConnection, type UpstreamFailure } from './failure.ts'
import { endToEnd, outgoing } from './headers.ts'
import type { ResponseHeaders, ResponseObserver } from './observer.ts'
import type { Excess } from './shares.ts'

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
  readonly pool: Dispatcher
  /** Opens a connection for every request. */
  readonly fresh: Dispatcher
  readonly observe: ResponseObserver | undefined
  readonly responseHeaders: ResponseHeaders | undefined
  readonly onFailure: (reason: UpstreamFailure, cause: unknown) => void
  readonly timing: Timing | undefined
}

type Controller = Dispatcher.DispatchController

/** One request on its way up and its answer on its way down. No promise is made unless the observer makes one. */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly #context: ExchangeContext
  readonly #permit: Permit
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #answer: Answer
  readonly #done: (report: ForwardReport) => void
  readonly #observed: boolean
  // A stream of its own, since the forwarder destroys the one it was given, and the client's connection with it.
  readonly #body: PassThrough | null
  #options: Dispatcher.DispatchOptions
  #expectsContinue: boolean
  #controller: Controller | undefined
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
    client: {
      readonly req: IncomingMessage
      readonly res: ServerResponse
      readonly expectsContinue: boolean
    },
    done: (report: ForwardReport) => void,
  ) {
    this.#context = context
    this.#permit = permit
    this.#req = client.req
    this.#res = client.res
    this.#answer = new Answer(client.req, client.res)
    this.#done = done
    this.#observed = context.observe?.before(permit) !== undefined
    this.#expectsContinue = client.expectsContinue
    this.#body = announcesBody(client.req.rawHeaders) ? new PassThrough() : null
    this.#options = dispatchOptions(permit, this.#body)
  }

  start(): void {
    if (this.#body !== null) this.#req.pipe(this.#body.on('error', ignore))
    this.#res.on('close', this.#onClientClose)
    this.#startedAt = this.#context.timing?.now() ?? 0
    this.#context.pool.dispatch(this.#options, this)
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller
    if (this.#res.destroyed && this.#mayAbort) controller.abort(new ClientGone())
    else if (this.#expectsContinue) this.#sendContinue()
  }

  onResponseStarted(): void {
    this.#begun = true
  }

  onResponseStart(
    controller: Controller,
    status: number,
    headers: IncomingHttpHeaders,
    reason?: string,
  ): void {
    // RFC 9110 §15.2: an interim answer; those that nobody asked for are dropped.
    if (status < 200) return
    this.#status = status
    const { timing } = this.#context
    timing?.begun(timing.now() - this.#startedAt)
    const kept = endToEnd(rawOf(controller), headers.connection)
    const begin = (): void => {
      const shown = this.#context.responseHeaders?.(this.#permit, kept) ?? kept
      this.#answer.begin(status, reason, shown, headers['content-length'])
    }
    const settled = this.#observe(status, kept)
    if (settled === undefined) begin()
    else this.#hold(controller, settled, begin)
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (this.#held) this.#held.push(() => this.onResponseData(controller, chunk))
    else this.#answer.write(chunk, controller)
  }

  // Trailers are not passed on: the client's framing may not carry them (RFC 9110 §6.5.1).
  onResponseEnd(): void {
    if (this.#held) return void this.#held.push(() => this.onResponseEnd())
    const status = this.#status ?? 0
    const gone = this.#res.destroyed
    this.#releaseBody()
    if (!gone) this.#answer.end()
    this.#finish(gone ? { kind: 'aborted', status } : { kind: 'answered', status })
  }

  onResponseError(controller: Controller, error: Error): void {
    if (this.#held) return void this.#held.push(() => this.onResponseError(controller, error))
    if (this.#over) return
    if (this.#status !== undefined) return this.#breakOff(this.#status, error)
    if (!this.#res.destroyed && this.#retry(error)) return
    const settled = this.#observe('lost', [])
    if (settled === undefined) this.#fail(error)
    else void settled.then(() => this.#fail(error))
  }

  /** An idle connection that the upstream was closing: once more, on a new one, since others may be as old. */
  #retry(error: Error): boolean {
    if (this.#retried || this.#begun || this.#body !== null) return false
    if (!isStaleConnection(error, this.#permit.method)) return false
    this.#retried = true
    this.#context.fresh.dispatch(this.#options, this)
    return true
  }

  #fail(cause: Error): void {
    this.#releaseBody()
    if (this.#res.destroyed) return this.#finish({ kind: 'aborted', status: undefined })
    const reason = failureOf(cause)
    this.#context.onFailure(reason, cause)
    this.#finish({ kind: 'failed', reason, cause })
  }

  #breakOff(status: number, cause: Error): void {
    this.#releaseBody()
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
    if (this.#mayAbort) this.#controller?.abort(new ClientGone())
    // It may have been paused for a client that will never catch up now.
    else if (!this.#held) this.#controller?.resume()
  }

  /**
   * An observed request is not aborted, unless its body can no longer arrive: what was received and not yet read is
   * lost with the client's connection, and the upstream would wait for it.
   */
  get #mayAbort(): boolean {
    return !this.#observed || (this.#body !== null && !this.#req.readableEnded)
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
  #hold(controller: Controller, settled: Promise<void>, begin: () => void): void {
    const held: (() => void)[] = [begin]
    this.#held = held
    controller.pause()
    const release = (): void => {
      this.#held = undefined
      for (const step of held) step()
      controller.resume()
    }
    void settled.then(release)
  }

  #sendContinue(): void {
    this.#expectsContinue = false
    // Behind an answer that is still due, Node would put it between the head and the body of this request's own. Who
    // pipelines may not wait for it for ever (RFC 9110 §10.1.1).
    if (this.#res.socket !== null) this.#res.writeContinue()
  }

  #releaseBody(): void {
    if (this.#body === null) return
    this.#req.unpipe(this.#body)
    this.#body.destroy()
    // What is left of a body that has arrived would stand in the way of the connection's next request.
    if (this.#req.complete) this.#req.resume()
  }
}

function dispatchOptions(permit: Permit, body: PassThrough | null): Dispatcher.DispatchOptions {
  const { method, target } = permit
  const options = { path: target.value, method, headers: outgoing(permit.headers), body }
  // Without it every answer to HEAD would cost its connection.
  return method === 'HEAD' ? { ...options, reset: false } : options
}

/** The forwarder keeps an HTTP/1 response's headers as byte strings, names and values in turn. */
export function rawOf(controller: Controller): readonly (Buffer | string)[] {
  return Array.isArray(controller.rawHeaders) ? controller.rawHeaders : []
}

function ignore(): void {}
