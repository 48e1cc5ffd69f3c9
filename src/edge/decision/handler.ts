import type { Duplex } from 'node:stream'
import type { Clock } from '../../identity/clock.ts'
import type { DecisionLog } from '../../observe/log.ts'
import type { Metrics } from '../../observe/metrics.ts'
import type { createIdentify } from '../../pipeline/decide.ts'
import type { Decide, Decision, Denial } from '../../pipeline/decision.ts'
import { chain } from '../../pipeline/maybe.ts'
import type { MaybePromise } from '../../pipeline/outcome.ts'
import type { Observe } from '../../pipeline/observe.ts'
import type { Permit } from '../../pipeline/permit.ts'
import type { Reason } from '../../pipeline/reason.ts'
import { deny, internalError } from '../../pipeline/refuse.ts'
import type { AnswerStyle } from '../../profiles/profile.ts'
import type { IncomingRequest, OutgoingResponse } from '../../request/exchange.ts'
import { valuesOf } from '../../request/headers.ts'
import type { GatewayRequest } from '../../request/request.ts'
import { renderDenial, sendAnswer, sendRaw } from '../answer.ts'
import type { Answer } from '../answer.ts'
import type { Cors } from '../cors.ts'
import { isReserved } from '../own.ts'
import type { Handler } from '../server.ts'
import { Undecided } from '../undecided.ts'
import { firstChanged } from './changed.ts'
import { createQuestionReader, needsRewriting } from './question.ts'
import type { Question, QuestionOptions } from './question.ts'

export interface DecisionOptions extends QuestionOptions {
  readonly decide: Decide
  /** Undefined where decisions count. */
  readonly observe: Observe | undefined
  readonly identify: ReturnType<typeof createIdentify>
  /** Who may ask, as a socket names the other end. */
  readonly isCaller: (remoteAddress: string) => boolean
  /** Names of the headers that tell the upstream who is asking. */
  readonly identityHeaders: readonly string[]
  /** Told of each permit: what it permits is sent on by others, and nobody here sees what came of it. */
  readonly onPermit: (permit: Permit) => void
  readonly style: AnswerStyle
  readonly cors: Cors
  readonly log: DecisionLog
  readonly metrics: Metrics
  readonly clock: Clock
}

/** A question on its way to its answer. */
interface Asked {
  readonly id: string
  readonly request: GatewayRequest | undefined
  /** Monotonic milliseconds. */
  readonly startedAt: number
  readonly reply: (answer: Answer) => void
}

/**
 * Permit or denial for a proxy that keeps the data path. It sends on what its client sent, not what we would have sent: so
 * whatever would have had to change on its way is refused.
 */
export class DecisionHandler implements Handler {
  readonly #options: DecisionOptions
  readonly #read: (req: IncomingRequest) => Question
  /** As they are written, and as they are looked up. */
  readonly #identityHeaders: readonly (readonly [name: string, lower: string])[]
  readonly #undecided = new Undecided()

  constructor(options: DecisionOptions) {
    this.#options = options
    this.#read = createQuestionReader(options)
    this.#identityHeaders = options.identityHeaders.map((name) => [name, name.toLowerCase()])
  }

  trusts(remoteAddress: string): boolean {
    return this.#options.isCaller(remoteAddress)
  }

  handle(req: IncomingRequest, res: OutgoingResponse): void {
    const startedAt = this.#options.clock.monotonic()
    const reply = (answer: Answer): void => sendAnswer(answer, req, res)
    if (!this.trusts(req.socket.remoteAddress ?? '')) {
      const asked = { id: this.#options.newId(), request: undefined, startedAt, reply }
      return this.#refuse(asked, { ...deny('untrusted_caller'), cause: req.socket.remoteAddress })
    }
    const question = this.#read(req)
    if (!question.ok)
      return this.#refuse({ id: question.id, request: undefined, startedAt, reply }, question.denial)
    const { request } = question
    const asked: Asked = { id: request.id, request, startedAt, reply }
    const decided = this.#decideSafely(request)
    if (decided instanceof Promise)
      this.#undecided.track(decided.then((decision) => this.#answer(asked, request, decision)))
    else this.#answer(asked, request, decided)
  }

  /** A handshake is asked about like anything else. */
  mayUpgrade(): boolean {
    return false
  }

  upgrade(_req: IncomingRequest, socket: Duplex): void {
    socket.destroy()
  }

  /** @param reason for what the parser refused before there was a question */
  refuseRaw(socket: Duplex, reason: Reason): void {
    this.#refuse(
      this.#unread((answer) => sendRaw(answer, socket)),
      deny(reason),
    )
  }

  refuseExpectation(req: IncomingRequest, res: OutgoingResponse): void {
    this.#refuse(
      this.#unread((answer) => sendAnswer(answer, req, res)),
      deny('expectation_failed'),
    )
  }

  settled(): Promise<void> {
    return this.#undecided.settled()
  }

  #unread(reply: Asked['reply']): Asked {
    const { newId, clock } = this.#options
    return { id: newId(), request: undefined, startedAt: clock.monotonic(), reply }
  }

  #decideSafely(request: GatewayRequest): MaybePromise<Decision> {
    try {
      const decided = this.#decide(request)
      return decided instanceof Promise ? decided.catch(internalError) : decided
    } catch (error) {
      return internalError(error)
    }
  }

  #answer(asked: Asked, request: GatewayRequest, decision: Decision): void {
    if (decision.kind === 'deny') this.#refuse(asked, decision)
    else this.#permit(asked, request, decision.permit)
  }

  #decide(request: GatewayRequest): MaybePromise<Decision> {
    if (isReserved(request.target.path)) return deny('no_route')
    const { observe } = this.#options
    const decided = this.#decideUnchanged(request)
    if (observe === undefined) return decided
    return chain(
      chain(decided, (decision) => observe(request, decision)),
      (seen) => {
        const changed =
          seen.kind === 'permit' ? firstChanged(request.headers, seen.permit.headers) : undefined
        // Nobody else would delete it: what only we may say to the backend does not get there by way of observing.
        return changed === undefined ? seen : rewritingOf(changed)
      },
    )
  }

  #decideUnchanged(request: GatewayRequest): MaybePromise<Decision> {
    const decided = this.#options.decide(request)
    return decided instanceof Promise
      ? decided.then((decision) => this.#unchanged(request, decision))
      : this.#unchanged(request, decided)
  }

  #unchanged(request: GatewayRequest, decision: Decision): MaybePromise<Decision> {
    if (decision.kind === 'deny') return decision
    const changed = firstChanged(request.headers, decision.permit.headers)
    if (changed === undefined) return decision
    void decision.permit.attempt?.ended('lost')
    return this.#refusal(request, changed)
  }

  /** Where a credential is what would have been taken out, what is wrong with it is the better reason. */
  #refusal(request: GatewayRequest, changed: string): MaybePromise<Denial> {
    const denial = rewritingOf(changed)
    if (changed !== 'authorization' && changed !== 'cookie') return denial
    return chain(this.#options.identify(request), (found) => (found.kind === 'deny' ? found : denial))
  }

  #permit(asked: Asked, request: GatewayRequest, permit: Permit): void {
    const { metrics, log, onPermit } = this.#options
    permit.spend()
    onPermit(permit)
    metrics.permitted(permit)
    const headers = ['Content-Length', '0', 'Cache-Control', 'no-store', 'X-Request-Id', request.id]
    // Each of them always: where we say nothing, some proxies would pass the client's own on (CVE-2026-30851), and Caddy 2.6
    // the text of its unset placeholder.
    for (const [name, lower] of this.#identityHeaders)
      headers.push(name, valuesOf(permit.headers, lower)[0] ?? '')
    asked.reply({ status: 200, headers, body: '' })
    log.permitted(permit, { status: 200, ms: this.#since(asked) })
  }

  #refuse(asked: Asked, denial: Denial): void {
    const { metrics, log, style, cors, dialect } = this.#options
    const allowed = asked.request === undefined ? [] : cors.headersFor(asked.request.headers)
    const answer = renderDenial(denial, asked.id, style, allowed)
    const { status, headers } = answer
    asked.reply(
      dialect.status === undefined
        ? answer
        : {
            ...answer,
            status: dialect.status(status),
            headers: [...headers, 'Postern-Status', String(status)],
          },
    )
    metrics.denied(denial)
    log.denied(denial, asked.id, asked.request, { status, ms: this.#since(asked) })
  }

  #since({ startedAt }: Asked): number {
    return this.#options.clock.monotonic() - startedAt
  }
}

function rewritingOf(header: string): Denial {
  return needsRewriting(`the header '${header}' would have to be changed or deleted`)
}
