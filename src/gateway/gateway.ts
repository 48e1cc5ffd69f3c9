import { isDeepStrictEqual } from 'node:util'
import { probesPart } from '../admin/probes.ts'
import type { Health } from '../admin/probes.ts'
import { Recent } from '../admin/recent.ts'
import { adminPart } from '../admin/server.ts'
import type { Config } from '../config/schema.ts'
import { Blocks } from '../directory/blocks.ts'
import { EdgeServer } from '../edge/server.ts'
import type { Clock } from '../identity/clock.ts'
import type { Logger } from '../observe/log.ts'
import { createMetrics } from '../observe/metrics.ts'
import { createLive } from './live.ts'
import { ownListeners, unlessOff } from './own.ts'
import { Runtime } from './runtime.ts'

/** Milliseconds, about what a timer can hold: a download must not break off because somebody changed a rule. */
const LONGEST_EXCHANGE = 2 ** 31 - 1

export interface GatewayContext {
  readonly clock: Clock
  readonly logger: Logger
  /** Of this program. */
  readonly version?: string
}

/** A gateway that listens. */
export interface Gateway {
  /** `host:port`, with the port that was given for 0; or `unix:/path`. */
  readonly edge: string
  readonly probes: string | undefined
  readonly admin: string | undefined
  /** Of the decision API. */
  readonly decision: string | undefined
  readonly runtime: Runtime
  health(): Health
  /**
   * Puts another configuration in place of the one at work, whole; what is under way ends with the old one.
   * @throws PosternError when it cannot be started: the old one stays
   */
  reload(config: Config): Promise<void>
  /** Stops listening, lets what is under way end within the configured grace, and closes everything. */
  close(): Promise<void>
}

/** @throws PosternError `config_invalid`, `keys_unusable`, `listen_failed` */
export async function startGateway(config: Config, context: GatewayContext): Promise<Gateway> {
  const metrics = createMetrics(() => runtime.gauges())
  const kept = { ...context, metrics, recent: new Recent(context.clock), blocks: new Blocks(context.clock) }
  let runtime = await Runtime.start(config, kept)
  let draining = false

  const health = (): Health =>
    draining ? { status: 'not_ready', troubles: ['shutting down'] } : runtime.health()
  const edge = new EdgeServer(config.limits, () => runtime.handler, metrics)
  const decision = new EdgeServer(config.limits, () => runtime.decisions, metrics)
  const live = createLive({ ...kept, runtime: () => runtime, health })
  const own = ownListeners(config.listen, probesPart(health, metrics), (name) => adminPart(live, name))

  const close = async (): Promise<void> => {
    draining = true
    const grace = runtime.config.shutdown.grace
    // Sockets have no end of their own to wait for.
    runtime.upstream.sockets.closeAll()
    await Promise.all([edge.close(grace), decision.close(grace)])
    await Promise.all([runtime.close(0), own.close()])
  }

  /** One after the other: of two, the later must win. */
  let reloading: Promise<void> = Promise.resolve()
  const replace = async (next: Config, before: Promise<void>): Promise<void> => {
    await before.catch(() => undefined)
    const started = await Runtime.start(next, kept)
    // Stopped meanwhile: nobody would close it later.
    if (draining) return started.close(0)
    for (const path of fixedSettings(config, next))
      context.logger.warn(`${path} has another value now, which takes a restart`)
    const replaced = runtime
    runtime = started
    void replaced.close(LONGEST_EXCHANGE)
  }

  try {
    return {
      ...(await own.open()),
      decision: await unlessOff(config.decision.listen, (address) => decision.listen(address)),
      edge: await edge.listen(config.listen.edge),
      get runtime() {
        return runtime
      },
      health,
      reload: (next) => {
        reloading = replace(next, reloading)
        return reloading
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** The settings of open listeners, where `next` has other values. */
function fixedSettings(config: Config, next: Config): string[] {
  const before = fixed(config)
  const after = fixed(next)
  return Object.keys(after).filter((path) => !isDeepStrictEqual(before[path], after[path]))
}

function fixed({ listen: addresses, decision, limits }: Config): Readonly<Record<string, unknown>> {
  const sections = { listen: addresses, decision: { listen: decision.listen }, limits }
  return Object.fromEntries(
    Object.entries(sections).flatMap(([section, values]) =>
      Object.entries(values).map(([name, value]) => [`${section}.${name}`, value]),
    ),
  )
}
