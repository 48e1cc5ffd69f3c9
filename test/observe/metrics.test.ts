import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import { Counter, Histogram, Registry } from 'prom-client'
import t from 'tap'
import { createMetrics, createWorkerMetrics, together } from '../../src/observe/metrics.ts'
import { RequestTotals, WaitTotals } from '../../src/observe/totals.ts'
import type { RouteRule } from '../../src/pipeline/rule.ts'

const PAGE = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8')

/** What a gateway has to tell that shares nothing, asks nobody and has done nothing. */
const NOTHING = {
  lookups: [],
  replicas: undefined,
  inFlight: 0,
  waiting: 0,
  sockets: 0,
  routes: 0,
  tableAge: undefined,
  monotonic: 0,
  ready: true,
  troubles: 0,
  attempts: { failed: 0, refused: 0 },
  questions: undefined,
}

t.test('what a gateway does not have is not told, and the rest is', async (t) => {
  const { body } = await createMetrics(() => NOTHING).render()
  t.match(body, /^postern_attempts_total\{outcome="failed"\} 0$/m)
  t.notMatch(body, /^postern_(?:questions_total|replicas|table_age_seconds)\b/m)
})

t.test('every metric is on its page, and no other', async (t) => {
  const gateway = await createMetrics(() => NOTHING).values()
  const workers = await createWorkerMetrics(() => ({ serving: 2, deaths: 0 })).values()
  const { body } = await together([gateway, workers]).render()
  const told = [...body.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`)
  const rows = [...PAGE.matchAll(/^\| `(\w+)` \| (\w+) \|/gm)].map(([, name, type]) => `${name} ${type}`)
  t.ok(told.length > 20, 'it saw metrics')
  t.same(rows.toSorted(), told.toSorted())
})

const ruleOf = (template: string): RouteRule => ({
  ...{ template, methods: '*', requirement: { kind: 'public' }, origin: 'document' },
  ...{ conceal: false, socket: false, input: [], backendChecksScopes: false, hint: undefined },
})
/** Two of them differ in nothing: a route table that was read again. */
const RULES = [ruleOf('/a'), ruleOf('/a'), ruleOf('/{name}"\n'), undefined]

const counted = fc.array(
  fc.tuple(
    fc.constantFrom('permit', 'deny', 'would_deny'),
    fc.constantFrom('none', 'no_credential', 'blocked'),
    fc.constantFrom('anonymous', 'token', 'session'),
    fc.constantFrom(...RULES),
  ),
)

t.test('requests are told as prom-client would tell them, had it counted', async () => {
  await fc.assert(
    fc.asyncProperty(counted, counted, async (first, more) => {
      const [ours, theirs] = [new Registry(), new Registry()]
      const totals = new RequestTotals(ours)
      const counter = new Counter({
        name: 'postern_requests_total',
        help: 'Decisions, by what was decided, why, how the request was authenticated, and route template.',
        labelNames: ['decision', 'reason', 'mode', 'route'],
        registers: [theirs],
      })
      for (const part of [first, more]) {
        for (const [decision, reason, mode, rule] of part) {
          totals.add(decision, reason, mode, rule)
          counter.inc({ decision, reason, mode, route: rule?.template ?? 'none' })
        }
        if (!isDeepStrictEqual(await readOut(ours), await readOut(theirs))) return false
      }
      return true
    }),
  )
})

t.test('waits are told as prom-client would tell them, had it counted', async () => {
  const wait = fc.oneof(fc.constantFrom(0, 0.005, 1, 60, 61), fc.double({ min: 0, max: 100, noNaN: true }))
  await fc.assert(
    fc.asyncProperty(fc.array(wait), fc.array(wait), async (first, more) => {
      const [ours, theirs] = [new Registry(), new Registry()]
      const totals = new WaitTotals(ours)
      const histogram = new Histogram({
        name: 'postern_upstream_seconds',
        help: 'Time from sending a request on to the beginning of its answer.',
        buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
        registers: [theirs],
      })
      for (const part of [first, more]) {
        for (const seconds of part) {
          totals.add(seconds)
          histogram.observe(seconds)
        }
        if (!isDeepStrictEqual(await readOut(ours), await readOut(theirs))) return false
      }
      return true
    }),
  )
})

/** As text, and as it gets to another process. */
async function readOut(registry: Registry): Promise<unknown> {
  return [await registry.metrics(), JSON.parse(JSON.stringify(await registry.getMetricsAsJSON())) as unknown]
}
