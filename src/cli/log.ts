import type { Config } from '../config/schema.ts'
import { createLogger } from '../observe/log.ts'
import type { Logger } from '../observe/log.ts'
import { buffered, STANDARD_OUTPUT } from '../observe/output.ts'
import type { CliContext } from './context.ts'

/** The log on the standard output, whose last lines are written however the process ends. */
export function openLog(config: Config, { signals }: Pick<CliContext, 'signals'>): Logger {
  const output = buffered(STANDARD_OUTPUT)
  signals.onExit(() => output.flushSync())
  return createLogger(config.log.level, output)
}
