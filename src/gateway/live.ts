import type { Live, Status } from '../admin/live.ts'
import type { Recent } from '../admin/recent.ts'
import { remarks } from '../config/semantics.ts'
import type { Blocks } from '../directory/blocks.ts'
import type { Clock } from '../identity/clock.ts'
import type { Health } from '../admin/probes.ts'
import { block, unblock } from './blocks.ts'
import type { Runtime } from './runtime.ts'

export interface LiveOptions {
  readonly runtime: () => Runtime
  readonly health: () => Health
  readonly recent: Recent
  readonly blocks: Blocks
  readonly clock: Clock
  readonly version?: string
}

/** What this process shows of itself. */
export function createLive(options: LiveOptions): Live {
  const { recent, clock, blocks } = options
  const startedAt = clock.now()
  return {
    status: () => statusOf(options, startedAt),
    who: (since) => recent.who.list(since),
    refusal: (id) => recent.refusals.get(id),
    blocks: () => blocks.list,
    block: (request) => block(options, request),
    unblock: (kind, what) => unblock(options, kind, what),
    tail: (told) => recent.tail(told),
  }
}

function statusOf(
  { runtime, health, recent, clock, blocks, version }: LiveOptions,
  startedAt: number,
): Status {
  const running = runtime()
  const { config, profile, router } = running
  const { replicas, inFlight, waiting, sockets, monotonic } = running.gauges()
  const { trusted, untrusted } = recent.peers
  return {
    ...{ version, startedAt, now: clock.now() },
    ...{ enforcement: config.enforcement, profile: config.profile, upstream: config.upstream.url },
    health: health(),
    warnings: remarks(config),
    ladder: profile.ladder,
    routes: router.state,
    lookups: profile.lookups.map(({ name, size, sourceAway, counts, batchAt }) => ({
      name,
      entries: size,
      sourceAway,
      counts,
      batchAge: batchAt === undefined ? undefined : monotonic - batchAt,
    })),
    replicas: replicas && { joined: replicas.joined, live: replicas.live.length, ...replicas.counts },
    proxies: { trusted, untrusted },
    ...{ inFlight, waiting, sockets, blocks: blocks.list.length },
    refusals: recent.counts,
  }
}
