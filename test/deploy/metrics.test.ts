/** The dashboard and the alert rules ask for nothing that a gateway does not tell. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { REASONS } from '../../src/pipeline/reason.ts'
import { freshLadder, RawClient } from '../gateway/support.ts'
import { freshGateway } from '../support/gateway.ts'
import { as, ask, freshStandin } from '../support/romm/ask.ts'

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string }
}

interface Panel {
  readonly title: string
  readonly description?: string
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[]
}

const textOf = (path: string): string =>
  readFileSync(new URL(`../../deploy/${path}`, import.meta.url), 'utf8')
// The files are ours, and what is said of them below is what is relied on.
const rules = (
  parse(textOf('prometheus/postern.rules.yml')) as { groups: { rules: Rule[] }[] }
).groups.flatMap((group) => group.rules)
const { panels } = JSON.parse(textOf('grafana/postern.json')) as { readonly panels: readonly Panel[] }
const shown = panels.flatMap(({ title, targets = [] }) => targets.map((target) => ({ title, ...target })))

/** What Prometheus adds to whatever it reads. */
const ADDED = ['instance', 'job']
/** Labels whose values are a closed list here. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  decision: ['permit', 'deny', 'would_deny'],
  reason: ['none', ...Object.keys(REASONS)],
  outcome: ['failed', 'refused', 'asked'],
  job: ['postern'],
}

/** What a gateway told: each metric's labels. */
type Told = ReadonlyMap<string, ReadonlySet<string>>

/** A gateway to which everything happened that it counts. */
async function told(): Promise<Told> {
  const ladder = await freshLadder(t)
  const standin = await freshStandin(t)
  const { port, probesPort } = await freshGateway(t, {
    ...ladder.settings,
    'upstream.url': standin.url,
    'redis.url': `${ladder.redis.url}/1`,
    'cache.secret': 'metrics '.repeat(4),
    'assertion.enabled': 'false',
    'limits.connectionsPerAddress': '20',
  })
  await ask(port, '/api/roms', { headers: as('rmm vera all') })
  await ask(port, '/api/roms')
  await standin.close()
  await ask(port, '/api/heartbeat')
  const crowd = await Promise.all(Array.from({ length: 21 }, () => RawClient.open(t, port)))
  await Promise.race(crowd.map((client) => client.ended()))
  return metricsIn((await ask(probesPort, '/metrics')).text)
}

function metricsIn(text: string): Told {
  const found = new Map<string, Set<string>>()
  for (const line of text.split('\n')) {
    const [, name, labels = ''] = /^(\w+)(?:\{(.*)\})? \S+$/.exec(line) ?? []
    if (name === undefined) continue
    const known = found.get(name) ?? new Set(ADDED)
    for (const [, label = ''] of labels.matchAll(/(\w+)="/g)) known.add(label)
    found.set(name, known)
  }
  return found
}

/** What an expression asks for that nobody tells; empty when there is nothing. */
function untold(expr: string, metrics: Told): string[] {
  const selectors = [...expr.matchAll(/\b(up|postern_\w+)(?:\{([^}]*)\})?/g)]
  const grouped = [...expr.matchAll(/\b(?:by|on|without) \(([^)]*)\)/g)].flatMap(([, list = '']) =>
    list.split(',').map((label) => label.trim()),
  )
  const wrong = selectors.flatMap(([, name = '', matchers = '']) => {
    const labels = metrics.get(name)
    if (labels === undefined) return [name]
    const matched = [...matchers.matchAll(/(\w+)(=~|!~|!=|=)"([^"]*)"/g)]
    const asked = [...grouped, ...matched.map(([, label = '']) => label)]
    const strange = asked.filter((label) => !labels.has(label)).map((label) => `${name}{${label}}`)
    const empty = matched.filter(([, label = '', sign, value = '']) => !isPossible(label, sign, value))
    return [...strange, ...empty.map(([matcher]) => `${name}{${matcher}}`)]
  })
  return selectors.length === 0 ? [`no metric in ${expr}`, ...wrong] : wrong
}

function isPossible(label: string, sign: string | undefined, value: string): boolean {
  const values = VALUES[label] ?? []
  if (sign === '=' || sign === '!=') return values.includes(value)
  return value.split('|').every((part) => values.some((each) => new RegExp(`^(?:${part})$`).test(each)))
}

function isBalanced(expr: string): boolean {
  let depth = 0
  for (const [bracket] of expr.replace(/"[^"]*"/g, '').matchAll(/[()[\]{}]/g)) {
    depth += '([{'.includes(bracket) ? 1 : -1
    if (depth < 0) return false
  }
  return depth === 0
}

const metrics = new Map([...(await told()), ['up', new Set(ADDED)]])

t.test('alert rules: each has what Prometheus wants, and asks for what there is', async (t) => {
  t.ok(rules.length >= 10)
  t.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length)
  for (const { alert, expr, labels, annotations } of rules) {
    t.ok(isBalanced(expr), alert)
    t.match(labels.severity, /^(?:critical|warning)$/, alert)
    t.match(annotations.summary, /\.$/, alert)
    t.same(untold(expr, metrics), [], alert)
  }
})

t.test(
  'the dashboard: each panel asks for what there is, and names it by labels that it keeps',
  async (t) => {
    t.ok(shown.length >= 20)
    for (const { title, expr, legendFormat } of shown) {
      t.ok(isBalanced(expr), title)
      t.same(untold(expr, metrics), [], title)
      const kept = /\bby \(([^)]*)\)/.exec(expr)?.[1]?.split(', ') ?? [...(metrics.get(expr) ?? [])]
      for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
        t.ok(kept.includes(label), `${title}: ${label}`)
    }
    t.same(
      panels.filter(({ targets, description }) => targets !== undefined && description === undefined),
      [],
    )
  },
)

t.test('whatever a gateway tells is in the dashboard', async (t) => {
  const asked = shown.map(({ expr }) => expr).join('\n')
  const unseen = [...metrics.keys()].filter(
    (name) => name.startsWith('postern_') && !/_(?:sum|count)$/.test(name) && !asked.includes(name),
  )
  t.same(unseen, [])
})

t.test('an expression that asks for something else is seen', async (t) => {
  const cases = {
    'postern_request_total > 0': ['postern_request_total'],
    'sum by (route) (postern_sockets)': ['postern_sockets{route}'],
    'postern_requests_total{reason="nope"}': ['postern_requests_total{reason="nope"}'],
    'postern_requests_total{verdict="deny"}': [
      'postern_requests_total{verdict}',
      'postern_requests_total{verdict="deny"}',
    ],
  }
  for (const [expr, wrong] of Object.entries(cases)) t.same(untold(expr, metrics), wrong)
})
