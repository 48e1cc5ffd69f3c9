import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock } from '../identity/clock.ts'
import type { DecisionLog } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { Decide, Decision, Denial } from '../pipeline/decision.ts'
import { attempt, chain } from '../pipeline/maybe.ts'
import type { MaybePromise } from '../pipeline/outcome.ts'
import type { Permit } from '../pipeline/permit.ts'
import type { Reason } from '../pipeline/reason.ts'
import type { Router } from '../pipeline/rule.ts'
import type { AnswerStyle } from '../profiles/profile.ts'
import type { ClientResolver } from '../request/client.ts'
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

/** What came of a request to one of our own paths; `served`: it is answered already. */
export type OwnOutcome =
  Denial | { readonly kind: 'answer'; readonly answer: Answer } | { readonly kind: 'served' }

/** Answers what is ours to answer; `undefined` for a path that is not ours. */
export type OwnEndpoint = (
  request: GatewayRequest,
  req: IncomingMessage,
  res: ServerResponse,
) => MaybePromise<OwnOutcome> | undefined

export interface HandlerOptions {
  readonly decide: Decide
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
  /** Told the status of each answer that came from upstream. */
  readonly onAnswer: (status: number) => void
}

/** From a parsed request to its answer: everything behind the listener, swapped whole when the configuration changes. */
export class EdgeHandler {
  readonly #options: HandlerOptions
  readonly #undecided = new Set<Promise<void>>()

  constructor(options: HandlerOptions) {
    this.#options = options
  }

  /** @param expectsContinue the client waits for `100 Continue` before it sends its body */
  handle(req: IncomingMessage, res: ServerResponse, expectsContinue = false): void {
    const { own, decide, clock } = this.#options
    const startedAt = clock.monotonic()
    const intake = takeIn(req, false, this.#options)
    if (!intake.ok) return this.#refuse(req, res, denialOf(intake), intake.id, undefined, startedAt)
    const { request } = intake
    const outcome = attempt<OwnOutcome | Decision>(
      () => own(request, req, res) ?? decide(request),
      (cause) => ({ ...deny('internal_error'), cause }),
    )
    this.#track(chain(outcome, (found) => this.#act(req, res, request, found, startedAt, expectsContinue)))
  }

  /** Resolves when nothing waits for its decision. */
  async settled(): Promise<void> {
    while (this.#undecided.size > 0) await Promise.allSettled(this.#undecided)
  }

  #track(decision: MaybePromise<void>): void {
    if (!(decision instanceof Promise)) return
    this.#undecided.add(decision)
    void decision.finally(() => this.#undecided.delete(decision))
  }

  /** Whether an upgrade is wanted on a route that has sockets; any other `Upgrade` is ignored (RFC 9110 §7.8 allows it). */
  mayUpgrade(req: IncomingMessage): boolean {
    if (!asksForWebSocket(req)) return false
    const parsed = parseTarget(req.url ?? '', 'GET', hostOf(req.rawHeaders) ?? '')
    if (!parsed.ok) return false
    const match = this.#options.router.match('GET', parsed.target.path)
    if (!(match instanceof Promise)) return match.kind === 'rule' && match.rule.socket
    // A path that is not known yet has no sockets; the request that follows waits for the same reading.
    match.catch(() => undefined)
    return false
  }

  upgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void {
    const startedAt = this.#options.clock.monotonic()
    // Until the way is open nobody else listens for the client's troubles.
    socket.on('error', () => socket.destroy())
    const intake = takeIn(req, true, this.#options)
    if (!intake.ok) return this.#refuseSocket(socket, denialOf(intake), intake.id, undefined, startedAt)
    const { request } = intake
    const opened = chain(this.#options.decide(request), (decision) => {
      if (decision.kind === 'deny') this.#refuseSocket(socket, decision, request.id, request, startedAt)
      else this.#open(socket, head, request, decision.permit, startedAt)
    })
    this.#track(opened)
  }

  /** @param reason for what the parser refused before there was a request */
  refuseRaw(socket: Duplex, reason: Reason): void {
    this.#refuseSocket(
      socket,
      deny(reason),
      this.#options.newId(),
      undefined,
      this.#options.clock.monotonic(),
    )
  }

  /** For an `Expect` that cannot be met (RFC 9110 §10.1.1). */
  refuseExpectation(req: IncomingMessage, res: ServerResponse): void {
    const { newId, clock } = this.#options
    this.#refuse(req, res, deny('expectation_failed'), newId(), undefined, clock.monotonic())
  }

  #act(
    req: IncomingMessage,
    res: ServerResponse,
    request: GatewayRequest,
    found: OwnOutcome | Decision,
    startedAt: number,
    expectsContinue: boolean,
  ): void {
    if (found.kind === 'served') return
    if (found.kind === 'answer') return sendAnswer(found.answer, req, res)
    if (found.kind === 'deny') return this.#refuse(req, res, found, request.id, request, startedAt)
    const { permit } = found
    const { upstream, metrics, cors } = this.#options
    metrics.permitted(permit.rule.template, permit.principal?.mode ?? 'anonymous')
    const preflight = permit.method === 'OPTIONS' ? cors.preflight(request.headers) : undefined
    if (preflight !== undefined) {
      sendAnswer({ status: 204, headers: preflight, body: '' }, req, res)
      return this.#options.log.permitted(permit, { status: 204, ms: this.#since(startedAt) })
    }
    const done = (report: ForwardReport): void => this.#conclude(req, res, request, permit, report, startedAt)
    upstream.forward(permit, req, res, done, expectsContinue)
  }

  #conclude(
    req: IncomingMessage,
    res: ServerResponse,
    request: GatewayRequest,
    permit: Permit,
    report: ForwardReport,
    startedAt: number,
  ): void {
    const { log, style, cors, onAnswer } = this.#options
    if (report.kind === 'answered') onAnswer(report.status)
    if (report.kind === 'failed' && !res.headersSent) {
      const denial = deny(report.reason)
      sendAnswer(renderDenial(denial, request.id, style, cors.headersFor(request.headers)), req, res)
    }
    log.permitted(permit, this.#concluded(report, startedAt))
  }

  #open(socket: Duplex, head: Buffer, request: GatewayRequest, permit: Permit, startedAt: number): void {
    const { upstream, metrics, log } = this.#options
    metrics.permitted(permit.rule.template, permit.principal?.mode ?? 'anonymous')
    upstream.upgrade(permit, socket, head, (report) => {
      if (report.kind === 'failed') sendRaw(this.#render(deny(report.reason), request.id, request), socket)
      log.permitted(permit, this.#concluded(report, startedAt))
    })
  }

  #refuse(
    req: IncomingMessage,
    res: ServerResponse,
    denial: Denial,
    id: string,
    request: GatewayRequest | undefined,
    startedAt: number,
  ): void {
    const answer = this.#render(denial, id, request)
    sendAnswer(answer, req, res)
    this.#noteDenial(denial, id, request, answer.status, startedAt)
  }

  #refuseSocket(
    socket: Duplex,
    denial: Denial,
    id: string,
    request: GatewayRequest | undefined,
    startedAt: number,
  ): void {
    const answer = this.#render(denial, id, request)
    sendRaw(answer, socket)
    this.#noteDenial(denial, id, request, answer.status, startedAt)
  }

  #render(denial: Denial, id: string, request: GatewayRequest | undefined): Answer {
    const { style, cors } = this.#options
    return renderDenial(denial, id, style, request === undefined ? [] : cors.headersFor(request.headers))
  }

  #noteDenial(
    denial: Denial,
    id: string,
    request: GatewayRequest | undefined,
    status: number,
    startedAt: number,
  ): void {
    const { metrics, log } = this.#options
    const mode = denial.principal?.mode ?? denial.credential?.kind ?? 'anonymous'
    metrics.denied(denial.rule?.template ?? 'none', mode, denial.reason)
    log.denied(denial, id, request, { status, ms: this.#since(startedAt) })
  }

  #concluded(
    report: ForwardReport | UpgradeReport,
    startedAt: number,
  ): Parameters<DecisionLog['permitted']>[1] {
    const ms = this.#since(startedAt)
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

  #since(startedAt: number): number {
    return this.#options.clock.monotonic() - startedAt
  }
}

function deny(reason: Reason): Denial {
  return { kind: 'deny', reason }
}

function denialOf(intake: Extract<Intake, { ok: false }>): Denial {
  return { ...deny(intake.reason), ...(intake.fault !== undefined && { cause: intake.fault }) }
}
