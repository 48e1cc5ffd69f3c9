import { asPosternError } from '../errors.ts'
import { diagnose } from '../gateway/doctor/doctor.ts'
import { startGateway } from '../gateway/gateway.ts'
import type { Gateway } from '../gateway/gateway.ts'
import { systemClock } from '../identity/clock.ts'
import { openLog } from './log.ts'
import type { Logger } from '../observe/log.ts'
import { parseCommand } from './arguments.ts'
import { VERSION } from './version.ts'
import { CONFIG_OPTIONS, configure, warningLine } from './configure.ts'
import type { Configured } from './configure.ts'
import type { CliContext } from './context.ts'
import { logFindings } from './doctor.ts'

export const SERVE_USAGE = ['postern serve [--config FILE] [--upstream URL] [--set SETTING=VALUE]…']

/**
 * `postern serve`: runs until it is told to stop.
 * @throws PosternError
 */
export async function runServe(args: readonly string[], context: CliContext): Promise<void> {
  const { values } = parseCommand(args, [], CONFIG_OPTIONS)
  const { stopped } = context.signals
  const read = (): Configured => configure(values, context)
  const configured = read()
  const { config, warnings } = configured
  const logger = openLog(config, context)
  context.signals.onCrash((error) => logger.fatal(crash(error), 'an error that nobody caught: ending'))
  for (const warning of warnings) logger.warn(warningLine(warning))
  const begin = (gateway: Gateway, now: Configured): void => {
    announce(gateway, now, logger)
    void lookAround(gateway, now, logger, stopped)
  }
  const starting = startGateway(config, { clock: systemClock, logger, version: VERSION })
  // One after the other, and the first when there is something to replace.
  let reloads: Promise<unknown> = Promise.allSettled([starting])
  context.signals.onReload(async () => {
    reloads = reloads.then(async () => reload(await starting, read, logger, begin))
    await reloads
  })
  const gateway = await starting
  begin(gateway, configured)
  await stopped
  logger.info({ grace: config.shutdown.grace }, 'stopping')
  await gateway.close()
}

/** Says where it listens and what each kind of credential is checked against. */
function announce(gateway: Gateway, { config, file }: Configured, logger: Logger): void {
  const { runtime } = gateway
  const checks = Object.fromEntries(runtime.profile.ladder.map(({ mode, checkedBy }) => [mode, checkedBy]))
  const about = {
    profile: config.profile,
    config: file,
    upstream: config.upstream.url,
    routes: runtime.router.state.rows,
    checks,
  }
  const { edge, probes, admin, decision } = gateway
  logger.info({ edge, probes, admin, decision, ...about }, 'listening')
  for (const trouble of gateway.health().troubles) logger.warn(trouble)
}

/** What the doctor finds goes to the log. Nothing waits for it, and after the end nobody wants to know. */
async function lookAround(
  { runtime }: Gateway,
  { config }: Configured,
  logger: Logger,
  stopped: Promise<void>,
): Promise<void> {
  const findings = diagnose({ config, runtime, clock: systemClock })
  logFindings(await Promise.race([findings, stopped.then(() => [])]), logger)
}

/** Where it happened, without what it was about: a message may quote what a client sent, a stack repeats it. */
function crash(error: unknown): { readonly cause: string; readonly at: string | undefined } {
  const { name, stack = '' } = error instanceof Error ? error : new Error(typeof error)
  return { cause: name, at: /^ +at (.+)$/m.exec(stack)?.[1] }
}

/** A configuration that is not valid, or cannot be started, changes nothing. */
async function reload(
  gateway: Gateway,
  read: () => Configured,
  logger: Logger,
  begin: (gateway: Gateway, now: Configured) => void,
): Promise<void> {
  try {
    const configured = read()
    const { config, warnings } = configured
    for (const warning of warnings) logger.warn(warningLine(warning))
    await gateway.reload(config)
    logger.level = config.log.level
    begin(gateway, configured)
  } catch (error) {
    const { code, message } = asPosternError(error)
    logger.error({ code, cause: message }, 'not reloaded: the configuration before stays in force')
  }
}
