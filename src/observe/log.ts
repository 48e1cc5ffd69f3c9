import { pino } from 'pino'
import type { DestinationStream, Logger } from 'pino'
import type { Denial } from '../pipeline/decision.ts'
import type { Permit } from '../pipeline/permit.ts'
import type { GatewayRequest } from '../request/request.ts'
import { isoTime } from './time.ts'

export type { Logger } from 'pino'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/**
 * JSON lines. What the process was given as secrets never gets here; headers are never logged.
 * @param about what every line says besides
 */
export function createLogger(
  level: LogLevel,
  output: DestinationStream,
  about: Readonly<Record<string, unknown>> | null = null,
): Logger {
  return pino({ level, base: about, timestamp: () => `,"time":"${isoTime()}"` }, output)
}

/** What came of a request, for its one line. */
export interface Concluded {
  readonly status: number | undefined
  /** Milliseconds from the first look at the request to the end of its answer. */
  readonly ms: number
  /** `aborted`, `cut`, `failed`: how a forwarded exchange ended, if not with an answer. */
  readonly ended?: string
  readonly cause?: unknown
}

/** Told of every decision when it is over, whatever of it is logged. */
export interface DecisionRecord {
  permitted(permit: Permit, concluded: Concluded): void
  /** @param request undefined for what could not be taken in */
  denied(denial: Denial, id: string, request: GatewayRequest | undefined, concluded: Concluded): void
}

/** The fields of a decision's line: strings, numbers and lists of strings; what is undefined is left out. */
export type DecisionLine = Readonly<Record<string, unknown>>

/**
 * One line per decision, written when it is over. The line is made here and not by the logger, in its form and to where it
 * writes: the general serialiser took a tenth of all that a forwarded request cost (docs/decisions/0004).
 */
export class DecisionLog implements DecisionRecord {
  readonly #logger: Logger
  readonly #output: DestinationStream
  readonly #which: 'all' | 'denied' | 'off'
  readonly #record: DecisionRecord | undefined
  /** What the logger says in every line, as text. */
  readonly #bound: string

  /** @param record told of all of them */
  constructor(logger: Logger, which: 'all' | 'denied' | 'off', record?: DecisionRecord) {
    this.#logger = logger
    this.#output = outputOf(logger)
    this.#which = which
    this.#record = record
    this.#bound = Object.entries(logger.bindings())
      .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)},`)
      .join('')
  }

  permitted(permit: Permit, concluded: Concluded): void {
    this.#record?.permitted(permit, concluded)
    const isLogged = permit.observed === undefined ? this.#which === 'all' : this.#which !== 'off'
    if (isLogged) this.#write('info', permittedLine(permit, concluded))
  }

  denied(denial: Denial, id: string, request: GatewayRequest | undefined, concluded: Concluded): void {
    this.#record?.denied(denial, id, request, concluded)
    if (this.#which === 'off') return
    this.#write(denial.cause === undefined ? 'info' : 'warn', deniedLine(denial, id, request, concluded))
  }

  #write(level: 'info' | 'warn', fields: DecisionLine): void {
    if (!this.#logger.isLevelEnabled(level)) return
    const rest = JSON.stringify(fields).slice(1)
    this.#output.write(`{"level":${pino.levels.values[level]},"time":"${isoTime()}",${this.#bound}${rest}\n`)
  }
}

/** pino offers its symbols for integrations like this one; its types do not say what stands behind them. */
function outputOf(logger: Logger): DestinationStream {
  return (logger as unknown as Record<symbol, DestinationStream>)[pino.symbols.streamSym] as DestinationStream
}

export function permittedLine(permit: Permit, concluded: Concluded): DecisionLine {
  const { requestId, principal, observed } = permit
  if (observed !== undefined)
    return denialLine('would_deny', observed, requestId, permit, { cause: observed.cause, ...concluded })
  return {
    decision: 'permit',
    id: requestId,
    method: permit.method,
    path: pathOf(permit.target.path, permit.rule.template),
    rule: permit.rule.template,
    client: permit.client.address,
    mode: principal?.mode,
    user: principal?.owner?.username,
    token: principal?.tokenId,
    socket: permit.upgrade || undefined,
    ...timed(concluded),
  }
}

export function deniedLine(
  denial: Denial,
  id: string,
  request: GatewayRequest | undefined,
  concluded: Concluded,
): DecisionLine {
  return denialLine('deny', denial, id, request, { ...concluded, cause: denial.cause })
}

function denialLine(
  decision: 'deny' | 'would_deny',
  denial: Denial,
  id: string,
  request: Pick<GatewayRequest, 'method' | 'target' | 'client' | 'upgrade'> | undefined,
  concluded: Concluded,
): DecisionLine {
  return {
    decision,
    reason: denial.reason,
    id,
    method: request?.method,
    path: request && pathOf(request.target.path, denial.rule?.template ?? denial.template),
    rule: denial.rule?.template,
    client: request?.client.address,
    mode: denial.principal?.mode ?? denial.credential?.kind,
    user: denial.principal?.owner?.username,
    token: denial.principal?.tokenId,
    rejection: denial.rejection,
    missing: denial.missing,
    socket: request?.upgrade || undefined,
    ...timed(concluded),
  }
}

/** A pairing code in a path is a credential: such a path is named by its template. */
function pathOf(path: string, template: string | undefined): string {
  return template !== undefined && /\{\w*code\}/.test(template) ? template : path
}

function timed({ status, ms, ended, cause }: Concluded): Record<string, unknown> {
  return {
    status,
    ms: Math.round(ms * 10) / 10,
    ended,
    cause: cause === undefined ? undefined : messageOf(cause),
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
