import * as fc from 'fast-check'
import t from 'tap'
import { parseTarget } from '../../src/request/target.ts'
import { RouteTable } from '../../src/routes/table.ts'
import { outcome, rule } from '../support/routes.ts'

/** A template by segments; the naive matcher below reads nothing else. */
interface Sketch {
  readonly segments: readonly string[]
  readonly rest: boolean
  readonly method: string
}

/** Every text of one to four letters: enough to tell the patterns below apart. */
const LETTERS = ['a', 'b']
const longer = (texts: readonly string[]): string[] =>
  texts.flatMap((text) => LETTERS.map((one) => text + one))
const TEXTS = [LETTERS, longer(LETTERS), longer(longer(LETTERS)), longer(longer(longer(LETTERS)))].flat()

const sketches = (segments: readonly string[], ...methods: readonly string[]): fc.Arbitrary<Sketch[]> =>
  fc.array(
    fc.record({
      segments: fc.array(fc.constantFrom(...segments), { maxLength: 4 }),
      rest: fc.boolean(),
      method: fc.constantFrom('GET', 'POST', 'HEAD', ...methods),
    }),
    { minLength: 1, maxLength: 12 },
  )
const simple = sketches(['a', 'b', 'ab', '{x}', '{y}', 'a{x}', '{x}b', 'a{x}b'], '*')
const SHAPES = ['a', 'ab', '{x}', 'a{x}', '{x}b', '{x}a{y}', 'a{x}b{y}', '{x}{y}']
const intricate = sketches(SHAPES, '*')
const byName = sketches(SHAPES)
const paths = fc.array(fc.constantFrom(...TEXTS), { maxLength: 5 })

/** A fourth template overlaps with all of them: where they meet, the row of another method must not speak. */
const meeting = (method: string, narrower: string): Sketch[] => [
  { segments: ['{x}b'], rest: true, method },
  { segments: ['{x}', '{x}'], rest: true, method },
  { segments: ['{x}b', '{x}{y}'], rest: true, method: narrower },
  { segments: ['{x}a{y}', 'a{x}', 'a{x}'], rest: false, method: 'POST' },
]
const MEETING = ['baab', 'abbb', 'abb']

const textsByShape = new Map<string, ReadonlySet<string>>()
const textsOf = (segment: string): ReadonlySet<string> => {
  const pattern = new RegExp(`^${segment.replaceAll(/\{.\}/g, '.+')}$`)
  const texts = textsByShape.get(segment) ?? new Set(TEXTS.filter((text) => pattern.test(text)))
  textsByShape.set(segment, texts)
  return texts
}
const pathFits = (path: readonly string[], { segments, rest }: Sketch): boolean =>
  (rest ? path.length >= segments.length : path.length === segments.length) &&
  segments.every((segment, i) => textsOf(segment).has(path[i] ?? ''))
const within = (inner: Sketch, outer: Sketch): boolean =>
  (outer.rest
    ? inner.segments.length >= outer.segments.length
    : !inner.rest && inner.segments.length === outer.segments.length) &&
  outer.segments.every((segment, i) =>
    [...textsOf(inner.segments[i] ?? '')].every((text) => textsOf(segment).has(text)),
  )

/** Every row's scope is its own number, so that an answer says which rows were meant. */
function tableOf(rows: readonly Sketch[]): RouteTable {
  const rules = rows.map(({ segments, rest, method }, i) =>
    rule(`/${[...segments, ...(rest ? ['**'] : [])].join('/')}`, `s${i}`, {
      origin: 'operator',
      methods: method === '*' ? '*' : [method],
    }),
  )
  return new RouteTable({ layers: [{ rules }], protectedPrefixes: [] })
}

/** Names of the rows that have the path, and of those among them without a more specific one. */
function meant(
  rows: readonly Sketch[],
  method: string,
  path: readonly string[],
): { all: string[]; least: string[] } {
  const fitting = [...rows.entries()].filter(([, row]) => pathFits(path, row))
  const same = (a: Sketch, b: Sketch): boolean => within(a, b) && within(b, a)
  const named = fitting.filter(([, row]) => row.method === method)
  const others = fitting.filter(([, row]) => row.method === '*')
  // At one template the row that names the method comes before the one for every method.
  const all = [...named, ...others.filter(([, row]) => !named.some(([, one]) => same(one, row)))]
  const least = all.filter(([, row]) => !all.some(([, other]) => within(other, row) && !within(row, other)))
  const names = (list: typeof all): string[] => list.map(([i]) => `s${i}`).sort()
  return { all: names(all), least: names(least) }
}

const answer = (table: RouteTable, method: string, path: readonly string[]): string[] | undefined => {
  const match = table.match(method, `/${path.join('/')}`)
  return match.kind === 'rule' ? outcome(match).split(' ').sort() : undefined
}

t.test('the trie finds what a walk through the list finds', async () => {
  fc.assert(
    fc.property(simple, paths, fc.constantFrom('GET', 'POST', 'PUT'), (rows, path, method) => {
      const { least } = meant(rows, method, path)
      const found = answer(tableOf(rows), method, path)
      return JSON.stringify(found ?? []) === JSON.stringify(least)
    }),
    { numRuns: 2000 },
  )
})

t.test('whatever the templates, no most specific row is left out and no foreign one added', async () => {
  fc.assert(
    fc.property(intricate, paths, fc.constantFrom('GET', 'POST'), (rows, path, method) => {
      const { all, least } = meant(rows, method, path)
      const found = answer(tableOf(rows), method, path) ?? []
      return found.every((name) => all.includes(name)) && least.every((name) => found.includes(name))
    }),
    { numRuns: 2000, examples: [[meeting('*', 'GET'), MEETING, 'GET']] },
  )
})

t.test('HEAD is never let through with less than the rows that name it require', async () => {
  fc.assert(
    fc.property(byName, paths, (rows, path) => {
      const found = answer(tableOf(rows), 'HEAD', path) ?? []
      const { least } = meant(rows, 'HEAD', path)
      return (
        least.every((name) => found.includes(name)) &&
        (found.length > 0 || meant(rows, 'GET', path).all.length === 0)
      )
    }),
    { numRuns: 2000, examples: [[meeting('GET', 'HEAD'), MEETING]] },
  )
})

t.test('a path and its trailing-slash twin are one', async () => {
  fc.assert(
    fc.property(simple, paths, (rows, path) => {
      const table = tableOf(rows)
      const plain = `/${path.join('/')}`
      return (
        outcome(table.match('GET', plain)) ===
        outcome(table.match('GET', plain === '/' ? plain : `${plain}/`))
      )
    }),
  )
})

t.test('the order of the rules makes no difference', async () => {
  fc.assert(
    fc.property(simple, paths, (rows, path) => {
      const found = answer(tableOf(rows), 'GET', path)?.length
      return found === answer(tableOf(rows.toReversed()), 'GET', path)?.length
    }),
  )
})

t.test('every canonical path gets an answer', async () => {
  fc.assert(
    fc.property(simple, fc.webPath(), fc.constantFrom('GET', 'HEAD', 'OPTIONS'), (rows, raw, method) => {
      const parsed = parseTarget(`/${raw}`, method, 'x')
      return !parsed.ok || typeof outcome(tableOf(rows).match(method, parsed.target.path)) === 'string'
    }),
  )
})
