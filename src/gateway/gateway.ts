import { isDeepStrictEqual } from 'node:util'
import type { Live } from '../admin/live.ts'
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
import type { MetricValues } from '../observe/metrics.ts'
import { createLive } from './live.ts'
import { ownListeners, unlessOff } from './own.ts'
import { Runtime } from './runtime.ts'
import type { RuntimeContext } from './runtime.ts'
import type { Siblings } from './siblings.ts'
import { inTurn } from './turns.ts'

/** Milliseconds, about what a timer can hold: a download must not break off because somebody changed a rule. */
export const LONGEST_EXCHANGE = 2 ** 31 - 1

export interface GatewayContext {
  readonly clock: Clock
  readonly logger: Logger
  /** Of this program. */
  readonly version?: string
  /** Where it is one of several workers. */
  readonly siblings?: Siblings | undefined
}

/** A configuration that is started, and not at work yet. */
export interface Prepared {
  readonly commit: () => void
  readonly abandon: () => Promise<void>
}

export interface Drain {
  /** Milliseconds for what is under way. */
  readonly grace: number
  /** @see EdgeServer.close */
  readonly linger: number
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
  readonly live: Live
  health(): Health
  metrics(): Promise<MetricValues>
  /**
   * Puts another configuration in place of the one at work, whole; what is under way ends with the old one.
   * @throws PosternError when it cannot be started: the old one stays
   */
  reload(config: Config): Promise<void>
  /**
   * The first half of that, for who must know first that others can do the same.
   * @throws PosternError when it cannot be started
   */
  prepare(config: Config): Promise<Prepared>
  /** Stops listening, lets what is under way end within the configured grace unless told, and closes everything. */
  close(drain?: Drain): Promise<void>
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

  const close = async (drain?: Drain): Promise<void> => {
    draining = true
    const { grace, linger } = drain ?? { grace: runtime.config.shutdown.grace, linger: 0 }
    // Sockets have no end of their own to wait for.
    runtime.upstream.sockets.closeAll()
    await Promise.all([edge.close(grace, linger), decision.close(grace, linger)])
    await Promise.all([runtime.close(0), own.close()])
  }
  const put = (started: Runtime): void => {
    // Stopped meanwhile: nobody would close it later.
    if (draining) return void started.close(0)
    void runtime.close(LONGEST_EXCHANGE)
    runtime = started
  }
  const replace = async (next: Config): Promise<void> => {
    const { commit } = await prepare(next, kept, put)
    warnOfFixed(config, next, context.logger)
    commit()
  }
  const turn = inTurn()

  try {
    return {
      ...(await own.open()),
      decision: await unlessOff(config.decision.listen, (at) => decision.listen(at, 'decision.listen')),
      edge: await edge.listen(config.listen.edge, 'listen.edge'),
      get runtime() {
        return runtime
      },
      live,
      health,
      metrics: () => metrics.values(),
      reload: (next) => turn(() => replace(next)),
      prepare: (next) => prepare(next, kept, put),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function prepare(
  next: Config,
  context: RuntimeContext,
  put: (started: Runtime) => void,
): Promise<Prepared> {
  const started = await Runtime.start(next, context)
  return { commit: () => put(started), abandon: () => started.close(0) }
}

/** Of the settings of open listeners, and of how many processes there are, where `next` has other values. */
export function warnOfFixed(config: Config, next: Config, logger: Pick<Logger, 'warn'>): void {
  const [before, after] = [fixed(config), fixed(next)]
  for (const path of Object.keys(after)) {
    if (isDeepStrictEqual(before[path], after[path])) continue
    logger.warn(`${path} has another value now, which takes a restart`)
  }
}

function fixed({ listen, decision, limits, workers }: Config): Readonly<Record<string, unknown>> {
  const sections = { listen, decision: { listen: decision.listen }, limits }
  const entries = Object.entries(sections).flatMap(([section, values]) =>
    Object.entries(values).map(([name, value]) => [`${section}.${name}`, value] as const),
  )
  return { ...Object.fromEntries(entries), workers }
}
