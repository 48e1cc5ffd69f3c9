import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { PosternError } from '../errors.ts'
import { failureOf, isStaleConnection, type UpstreamFailure } from './failure.ts'

/** Something that the gateway itself wants to know of the upstream. Redirects are answers like any other. */
export interface Question {
  readonly method: string
  /** Path and query, as they go into the request line. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Buffer
  /** Milliseconds until the whole answer must be here. */
  readonly timeout: number
  /** Of the answer's body. */
  readonly maxBytes: number
}

export interface QuestionAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface QuestionContext {
  readonly pool: Dispatcher
  /** Opens a connection for every request. */
  readonly fresh: Dispatcher
  readonly onFailure: (reason: UpstreamFailure, cause: unknown) => void
}

/** @throws PosternError `upstream_unreachable`, `upstream_timeout`; nothing else */
export function ask(context: QuestionContext, question: Question): Promise<QuestionAnswer> {
  return new Promise((resolve, reject) => {
    new Asking(context, question, resolve, reject).send(context.pool)
  })
}

type Controller = Dispatcher.DispatchController

class Asking implements Dispatcher.DispatchHandler {
  readonly #context: QuestionContext
  readonly #question: Question
  readonly #resolve: (answer: QuestionAnswer) => void
  readonly #reject: (error: PosternError) => void
  readonly #deadline: NodeJS.Timeout
  #chunks: Buffer[] = []
  #size = 0
  #status = 0
  #headers: IncomingHttpHeaders = {}
  #controller: Controller | undefined
  #begun = false
  #retried = false
  #over = false

  constructor(
    context: QuestionContext,
    question: Question,
    resolve: (answer: QuestionAnswer) => void,
    reject: (error: PosternError) => void,
  ) {
    this.#context = context
    this.#question = question
    this.#resolve = resolve
    this.#reject = reject
    this.#deadline = setTimeout(() => {
      this.#giveUp('upstream_timeout', `no answer within ${question.timeout} ms`)
    }, question.timeout)
  }

  send(pool: Dispatcher): void {
    const { method, path, headers, body = null } = this.#question
    pool.dispatch({ method, path, headers, body }, this)
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller
    if (this.#over) controller.abort(new Error('nobody waits for this answer'))
  }

  onResponseStarted(): void {
    this.#begun = true
  }

  onResponseStart(_controller: Controller, status: number, headers: IncomingHttpHeaders): void {
    this.#status = status
    this.#headers = headers
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    this.#size += chunk.length
    if (this.#size <= this.#question.maxBytes) this.#chunks.push(chunk)
    else this.#giveUp('upstream_unreachable', `an answer of more than ${this.#question.maxBytes} bytes`)
  }

  onResponseEnd(): void {
    if (!this.#settle()) return
    this.#resolve({ status: this.#status, headers: this.#headers, body: Buffer.concat(this.#chunks) })
  }

  onResponseError(_controller: Controller, error: Error): void {
    if (!this.#over && !this.#retried && !this.#begun && isStaleConnection(error, this.#question.method)) {
      this.#retried = true
      return this.send(this.#context.fresh)
    }
    this.#giveUp(failureOf(error), error.message, error)
  }

  #giveUp(reason: UpstreamFailure, detail: string, cause?: Error): void {
    if (!this.#settle()) return
    this.#chunks = []
    const error = new PosternError(reason, detail, { cause })
    this.#context.onFailure(reason, error)
    this.#reject(error)
    this.#controller?.abort(error)
  }

  #settle(): boolean {
    if (this.#over) return false
    this.#over = true
    clearTimeout(this.#deadline)
    return true
  }
}
