import { Counter, Gauge, Registry } from 'prom-client'

/** Reads what others keep, at the moment it is asked for. */
export interface Gauges {
  readonly lookups: readonly {
    readonly name: string
    readonly size: number
    readonly counts: Readonly<Record<string, number>>
    readonly batchAt: number | undefined
  }[]
  readonly inFlight: number
  readonly sockets: number
  readonly routes: number
  /** Milliseconds. */
  readonly tableAge: number | undefined
  readonly monotonic: number
}

export interface Metrics {
  permitted(route: string, mode: string): void
  denied(route: string, mode: string, reason: string): void
  upstreamFailed(reason: string): void
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
    help: 'Exchanges with the upstream that came to nothing for its fault.',
    labelNames: ['reason'],
    registers: [registry],
  })
  registerGauges(registry, read)
  return {
    permitted: (route, mode) => requests.inc({ decision: 'permit', reason: 'none', mode, route }),
    denied: (route, mode, reason) => requests.inc({ decision: 'deny', reason, mode, route }),
    upstreamFailed: (reason) => failures.inc({ reason }),
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  }
}

function registerGauges(registry: Registry, read: () => Gauges): void {
  const plain = (name: string, help: string, value: (gauges: Gauges) => number | undefined): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        const current = value(read())
        if (current !== undefined) this.set(current)
      },
    })
  }
  plain('postern_upstream_requests', 'Forwarded requests that are not over.', ({ inFlight }) => inFlight)
  plain('postern_sockets', 'Open WebSockets.', ({ sockets }) => sockets)
  plain('postern_routes', 'Rows of the route table.', ({ routes }) => routes)
  plain('postern_table_age_seconds', 'Time since the OpenAPI document was read.', ({ tableAge }) =>
    tableAge === undefined ? undefined : tableAge / 1_000,
  )
  byLookup(registry, read)
}

function byLookup(registry: Registry, read: () => Gauges): void {
  new Gauge({
    name: 'postern_lookups_total',
    help: 'Look-ups by kind and by what answered them: memory, shared (Redis), source, stale.',
    labelNames: ['kind', 'tier'],
    registers: [registry],
    collect() {
      for (const { name, counts } of read().lookups) {
        for (const [tier, count] of Object.entries(counts)) this.set({ kind: name, tier }, count)
      }
    },
  })
  new Gauge({
    name: 'postern_lookup_entries',
    help: 'Entries in memory, by kind.',
    labelNames: ['kind'],
    registers: [registry],
    collect() {
      for (const { name, size } of read().lookups) this.set({ kind: name }, size)
    },
  })
  new Gauge({
    name: 'postern_batch_age_seconds',
    help: 'Time since the last complete revalidation batch began, by kind.',
    labelNames: ['kind'],
    registers: [registry],
    collect() {
      const { lookups, monotonic } = read()
      for (const { name, batchAt } of lookups) {
        if (batchAt !== undefined) this.set({ kind: name }, (monotonic - batchAt) / 1_000)
      }
    },
  })
}
