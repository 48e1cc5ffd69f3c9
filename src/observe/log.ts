import { pino } from 'pino'
import type { DestinationStream, Logger } from 'pino'
import type { Denial } from '../pipeline/decision.ts'
import type { Permit } from '../pipeline/permit.ts'
import type { GatewayRequest } from '../request/request.ts'
import { isoTime } from './time.ts'

export type { Logger } from 'pino'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** JSON lines. What the process was given as secrets never gets here; headers are never logged. */
export function createLogger(level: LogLevel, output: DestinationStream): Logger {
  return pino({ level, base: null, timestamp: () => `,"time":"${isoTime()}"` }, output)
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

/**
 * One line per decision, written when it is over. The line is made here and not by the logger, in its form and to where it
 * writes: the general serialiser took a tenth of all that a forwarded request cost (docs/decisions/0004).
 */
export class DecisionLog {
  readonly #logger: Logger
  readonly #output: DestinationStream
  readonly #which: 'all' | 'denied' | 'off'

  constructor(logger: Logger, which: 'all' | 'denied' | 'off') {
    this.#logger = logger
    this.#output = outputOf(logger)
    this.#which = which
  }

  permitted(permit: Permit, concluded: Concluded): void {
    if (permit.observed !== undefined) return this.#observed(permit, permit.observed, concluded)
    if (this.#which !== 'all') return
    this.#write('info', {
      decision: 'permit',
      id: permit.requestId,
      method: permit.method,
      path: pathOf(permit.target.path, permit.rule.template),
      rule: permit.rule.template,
      client: permit.client.address,
      mode: permit.principal?.mode,
      user: permit.principal?.owner?.username,
      token: permit.principal?.tokenId,
      socket: permit.upgrade || undefined,
      ...timed(concluded),
    })
  }

  denied(denial: Denial, id: string, request: GatewayRequest | undefined, concluded: Concluded): void {
    if (this.#which === 'off') return
    this.#write(denial.cause === undefined ? 'info' : 'warn', {
      decision: 'deny',
      ...aboutDenial(denial, id, request),
      ...timed({ ...concluded, cause: denial.cause }),
    })
  }

  #observed(permit: Permit, denial: Denial, concluded: Concluded): void {
    if (this.#which === 'off') return
    this.#write('info', {
      decision: 'would_deny',
      ...aboutDenial(denial, permit.requestId, permit),
      socket: permit.upgrade || undefined,
      ...timed({ cause: denial.cause, ...concluded }),
    })
  }

  /** @param fields strings, numbers and lists of strings; what is undefined is left out */
  #write(level: 'info' | 'warn', fields: Readonly<Record<string, unknown>>): void {
    if (!this.#logger.isLevelEnabled(level)) return
    const rest = JSON.stringify(fields).slice(1)
    this.#output.write(`{"level":${pino.levels.values[level]},"time":"${isoTime()}",${rest}\n`)
  }
}

/** pino offers its symbols for integrations like this one; its types do not say what stands behind them. */
function outputOf(logger: Logger): DestinationStream {
  return (logger as unknown as Record<symbol, DestinationStream>)[pino.symbols.streamSym] as DestinationStream
}

type Asked = Pick<GatewayRequest, 'method' | 'target' | 'client'>

function aboutDenial(denial: Denial, id: string, request: Asked | undefined): Record<string, unknown> {
  return {
    reason: denial.reason,
    id,
    method: request?.method,
    path: request && pathOf(request.target.path, denial.rule?.template),
    rule: denial.rule?.template,
    client: request?.client.address,
    mode: denial.principal?.mode ?? denial.credential?.kind,
    user: denial.principal?.owner?.username,
    rejection: denial.rejection,
    missing: denial.missing,
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
