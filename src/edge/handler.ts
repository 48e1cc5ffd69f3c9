import type { Duplex } from 'node:stream'
import type { Clock } from '../identity/clock.ts'
import type { Concluded, DecisionLog } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { Decide, Decision, Denial } from '../pipeline/decision.ts'
import { chain } from '../pipeline/maybe.ts'
import type { MaybePromise } from '../pipeline/outcome.ts'
import type { Permit } from '../pipeline/permit.ts'
import type { Reason } from '../pipeline/reason.ts'
import { deny, internalError } from '../pipeline/refuse.ts'
import type { Router } from '../pipeline/rule.ts'
import type { AnswerStyle } from '../profiles/profile.ts'
import type { ClientResolver } from '../request/client.ts'
import type { IncomingRequest, OutgoingResponse } from '../request/exchange.ts'
import { hostOf } from '../request/headers.ts'
import type { GatewayRequest } from '../request/request.ts'
import { parseTarget } from '../request/target.ts'
import type { ForwardReport } from '../upstream/exchange.ts'
import type { UpgradeReport } from '../upstream/tunnel.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { renderDenial, sendAnswer, sendRaw } from './answer.ts'
import type { Answer } from './answer.ts'
import type { Cors } from './cors.ts'
import { asksForWebSocket, takeIn } from './intake.ts'
import type { Intake } from './intake.ts'
import { Undecided } from './undecided.ts'

/** What came of a request to one of our own paths. */
export type OwnOutcome = Denial | { readonly kind: 'answer'; readonly answer: Answer }

/** Answers what is ours to answer; `undefined` for a path that is not ours. */
export type OwnEndpoint = (request: GatewayRequest) => MaybePromise<OwnOutcome> | undefined

export interface HandlerOptions {
  readonly decide: Decide
  /** Denials are forwarded, so that what a path without a rule asks for is for the backend to know. */
  readonly observing: boolean
  readonly router: Router
  readonly upstream: Upstream
  readonly clients: ClientResolver
  readonly style: AnswerStyle
  readonly cors: Cors
  readonly own: OwnEndpoint
  readonly log: DecisionLog
  readonly metrics: Metrics
  readonly clock: Clock
  readonly newId: () => string
  readonly maxHeaders: number
  /** Told the status of each answer that came from upstream. */
  readonly onAnswer: (status: number) => void
}

/** A request on its way through, and where its answer goes. */
interface Arrival {
  readonly id: string
  /** Undefined for what could not be taken in. */
  readonly request: GatewayRequest | undefined
  /** Monotonic milliseconds. */
  readonly startedAt: number
  readonly reply: (answer: Answer) => void
}

/** From a parsed request to its answer: everything behind the listener, swapped whole when the configuration changes. */
export class EdgeHandler {
  readonly #options: HandlerOptions
  readonly #undecided = new Undecided()

  constructor(options: HandlerOptions) {
    this.#options = options
  }

  /** @param sendContinue where the client waits for `100 Continue` before it sends its body */
  handle(req: IncomingRequest, res: OutgoingResponse, sendContinue?: () => void): void {
    const intake = takeIn(req, false, this.#options)
    const arrival = this.#arrival(intake, (answer) => sendAnswer(answer, req, res))
    if (!intake.ok) return this.#refuse(arrival, denialOf(intake))
    const { request } = intake
    const act = (found: OwnOutcome | Decision): void => {
      if (found.kind === 'permit') this.#forward(arrival, found.permit, req, res, sendContinue)
      else if (found.kind === 'deny') this.#refuse(arrival, found)
      else arrival.reply(found.answer)
    }
    const outcome = this.#outcomeOf(request)
    if (outcome instanceof Promise) this.#undecided.track(outcome.catch(internalError).then(act))
    else act(outcome)
  }

  #outcomeOf(request: GatewayRequest): MaybePromise<OwnOutcome | Decision> {
    try {
      return this.#options.own(request) ?? this.#options.decide(request)
    } catch (error) {
      return internalError(error)
    }
  }

  trusts(remoteAddress: string): boolean {
    return this.#options.clients.trusts(remoteAddress)
  }

  /** Whether an upgrade is wanted on a route that has sockets; any other `Upgrade` is ignored (RFC 9110 §7.8 allows it). */
  mayUpgrade(req: IncomingRequest): boolean {
    if (!asksForWebSocket(req)) return false
    const parsed = parseTarget(req.url ?? '', 'GET', hostOf(req.rawHeaders) ?? '')
    if (!parsed.ok) return false
    const match = this.#options.router.match('GET', parsed.target.path)
    if (!(match instanceof Promise))
      return match.kind === 'rule' ? match.rule.socket : this.#options.observing && match.kind === 'none'
    // A path that is not known yet has no sockets; the request that follows waits for the same reading.
    match.catch(() => undefined)
    return false
  }

  upgrade(req: IncomingRequest, socket: Duplex, head: Buffer): void {
    // Until the way is open nobody else listens for the client's troubles.
    socket.on('error', () => socket.destroy())
    const intake = takeIn(req, true, this.#options)
    const arrival = this.#arrival(intake, (answer) => sendRaw(answer, socket))
    if (!intake.ok) return this.#refuse(arrival, denialOf(intake))
    const { request } = intake
    const opened = chain(this.#options.decide(request), (decision) => {
      if (decision.kind === 'deny') this.#refuse(arrival, decision)
      else this.#open(arrival, decision.permit, socket, head)
    })
    this.#undecided.track(opened)
  }

  /** @param reason for what the parser refused before there was a request */
  refuseRaw(socket: Duplex, reason: Reason): void {
    this.#refuse(
      this.#nameless((answer) => sendRaw(answer, socket)),
      deny(reason),
    )
  }

  /** For an `Expect` that cannot be met (RFC 9110 §10.1.1). */
  refuseExpectation(req: IncomingRequest, res: OutgoingResponse): void {
    this.#refuse(
      this.#nameless((answer) => sendAnswer(answer, req, res)),
      deny('expectation_failed'),
    )
  }

  /** Resolves when nothing waits for its decision. */
  settled(): Promise<void> {
    return this.#undecided.settled()
  }

  #arrival(intake: Intake, reply: Arrival['reply']): Arrival {
    const startedAt = this.#options.clock.monotonic()
    return intake.ok
      ? { id: intake.request.id, request: intake.request, startedAt, reply }
      : { id: intake.id, request: undefined, startedAt, reply }
  }

  #nameless(reply: Arrival['reply']): Arrival {
    const { newId, clock } = this.#options
    return { id: newId(), request: undefined, startedAt: clock.monotonic(), reply }
  }

  #forward(
    arrival: Arrival,
    permit: Permit,
    req: IncomingRequest,
    res: OutgoingResponse,
    sendContinue: (() => void) | undefined,
  ): void {
    const { upstream, metrics, cors, log, onAnswer } = this.#options
    metrics.permitted(permit)
    const preflight = permit.method === 'OPTIONS' ? cors.preflight(req.rawHeaders) : undefined
    if (preflight !== undefined) {
      arrival.reply({ status: 204, headers: [...preflight], body: '' })
      return log.permitted(permit, { status: 204, ms: this.#since(arrival) })
    }
    const done = (report: ForwardReport): void => {
      if (report.kind === 'answered') onAnswer(report.status)
      if (report.kind === 'failed' && !res.headersSent)
        arrival.reply(this.#render(arrival, deny(report.reason)))
      log.permitted(permit, concluded(report, this.#since(arrival)))
    }
    upstream.forward(permit, req, res, done, sendContinue)
  }

  #open(arrival: Arrival, permit: Permit, socket: Duplex, head: Buffer): void {
    const { upstream, metrics, log } = this.#options
    metrics.permitted(permit)
    upstream.upgrade(permit, socket, head, (report) => {
      if (report.kind === 'failed') arrival.reply(this.#render(arrival, deny(report.reason)))
      log.permitted(permit, concluded(report, this.#since(arrival)))
    })
  }

  #refuse(arrival: Arrival, denial: Denial): void {
    const { metrics, log } = this.#options
    const answer = this.#render(arrival, denial)
    arrival.reply(answer)
    metrics.denied(denial)
    log.denied(denial, arrival.id, arrival.request, { status: answer.status, ms: this.#since(arrival) })
  }

  #render({ id, request }: Arrival, denial: Denial): Answer {
    const { style, cors } = this.#options
    return renderDenial(denial, id, style, request === undefined ? [] : cors.headersFor(request.headers))
  }

  #since({ startedAt }: Arrival): number {
    return this.#options.clock.monotonic() - startedAt
  }
}

function concluded(report: ForwardReport | UpgradeReport, ms: number): Concluded {
  switch (report.kind) {
    case 'answered':
      return { status: report.status, ms }
    case 'aborted':
      return { status: report.status, ms, ended: 'aborted' }
    case 'cut':
      return { status: report.status, ms, ended: 'cut', cause: report.cause }
    case 'failed':
      return { status: undefined, ms, ended: report.reason, cause: report.cause }
  }
}

function denialOf(intake: Extract<Intake, { ok: false }>): Denial {
  return { ...deny(intake.reason), ...(intake.fault !== undefined && { cause: intake.fault }) }
}
