import { AggregatorRegistry, Counter, Registry } from 'prom-client'
import type { MetricObjectWithValues, MetricValue } from 'prom-client'
import type { Denial } from '../pipeline/decision.ts'
import type { Permit } from '../pipeline/permit.ts'
import { registerGauges, registerWorkerGauges } from './gauges.ts'
import type { Gauges, WorkerGauges } from './gauges.ts'
import { RequestTotals, WaitTotals } from './totals.ts'

export type { Gauges }

export interface Metrics {
  permitted(permit: Permit): void
  denied(denial: Denial): void
  upstreamFailed(reason: string): void
  /** @param waited milliseconds from sending a request on to the beginning of its answer */
  upstreamBegan(waited: number): void
  /** @param bound that of all connections, or of one address */
  connectionRefused(bound: string): void
  render(): Promise<Rendered>
  /** The same as plain data, for adding up. */
  values(): Promise<MetricValues>
}

/** Prometheus' text format, and its content type. */
export interface Rendered {
  readonly contentType: string
  readonly body: string
}

/** Every metric of one process. */
export type MetricValues = readonly MetricObjectWithValues<MetricValue<string>>[]

/** Several processes as one; each metric says how its values go together. */
export function together(all: readonly MetricValues[]): Pick<Metrics, 'render' | 'values'> {
  return readOut(AggregatorRegistry.aggregate(all.map((values) => [...values])))
}

/** What may never fall: a counter that did would be taken for one that began anew. */
export function totalsOf(values: MetricValues): MetricValues {
  // A word, whatever the types of prom-client say.
  return values.filter(({ type }) => String(type) !== 'gauge')
}

/** Counters and gauges. Labels come from closed lists and route templates, never from what a client made up. */
export function createMetrics(read: () => Gauges): Metrics {
  const registry = new Registry()
  const requests = new RequestTotals(registry)
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
  const waits = new WaitTotals(registry)
  registerGauges(registry, read)
  return {
    permitted({ observed, principal, rule }) {
      if (observed !== undefined) addDenial(requests, 'would_deny', observed)
      else requests.add('permit', 'none', principal?.mode ?? 'anonymous', rule)
    },
    denied: (denial) => addDenial(requests, 'deny', denial),
    upstreamFailed: (reason) => failures.inc({ reason }),
    upstreamBegan: (waited) => waits.add(waited / 1_000),
    connectionRefused: (bound) => refused.inc({ bound }),
    ...readOut(registry),
  }
}

/** What is to be said of several processes besides what each says of itself. */
export function createWorkerMetrics(read: () => WorkerGauges): Pick<Metrics, 'values'> {
  const registry = new Registry()
  registerWorkerGauges(registry, read)
  return readOut(registry)
}

function readOut(registry: Registry): Pick<Metrics, 'render' | 'values'> {
  return {
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
    values: () => registry.getMetricsAsJSON(),
  }
}

function addDenial(
  requests: RequestTotals,
  decision: 'deny' | 'would_deny',
  { reason, principal, credential, rule }: Denial,
): void {
  requests.add(decision, reason, principal?.mode ?? credential?.kind ?? 'anonymous', rule)
}
