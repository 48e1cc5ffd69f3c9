import { systemClock } from './identity/clock.ts'
import { runCheck, CHECK_USAGE } from './cli/check.ts'
import type { CliContext } from './cli/context.ts'
import { DEMO_USAGE, runDemo } from './cli/demo/demo.ts'
import { DOCS_USAGE, runDocs } from './cli/docs.ts'
import { EXPLAIN_USAGE, runExplain } from './cli/explain.ts'
import { KEYS_USAGE, runKeys } from './cli/keys.ts'
import { ROUTES_USAGE, runRoutes } from './cli/routes.ts'
import { createReadSecret } from './cli/secret.ts'
import { runServe, SERVE_USAGE } from './cli/serve.ts'
import { runToken, TOKEN_USAGE } from './cli/token.ts'
import { runUser, USER_USAGE } from './cli/user.ts'
import { asPosternError } from './errors.ts'
import type { FailureCode } from './errors.ts'

interface Command {
  readonly usage: readonly string[]
  run(args: readonly string[], context: CliContext): Promise<void> | void
}

const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['serve', { usage: SERVE_USAGE, run: runServe }],
  ['check', { usage: CHECK_USAGE, run: runCheck }],
  ['routes', { usage: ROUTES_USAGE, run: runRoutes }],
  ['explain', { usage: EXPLAIN_USAGE, run: runExplain }],
  ['keys', { usage: KEYS_USAGE, run: runKeys }],
  ['user', { usage: USER_USAGE, run: runUser }],
  ['token', { usage: TOKEN_USAGE, run: runToken }],
  ['demo', { usage: DEMO_USAGE, run: runDemo }],
  ['docs', { usage: DOCS_USAGE, run: runDocs }],
])

/** As sysexits.h has them, so that a supervisor can tell a mistake from trouble that may pass. */
const EXIT_CODES: Partial<Record<FailureCode, number>> = {
  usage: 64,
  config_invalid: 78,
  keys_unusable: 78,
  listen_failed: 69,
}
const EXIT_OTHER = 70

/** Signals, as promises and callbacks: nothing else in the program touches the process. */
function signals(): CliContext['signals'] {
  const { promise, resolve } = Promise.withResolvers<void>()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      resolve()
      // Who asks twice does not want to wait.
      process.once(signal, () => process.exit(1))
    })
  }
  return { stopped: promise, onReload: (reload) => void process.on('SIGHUP', () => void reload()) }
}

async function main(args: readonly string[]): Promise<number> {
  const context: CliContext = {
    out: (line) => console.log(line),
    err: (line) => console.error(line),
    env: process.env,
    readSecret: createReadSecret(process.stdin, process.stderr),
    now: () => systemClock.now(),
    signals: signals(),
  }
  const command = COMMANDS.get(args[0] ?? '')
  if (command === undefined) {
    const wanted = args[0] === undefined || args[0] === 'help' || args[0] === '--help'
    const lines = [...COMMANDS.values()].flatMap(({ usage }) => usage)
    for (const line of ['Usage:', ...lines.map((text) => `  ${text}`)])
      (wanted ? context.out : context.err)(line)
    return wanted ? 0 : 64
  }
  try {
    await command.run(args.slice(1), context)
    return 0
  } catch (error) {
    const { code, message } = asPosternError(error)
    context.err(message)
    if (code === 'usage') for (const line of command.usage) context.err(`  ${line}`)
    return EXIT_CODES[code] ?? EXIT_OTHER
  }
}

process.exitCode = await main(process.argv.slice(2))
