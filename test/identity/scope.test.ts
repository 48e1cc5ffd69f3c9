import * as fc from 'fast-check'
import t from 'tap'
import { ScopeSet } from '../../src/identity/scope.ts'

t.test('a set holds its names in the order given, without repeats and without the empty one', async (t) => {
  const set = ScopeSet.of(['b', 'a', '', 'b'])
  t.same(set.names, ['b', 'a'])
  t.same([...set], ['b', 'a'])
  t.equal(String(set), 'b a')
  t.ok(set.has('a') && !set.has('c') && !set.has(''))
})

t.test('an empty set holds nothing and asks for nothing', async (t) => {
  t.equal(ScopeSet.of([]), ScopeSet.none)
  t.equal(ScopeSet.of(['']), ScopeSet.none)
  t.ok(ScopeSet.none.isEmpty)
  t.ok(ScopeSet.none.hasAll(ScopeSet.none))
  t.ok(ScopeSet.of(['a']).hasAll(ScopeSet.none))
  t.notOk(ScopeSet.none.hasAll(ScopeSet.of(['a'])))
})

t.test('a set does not change', async (t) => {
  const names = ['a', 'b']
  const set = ScopeSet.of(names)
  names.push('c')
  t.same(set.names, ['a', 'b'])
  t.ok(Object.isFrozen(set) && Object.isFrozen(set.names))
})

t.test('what is missing is named in the order it was asked for', async (t) => {
  t.same(ScopeSet.of(['b']).missing(ScopeSet.of(['c', 'b', 'a'])), ['c', 'a'])
})

t.test('names that objects have of their own are names like any other', async (t) => {
  for (const name of ['__proto__', 'constructor', 'toString']) {
    t.notOk(ScopeSet.of(['a']).hasAll(ScopeSet.of([name])), name)
    t.ok(ScopeSet.of([name]).hasAll(ScopeSet.of([name])), name)
  }
})

// More names than one word has bits: the 32nd and 63rd scope must not be taken for the first.
const names = Array.from({ length: 100 }, (_, i) => `scope.${i}`)
const subset = fc.subarray(names)

t.test('sets compare as sets of names do, however many names there are', async () => {
  const property = fc.property(subset, subset, (mine, theirs) => {
    const [a, b] = [ScopeSet.of(mine), ScopeSet.of(theirs)]
    const missing = theirs.filter((name) => !mine.includes(name))
    return (
      a.hasAll(b) === (missing.length === 0) &&
      a.missing(b).join() === missing.join() &&
      a.intersect(theirs).names.join() === mine.filter((name) => theirs.includes(name)).join() &&
      a.intersect(new Set(theirs)).names.join() === a.intersect(theirs).names.join() &&
      a.union(b).names.length === new Set([...mine, ...theirs]).size &&
      a.union(b).hasAll(a) &&
      a.hasAll(a.intersect(theirs))
    )
  })
  fc.assert(property, { numRuns: 500 })
})

t.test('each single one of many is told from all others', async (t) => {
  const singles = names.map((name) => ScopeSet.of([name]))
  const pairs = singles.flatMap((a) => singles.filter((b) => a.hasAll(b)).map((b) => [a, b]))
  t.equal(pairs.length, names.length)
  t.ok(pairs.every(([a, b]) => a === b))
})
