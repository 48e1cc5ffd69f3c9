import { readFileSync } from 'node:fs'
import t from 'tap'
import { createMetrics, createWorkerMetrics, together } from '../../src/observe/metrics.ts'

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
