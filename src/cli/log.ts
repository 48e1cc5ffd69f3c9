import type { Config } from '../config/schema.ts'
import { createLogger } from '../observe/log.ts'
import type { Logger } from '../observe/log.ts'
import { buffered, STANDARD_OUTPUT } from '../observe/output.ts'
import type { CliContext } from './context.ts'

/**
 * The log on the standard output, whose last lines are written however the process ends.
 * @param among given where several processes write there: which of the workers this is, if it is one
 */
export function openLog(
  config: Config,
  { signals }: Pick<CliContext, 'signals'>,
  among?: { readonly worker?: number },
): Logger {
  const output = buffered(STANDARD_OUTPUT, among !== undefined)
  signals.onExit(() => output.flushSync())
  return createLogger(config.log.level, output, among)
}

/** An error that nobody caught is one line of the log. */
export function reportCrashes(logger: Logger, { signals }: Pick<CliContext, 'signals'>): void {
  signals.onCrash((error) => logger.fatal(crash(error), 'an error that nobody caught: ending'))
}

/** Where it happened, without what it was about: a message may quote what a client sent, a stack repeats it. */
function crash(error: unknown): { readonly cause: string; readonly at: string | undefined } {
  const { name, stack = '' } = error instanceof Error ? error : new Error(typeof error)
  return { cause: name, at: /^ +at (.+)$/m.exec(stack)?.[1] }
}
