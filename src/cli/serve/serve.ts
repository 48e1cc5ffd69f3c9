import { availableParallelism } from 'node:os'
import { asPosternError } from '../../errors.ts'
import { systemClock } from '../../identity/clock.ts'
import type { Logger } from '../../observe/log.ts'
import { parseCommand } from '../arguments.ts'
import { CONFIG_OPTIONS, configure, warningLine } from '../configure.ts'
import type { Configured } from '../configure.ts'
import type { CliContext } from '../context.ts'
import { logFindings } from '../doctor.ts'
import { openLog, reportCrashes } from '../log.ts'
import { VERSION } from '../version.ts'
import { startAlone } from './alone.ts'
import type { Running } from './running.ts'
import { startTogether } from './together.ts'

export const SERVE_USAGE = ['postern serve [--config FILE] [--upstream URL] [--set SETTING=VALUE]…']

/**
 * `postern serve`: runs until it is told to stop.
 * @throws PosternError
 */
export async function runServe(args: readonly string[], context: CliContext): Promise<void> {
  const { values } = parseCommand(args, [], CONFIG_OPTIONS)
  const { signals } = context
  const { stopped } = signals
  const read = (): Configured => configure(values, context)
  const configured = read()
  const { config, warnings } = configured
  const workers = config.workers === 'auto' ? availableParallelism() : config.workers
  const logger = openLog(config, context, workers > 1 ? {} : undefined)
  reportCrashes(logger, context)
  for (const warning of warnings) logger.warn(warningLine(warning))
  const begin = async (running: Running, now: Configured): Promise<void> => {
    await announce(running, now, logger)
    void lookAround(running, now, logger, stopped)
  }
  const parts = { clock: systemClock, logger, version: VERSION }
  const starting = workers > 1 ? startTogether(config, workers, parts) : startAlone(config, parts)
  // One after the other, and the first when there is something to replace.
  let reloads: Promise<unknown> = Promise.allSettled([starting])
  signals.onReload(async () => {
    reloads = reloads.then(async () => reload(await starting, read, logger, begin))
    await reloads
  })
  signals.onRestart(async () => restart(await starting, logger))
  const running = await starting
  await begin(running, configured)
  try {
    await Promise.race([stopped, running.broken])
  } finally {
    logger.info({ grace: config.shutdown.grace }, 'stopping')
    await running.close()
  }
}

/** Says where it listens and what each kind of credential is checked against. */
async function announce(
  running: Running,
  { config: { profile, upstream }, file }: Configured,
  logger: Logger,
): Promise<void> {
  const { edge, probes, admin, decision, workers, routes, checks } = running.at()
  const about = { workers, profile, config: file, upstream: upstream.url, routes, checks }
  logger.info({ edge, probes, admin, decision, ...about }, 'listening')
  const { troubles } = await running.health()
  for (const trouble of troubles) logger.warn(trouble)
}

/** What the doctor finds goes to the log. Nothing waits for it, and after the end nobody wants to know. */
async function lookAround(
  running: Running,
  { config }: Configured,
  logger: Logger,
  stopped: Promise<void>,
): Promise<void> {
  const findings = running.diagnose(config).catch(() => [])
  logFindings(await Promise.race([findings, stopped.then(() => [])]), logger)
}

/** A configuration that is not valid, or cannot be started, changes nothing. */
async function reload(
  running: Running,
  read: () => Configured,
  logger: Logger,
  begin: (running: Running, now: Configured) => Promise<void>,
): Promise<void> {
  try {
    const configured = read()
    const { config, warnings } = configured
    for (const warning of warnings) logger.warn(warningLine(warning))
    await running.reload(config)
    logger.level = config.log.level
    await begin(running, configured)
  } catch (error) {
    const { code, message } = asPosternError(error)
    logger.error({ code, cause: message }, 'not reloaded: the configuration before stays in force')
  }
}

async function restart(running: Running, logger: Logger): Promise<void> {
  try {
    await running.restart()
  } catch (error) {
    const { code, message } = asPosternError(error)
    logger.error({ code, cause: message }, 'not restarted: the workers that are left stay')
  }
}
