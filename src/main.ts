#!/usr/bin/env node
// First, before anything that is made while the others load.
import './cli/ticks.ts'
import { systemClock } from './identity/clock.ts'
import { runCheck, CHECK_USAGE } from './cli/check.ts'
import type { CliContext } from './cli/context.ts'
import { DEMO_USAGE, runDemo } from './cli/demo/demo.ts'
import { DOCS_USAGE, runDocs } from './cli/docs.ts'
import { DOCTOR_USAGE, runDoctor } from './cli/doctor.ts'
import { EXPLAIN_USAGE, runExplain } from './cli/explain.ts'
import { INIT_USAGE, runInit } from './cli/init/init.ts'
import { KEYS_USAGE, runKeys } from './cli/keys.ts'
import { ROUTES_USAGE, runRoutes } from './cli/routes.ts'
import {
  BLOCK_USAGE,
  BLOCKS_USAGE,
  runBlock,
  runBlocks,
  runUnblock,
  UNBLOCK_USAGE,
} from './cli/live/block.ts'
import { runStatus, STATUS_USAGE } from './cli/live/status.ts'
import { runTail, TAIL_USAGE } from './cli/live/tail.ts'
import { runWho, WHO_USAGE } from './cli/live/who.ts'
import { createAsk, createReadSecret } from './cli/secret.ts'
import { runServe, SERVE_USAGE } from './cli/serve/serve.ts'
import { runToken, TOKEN_USAGE } from './cli/token.ts'
import { runUser, USER_USAGE } from './cli/user.ts'
import { runWorker } from './cli/workers/worker.ts'
import { asPosternError } from './errors.ts'
import type { FailureCode } from './errors.ts'

interface Command {
  readonly usage: readonly string[]
  run(args: readonly string[], context: CliContext): Promise<void> | void
}

const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['serve', { usage: SERVE_USAGE, run: runServe }],
  ['check', { usage: CHECK_USAGE, run: runCheck }],
  ['init', { usage: INIT_USAGE, run: runInit }],
  ['doctor', { usage: DOCTOR_USAGE, run: runDoctor }],
  ['routes', { usage: ROUTES_USAGE, run: runRoutes }],
  ['explain', { usage: EXPLAIN_USAGE, run: runExplain }],
  ['status', { usage: STATUS_USAGE, run: runStatus }],
  ['who', { usage: WHO_USAGE, run: runWho }],
  ['tail', { usage: TAIL_USAGE, run: runTail }],
  ['block', { usage: BLOCK_USAGE, run: runBlock }],
  ['blocks', { usage: BLOCKS_USAGE, run: runBlocks }],
  ['unblock', { usage: UNBLOCK_USAGE, run: runUnblock }],
  ['keys', { usage: KEYS_USAGE, run: runKeys }],
  ['user', { usage: USER_USAGE, run: runUser }],
  ['token', { usage: TOKEN_USAGE, run: runToken }],
  ['demo', { usage: DEMO_USAGE, run: runDemo }],
  ['docs', { usage: DOCS_USAGE, run: runDocs }],
  ['worker', { usage: [], run: runWorker }],
])

/** As sysexits.h has them, so that a supervisor can tell a mistake from trouble that may pass. */
const EXIT_CODES: Partial<Record<FailureCode, number>> = {
  usage: 64,
  config_invalid: 78,
  keys_unusable: 78,
  listen_failed: 69,
  not_running: 69,
}
const EXIT_OTHER = 70

/** Signals, and errors that nobody caught, as promises and callbacks: nothing else in the program touches the process. */
function signals(): CliContext['signals'] {
  let report = sayOnly
  // Rejections that nobody caught end up here too. After one the state is unknown: a supervisor starts anew.
  process.on('uncaughtException', (error) => {
    report(error)
    process.exit(EXIT_OTHER)
  })
  let stopped: Promise<void> | undefined
  return {
    // Commands that wait for nobody's word to end are ended by the signal itself.
    get stopped() {
      return (stopped ??= untilStopped())
    },
    onReload: (reload) => void process.on('SIGHUP', () => void reload()),
    onRestart: (restart) => void process.on('SIGUSR2', () => void restart()),
    leaveToOthers() {
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2'] as const)
        process.on(signal, () => undefined)
    },
    onExit: (last) => void process.once('exit', last),
    onCrash: (instead) => (report = instead),
  }
}

function sayOnly(error: unknown): void {
  err(asPosternError(error).message)
}

function untilStopped(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      resolve()
      // Who asks twice does not want to wait.
      process.once(signal, () => process.exit(1))
    })
  }
  return promise
}

function err(line: string): void {
  console.error(line)
}

async function main(args: readonly string[]): Promise<number> {
  let ending = 0
  const context: CliContext = {
    out: (line) => console.log(line),
    err,
    endWith: (code) => (ending = code),
    env: process.env,
    readSecret: createReadSecret(process.stdin, process.stderr),
    ask: createAsk(process.stdin, process.stderr),
    now: () => systemClock.now(),
    signals: signals(),
  }
  const [name = '--help', ...rest] = args
  const command = COMMANDS.get(name)
  if (command === undefined || rest.includes('--help') || rest.includes('-h')) {
    const wanted = command !== undefined || ['help', '--help', '-h'].includes(name)
    const usage = command?.usage ?? [...COMMANDS.values()].flatMap((each) => each.usage)
    if (!wanted) err(`'${name}' is not a command.`)
    for (const line of ['Usage:', ...usage.map((text) => `  ${text}`)]) (wanted ? context.out : err)(line)
    return wanted ? 0 : 64
  }
  try {
    await command.run(rest, context)
    return ending
  } catch (error) {
    const { code, message } = asPosternError(error)
    err(message)
    if (code === 'usage') for (const line of command.usage) err(`  ${line}`)
    return EXIT_CODES[code] ?? EXIT_OTHER
  }
}

process.exitCode = await main(process.argv.slice(2))
