import { parseCommand } from './arguments.ts'
import { CONFIG_OPTIONS, configure, warningLine } from './configure.ts'
import type { CliContext } from './context.ts'

export const CHECK_USAGE = ['postern check [--config FILE] [--upstream URL] [--set SETTING=VALUE]…']

/**
 * `postern check`: reads the configuration as `serve` would, and connects to nothing.
 * @throws PosternError `config_invalid` with every problem
 */
export function runCheck(args: readonly string[], context: CliContext): void {
  const { values } = parseCommand(args, [], CONFIG_OPTIONS)
  const { warnings, file } = configure(values, context)
  for (const warning of warnings) context.err(`warning: ${warningLine(warning)}`)
  context.out(`${file ?? 'The environment'}: a valid configuration.`)
}
