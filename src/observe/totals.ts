import { Counter, Histogram } from 'prom-client'
import type { Registry } from 'prom-client'
import type { RouteRule } from '../pipeline/rule.ts'

/**
 * What is counted with every request. prom-client makes a text of all labels for each count, and compares each label's
 * name: here it is a number that goes up, and prom-client is told when somebody asks.
 */

type Labels = Readonly<
  Record<'reason' | 'mode' | 'route', string> & { decision: 'permit' | 'deny' | 'would_deny' }
>

interface Total {
  readonly labels: Labels
  count: number
}

/** Decisions, by what was decided, why, how the request was authenticated, and route template. */
export class RequestTotals {
  /** By their labels: rules come and go with route tables, and a total never falls. */
  readonly #all = new Map<string, Total>()
  /** Those that a rule has had; a few, so looking through them is quicker than making a key. */
  readonly #ofRule = new WeakMap<RouteRule, Total[]>()
  readonly #ofNone: Total[] = []

  constructor(registry: Registry) {
    const all = this.#all
    registry.registerMetric(
      new Counter({
        name: 'postern_requests_total',
        help: 'Decisions, by what was decided, why, how the request was authenticated, and route template.',
        labelNames: ['decision', 'reason', 'mode', 'route'],
        registers: [],
        collect() {
          this.reset()
          for (const { labels, count } of all.values()) this.inc(labels, count)
        },
      }),
    )
  }

  /** @param rule undefined where none speaks for the request */
  add(decision: Labels['decision'], reason: string, mode: string, rule: RouteRule | undefined): void {
    const totals = rule === undefined ? this.#ofNone : this.#totalsOf(rule)
    for (const total of totals) {
      const { labels } = total
      if (labels.mode !== mode || labels.reason !== reason || labels.decision !== decision) continue
      total.count++
      return
    }
    const total = this.#total({ decision, reason, mode, route: rule?.template ?? 'none' })
    total.count++
    totals.push(total)
  }

  #totalsOf(rule: RouteRule): Total[] {
    const known = this.#ofRule.get(rule)
    if (known !== undefined) return known
    const none: Total[] = []
    this.#ofRule.set(rule, none)
    return none
  }

  #total(labels: Labels): Total {
    const key = JSON.stringify(labels)
    const known = this.#all.get(key)
    if (known !== undefined) return known
    const total = { labels, count: 0 }
    this.#all.set(key, total)
    return total
  }
}

/** Seconds: from a file that is at hand to an archive that has to be made first. */
const WAITS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

/** What prom-client's histogram keeps of one set of labels; its types do not say so. */
interface Kept {
  /** By their upper bounds, each without those below. */
  bucketValues: Record<string, number>
  sum: number
  count: number
}

/** Time from sending a request on to the beginning of its answer. */
export class WaitTotals {
  /** For each of `WAITS`, each without those below; the last one is for those above. */
  readonly #buckets = [...WAITS, Infinity].map(() => 0)
  #sum = 0
  #count = 0

  constructor(registry: Registry) {
    const tell = (kept: Kept): void => {
      kept.bucketValues = Object.fromEntries(WAITS.map((bound, i) => [bound, this.#buckets[i] ?? 0]))
      kept.sum = this.#sum
      kept.count = this.#count
    }
    registry.registerMetric(
      new Histogram({
        name: 'postern_upstream_seconds',
        help: 'Time from sending a request on to the beginning of its answer.',
        buckets: WAITS,
        registers: [],
        collect() {
          const { hashMap } = this as unknown as { hashMap: Record<string, Kept> }
          // The one set of labels is the empty one.
          for (const kept of Object.values(hashMap)) tell(kept)
        },
      }),
    )
  }

  add(seconds: number): void {
    this.#sum += seconds
    this.#count++
    let bucket = 0
    while (seconds > (WAITS[bucket] ?? Infinity)) bucket++
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1
  }
}
