import { Counter, Gauge } from 'prom-client'
import type { Aggregator, Registry } from 'prom-client'

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
  readonly ready: boolean
  readonly troubles: number
  readonly attempts: Readonly<Record<'failed' | 'refused', number>>
  /** Undefined where nobody asks the backend. */
  readonly questions: Readonly<Record<'asked' | 'refused', number>> | undefined
}

/** What is told to the other replicas, and who is heard. */
interface ReplicaGauges {
  readonly live: readonly unknown[]
  readonly joined: boolean
  readonly waiting: number
  readonly counts: Readonly<Record<'announced' | 'unacknowledged' | 'gaps', number>>
}

/** A number, or one for each set of labels; none where there is nothing to tell. */
type Value = number | undefined | readonly (readonly [Readonly<Record<string, string>>, number])[]

interface Kept<Source> {
  readonly kind: typeof Counter | typeof Gauge
  readonly name: string
  readonly help: string
  readonly labels?: readonly string[]
  /** What several processes are together: their sum unless told. */
  readonly together?: Aggregator
  readonly value: (source: Source) => Value
}

const KEPT: readonly Kept<Gauges>[] = [
  {
    kind: Gauge,
    name: 'postern_ready',
    together: 'max',
    help: 'Whether this replica is ready: 1 or 0.',
    value: ({ ready }) => Number(ready),
  },
  {
    kind: Gauge,
    name: 'postern_troubles',
    together: 'max',
    help: 'Troubles that /readyz names.',
    value: ({ troubles }) => troubles,
  },
  {
    kind: Gauge,
    name: 'postern_upstream_requests',
    help: 'Forwarded requests that are not over.',
    value: ({ inFlight }) => inFlight,
  },
  {
    kind: Gauge,
    name: 'postern_upstream_waiting',
    help: 'Requests that wait for a connection.',
    value: ({ waiting }) => waiting,
  },
  { kind: Gauge, name: 'postern_sockets', help: 'Open WebSockets.', value: ({ sockets }) => sockets },
  {
    kind: Gauge,
    name: 'postern_routes',
    together: 'max',
    help: 'Rows of the route table.',
    value: ({ routes }) => routes,
  },
  {
    kind: Gauge,
    name: 'postern_table_age_seconds',
    together: 'max',
    help: 'Time since the OpenAPI document was read.',
    value: ({ tableAge }) => (tableAge === undefined ? undefined : tableAge / 1_000),
  },
  {
    kind: Gauge,
    name: 'postern_replicas',
    together: 'min',
    help: 'Other replicas that are heard.',
    value: ({ replicas }) => replicas?.live.length,
  },
  {
    kind: Gauge,
    name: 'postern_replicas_joined',
    together: 'min',
    help: 'Whether the other replicas are heard: 1 or 0.',
    value: ({ replicas }) => (replicas === undefined ? undefined : Number(replicas.joined)),
  },
  {
    kind: Gauge,
    name: 'postern_changes_waiting',
    help: 'Changes whose acknowledgements are waited for.',
    value: ({ replicas }) => replicas?.waiting,
  },
  {
    kind: Counter,
    name: 'postern_changes_announced_total',
    help: 'Changes told to the other replicas.',
    value: ({ replicas }) => replicas?.counts.announced,
  },
  {
    kind: Counter,
    name: 'postern_changes_unacknowledged_total',
    help: 'Acknowledgements that did not come in time.',
    value: ({ replicas }) => replicas?.counts.unacknowledged,
  },
  {
    kind: Counter,
    name: 'postern_replica_gaps_total',
    help: 'Times that announcements may have been missed, so that nothing known counted.',
    value: ({ replicas }) => replicas?.counts.gaps,
  },
  {
    kind: Counter,
    name: 'postern_attempts_total',
    help: 'Credentials that the limiter counted as failed, and those that it refused to look at.',
    labels: ['outcome'],
    value: ({ attempts }) => byOutcome(attempts),
  },
  {
    kind: Counter,
    name: 'postern_questions_total',
    help: 'Questions about credentials that were put to the backend, and those for which there was no room.',
    labels: ['outcome'],
    value: ({ questions }) => questions && byOutcome(questions),
  },
  {
    kind: Counter,
    name: 'postern_lookups_total',
    help: 'Look-ups by kind and by what answered them: memory, shared (Redis), source, stale.',
    labels: ['kind', 'tier'],
    value: ({ lookups }) =>
      lookups.flatMap(({ name: kind, counts }) =>
        Object.entries(counts).map(([tier, count]) => [{ kind, tier }, count] as const),
      ),
  },
  {
    kind: Gauge,
    name: 'postern_lookup_entries',
    help: 'Entries in memory, by kind.',
    labels: ['kind'],
    value: ({ lookups }) => lookups.map(({ name: kind, size }) => [{ kind }, size]),
  },
  {
    kind: Gauge,
    name: 'postern_batch_age_seconds',
    together: 'max',
    help: 'Time since the last complete revalidation batch began, by kind.',
    labels: ['kind'],
    value: ({ lookups, monotonic }) =>
      lookups.flatMap(({ name: kind, batchAt }) =>
        batchAt === undefined ? [] : [[{ kind }, (monotonic - batchAt) / 1_000] as const],
      ),
  },
]

function byOutcome(counts: Readonly<Record<string, number>>): Value {
  return Object.entries(counts).map(([outcome, count]) => [{ outcome }, count])
}

/** What one process says of several. */
export interface WorkerGauges {
  readonly serving: number
  readonly deaths: number
}

const OF_WORKERS: readonly Kept<WorkerGauges>[] = [
  { kind: Gauge, name: 'postern_workers', help: 'Workers that serve.', value: ({ serving }) => serving },
  {
    kind: Counter,
    name: 'postern_worker_deaths_total',
    help: 'Workers that ended without being told to.',
    value: ({ deaths }) => deaths,
  },
]

export function registerGauges(registry: Registry, read: () => Gauges): void {
  register(registry, KEPT, read)
}

export function registerWorkerGauges(registry: Registry, read: () => WorkerGauges): void {
  register(registry, OF_WORKERS, read)
}

/** What others keep costs nothing until somebody asks. */
function register<Source>(registry: Registry, kept: readonly Kept<Source>[], read: () => Source): void {
  for (const { kind: Kind, name, help, labels = [], together = 'sum', value } of kept) {
    const metric = new Kind({
      name,
      help,
      labelNames: labels,
      aggregator: together,
      registers: [],
      collect() {
        this.reset()
        const current = value(read())
        if (typeof current === 'number') this.inc(current)
        else for (const [set, number] of current ?? []) this.inc(set, number)
        // Without labels a reset is a 0, which would be told.
        if (current === undefined && labels.length === 0) this.remove()
      },
    })
    registry.registerMetric(metric)
  }
}
