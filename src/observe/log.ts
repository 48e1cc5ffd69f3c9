import { pino } from 'pino'
import type { DestinationStream, Logger } from 'pino'
import type { Denial } from '../pipeline/decision.ts'
import type { Permit } from '../pipeline/permit.ts'
import type { GatewayRequest } from '../request/request.ts'
import { deniedLine, permittedLine } from './line.ts'
import type { Concluded, LineText } from './line.ts'
import { isoTime } from './time.ts'

export type { Logger } from 'pino'
export type { Concluded }

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

/** Told of every decision when it is over, whatever of it is logged. */
export interface DecisionRecord {
  /** @param line as it is logged; written when somebody asks for it */
  permitted(permit: Permit, line: () => LineText): void
  /** @param request undefined for what could not be taken in */
  denied(denial: Denial, request: GatewayRequest | undefined, line: LineText): void
}

/**
 * One line per decision, written when it is over. The line is made here and not by the logger, in its form and to where it
 * writes: the general serialiser took a tenth of all that a forwarded request cost (docs/decisions/0004).
 */
export class DecisionLog {
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
    const isWanted = permit.observed === undefined ? this.#which === 'all' : this.#which !== 'off'
    const line = isWanted && this.#writes('info') ? permittedLine(permit, concluded) : undefined
    this.#record?.permitted(permit, () => line ?? permittedLine(permit, concluded))
    if (line !== undefined) this.#write('info', line)
  }

  denied(denial: Denial, id: string, request: GatewayRequest | undefined, concluded: Concluded): void {
    const line = deniedLine(denial, id, request, concluded)
    this.#record?.denied(denial, request, line)
    const level = denial.cause === undefined ? 'info' : 'warn'
    if (this.#which !== 'off' && this.#writes(level)) this.#write(level, line)
  }

  #writes(level: 'info' | 'warn'): boolean {
    return this.#logger.isLevelEnabled(level)
  }

  #write(level: 'info' | 'warn', line: LineText): void {
    this.#output.write(`{"level":${pino.levels.values[level]},"time":"${isoTime()}",${this.#bound}${line}}\n`)
  }
}

/** pino offers its symbols for integrations like this one; its types do not say what stands behind them. */
function outputOf(logger: Logger): DestinationStream {
  return (logger as unknown as Record<symbol, DestinationStream>)[pino.symbols.streamSym] as DestinationStream
}
