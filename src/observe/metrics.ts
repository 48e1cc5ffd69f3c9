import { Counter, Gauge, Registry } from 'prom-client'
import type { Denial } from '../pipeline/decision.ts'
import type { Permit } from '../pipeline/permit.ts'

/** Reads what others keep, at the moment it is asked for. */
export interface Gauges {
  readonly lookups: readonly {
    readonly name: string
    readonly size: number
    readonly counts: Readonly<Record<string, number>>
    readonly batchAt: number | undefined
  }[]
  readonly replicas: ReplicaGauges | undefined
  readonly inFlight: number
  readonly waiting: number
  readonly sockets: number
  readonly routes: number
  /** Milliseconds. */
  readonly tableAge: number | undefined
  readonly monotonic: number
}

/** What is told to the other replicas, and who is heard. */
interface ReplicaGauges {
  readonly live: readonly unknown[]
  readonly joined: boolean
  readonly waiting: number
  readonly counts: Readonly<Record<'announced' | 'unacknowledged' | 'gaps', number>>
}

export interface Metrics {
  permitted(permit: Permit): void
  denied(denial: Denial): void
  upstreamFailed(reason: string): void
  /** @param bound that of all connections, or of one address */
  connectionRefused(bound: string): void
  /** Prometheus' text format, and its content type. */
  render(): Promise<{ readonly contentType: string; readonly body: string }>
}

/** Counters and gauges. Labels come from closed lists and route templates, never from what a client made up. */
export function createMetrics(read: () => Gauges): Metrics {
  const registry = new Registry()
  const requests = new Counter({
    name: 'postern_requests_total',
    help: 'Decisions, by what was decided, why, how the request was authenticated, and route template.',
    labelNames: ['decision', 'reason', 'mode', 'route'],
    registers: [registry],
  })
  const failures = new Counter({
    name: 'postern_upstream_failures_total',
    help: 'Exchanges with the upstream that came to nothing, for its fault or for want of room.',
    labelNames: ['reason'],
    registers: [registry],
  })
  const refused = new Counter({
    name: 'postern_connections_refused_total',
    help: 'Connections closed unanswered, by the bound that they were beyond.',
    labelNames: ['bound'],
    registers: [registry],
  })
  registerGauges(registry, read)
  return {
    permitted({ observed, principal, rule }) {
      if (observed !== undefined) requests.inc({ decision: 'would_deny', ...labelsOf(observed) })
      else {
        const mode = principal?.mode ?? 'anonymous'
        requests.inc({ decision: 'permit', reason: 'none', mode, route: rule.template })
      }
    },
    denied: (denial) => requests.inc({ decision: 'deny', ...labelsOf(denial) }),
    upstreamFailed: (reason) => failures.inc({ reason }),
    connectionRefused: (bound) => refused.inc({ bound }),
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  }
}

function labelsOf({
  reason,
  principal,
  credential,
  rule,
}: Denial): Record<'reason' | 'mode' | 'route', string> {
  const mode = principal?.mode ?? credential?.kind ?? 'anonymous'
  return { reason, mode, route: rule?.template ?? 'none' }
}

function registerGauges(registry: Registry, read: () => Gauges): void {
  const plain = (name: string, help: string, value: (gauges: Gauges) => number | undefined): void => {
    const collect = (gauge: Gauge): void => {
      const current = value(read())
      if (current !== undefined) gauge.set(current)
    }
    registry.registerMetric(gaugeOf(name, help, [], collect))
  }
  plain('postern_upstream_requests', 'Forwarded requests that are not over.', ({ inFlight }) => inFlight)
  plain('postern_upstream_waiting', 'Requests that wait for a connection.', ({ waiting }) => waiting)
  plain('postern_sockets', 'Open WebSockets.', ({ sockets }) => sockets)
  plain('postern_routes', 'Rows of the route table.', ({ routes }) => routes)
  plain('postern_table_age_seconds', 'Time since the OpenAPI document was read.', ({ tableAge }) =>
    tableAge === undefined ? undefined : tableAge / 1_000,
  )
  plain('postern_replicas', 'Other replicas that are heard.', ({ replicas }) => replicas?.live.length)
  plain('postern_replicas_joined', 'Whether the other replicas are heard: 1 or 0.', ({ replicas }) =>
    replicas === undefined ? undefined : Number(replicas.joined),
  )
  plain('postern_changes_waiting', 'Changes whose acknowledgements are waited for.', ({ replicas }) => {
    return replicas?.waiting
  })
  plain(
    'postern_changes_announced_total',
    'Changes told to the other replicas.',
    ({ replicas }) => replicas?.counts.announced,
  )
  plain(
    'postern_changes_unacknowledged_total',
    'Acknowledgements that did not come in time.',
    ({ replicas }) => replicas?.counts.unacknowledged,
  )
  plain(
    'postern_replica_gaps_total',
    'Times that announcements may have been missed, so that nothing known counted.',
    ({ replicas }) => replicas?.counts.gaps,
  )
  byLookup(registry, read)
}

function byLookup(registry: Registry, read: () => Gauges): void {
  const tiers = 'Look-ups by kind and by what answered them: memory, shared (Redis), source, stale.'
  registry.registerMetric(
    gaugeOf('postern_lookups_total', tiers, ['kind', 'tier'], (gauge) => {
      for (const { name, counts } of read().lookups) {
        for (const [tier, count] of Object.entries(counts)) gauge.set({ kind: name, tier }, count)
      }
    }),
  )
  registry.registerMetric(
    gaugeOf('postern_lookup_entries', 'Entries in memory, by kind.', ['kind'], (gauge) => {
      for (const { name, size } of read().lookups) gauge.set({ kind: name }, size)
    }),
  )
  const age = 'Time since the last complete revalidation batch began, by kind.'
  registry.registerMetric(
    gaugeOf('postern_batch_age_seconds', age, ['kind'], (gauge) => {
      const { lookups, monotonic } = read()
      for (const { name, batchAt } of lookups) {
        if (batchAt !== undefined) gauge.set({ kind: name }, (monotonic - batchAt) / 1_000)
      }
    }),
  )
}

function gaugeOf(name: string, help: string, labelNames: string[], collect: (gauge: Gauge) => void): Gauge {
  return new Gauge({
    name,
    help,
    labelNames,
    registers: [],
    collect() {
      collect(this)
    },
  })
}
