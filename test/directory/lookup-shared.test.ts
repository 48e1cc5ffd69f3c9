import t from 'tap'
import type { SharedTier } from '../../src/directory/shared.ts'
import { FRESH, settled, stage, type Row } from './source.ts'

const couldNotCheck = { code: 'could_not_check' }

/** What other replicas wrote, with its age. */
function tier(): SharedTier<Row> & {
  readonly entries: Map<string, { value: Row; age: number }>
  now: string | undefined
} {
  const entries = new Map<string, { value: Row; age: number }>()
  return {
    entries,
    now: 'g1',
    generation() {
      return this.now
    },
    get: (key, generation) => Promise.resolve(entries.get(`${generation} ${key}`)),
    put: (key, value, ttl, generation) =>
      void entries.set(`${generation} ${key}`, { value, age: FRESH - ttl }),
  }
}

t.test('what another replica confirmed counts for the rest of its life', async (t) => {
  const shared = tier()
  const { clock, source, lookup } = stage({ shared })
  shared.entries.set('g1 k', { value: { word: 'theirs' }, age: 2_000 })
  t.same(await lookup.find('k'), { word: 'theirs' })
  t.equal(source.questions.length, 0)
  clock.advance(999)
  t.same(lookup.find('k'), { word: 'theirs' })
  clock.advance(1)
  shared.entries.clear()
  source.rows.set('k', { word: 'ours' })
  t.same(await lookup.find('k'), { word: 'ours' })
  t.same(shared.entries.get('g1 k'), { value: { word: 'ours' }, age: 0 }, 'and is shared in turn')
  shared.entries.set('g1 dead', { value: { word: 'x' }, age: FRESH })
  t.equal(await lookup.find('dead'), undefined)
})

t.test(
  'an answer is shared under the generation in which its question began, and read from no other',
  async (t) => {
    const shared = tier()
    const { clock, source, lookup } = stage({ shared })
    source.rows.set('k', { word: 'old' })
    source.hold()
    const waiting = lookup.find('k')
    await settled()
    shared.now = 'g2'
    source.letGo()
    t.same(await waiting, { word: 'old' })
    t.same([...shared.entries.keys()], ['g1 k'])
    source.rows.set('k', { word: 'new' })
    clock.advance(FRESH)
    t.same(await lookup.find('k'), { word: 'new' }, 'another replica may know of a change since')
  },
)

t.test('what a batch found gone is not brought back by what another replica was told before', async (t) => {
  const shared = tier()
  const { clock, source, lookup } = stage({ shared })
  source.rows.set('k', { word: 'w' })
  await lookup.find('k')
  source.rows.delete('k')
  clock.advance(1_800)
  await lookup.revalidate()
  shared.entries.set('g1 k', { value: { word: 'w' }, age: 1_800 })
  t.equal(await lookup.find('k'), undefined)
})

t.test('nor is it for those who waited for that batch', async (t) => {
  const shared = tier()
  const { source, lookup, ask } = stage({ shared })
  source.rows.set('k', { word: 'w' })
  await lookup.find('k')
  source.rows.delete('k')
  lookup.doubt()
  source.hold()
  const batch = lookup.revalidate()
  const waiting = ask('k')
  source.letGo()
  await batch
  t.equal(await waiting, undefined)
  t.equal(source.questions.length, 2)
})

t.test('nothing is shared while it is not known what others announced', async (t) => {
  const shared = tier()
  const { source, lookup } = stage({ shared })
  shared.now = undefined
  shared.entries.set('undefined k', { value: { word: 'theirs' }, age: 0 })
  source.rows.set('k', { word: 'ours' })
  t.same(await lookup.find('k'), { word: 'ours' })
  t.equal(shared.entries.size, 1)
})

t.test('an overtaken answer is not shared', async (t) => {
  const shared = tier()
  const { source, lookup } = stage({ shared })
  source.rows.set('k', { word: 'revoked' })
  source.hold()
  const waiting = lookup.find('k')
  await settled()
  source.rows.delete('k')
  lookup.doubt()
  source.letGo()
  t.equal(await waiting, undefined)
  t.equal(shared.entries.size, 0)
})

t.test('the source can be asked whatever is known, by all who want it at once', async (t) => {
  const { source, lookup, ask } = stage()
  source.rows.set('k', { word: 'old' })
  source.hold()
  const older = ask('k')
  await settled()
  source.rows.set('k', { word: 'new' })
  const anew = [lookup.findAnew('k'), lookup.findAnew('k')]
  source.letGo()
  t.same(await older, { word: 'old' })
  t.same(await Promise.all(anew), [{ word: 'new' }, { word: 'new' }], 'not what was under way')
  t.equal(source.questions.length, 2)
  t.same(lookup.find('k'), { word: 'new' })
})

t.test('what was known before the source went away is nothing new', async (t) => {
  const { source, lookup } = stage({ shared: tier() })
  source.rows.set('k', { word: 'w' })
  await lookup.find('k')
  source.broken = new Error('away')
  await t.rejects(lookup.findAnew('k'), couldNotCheck)
  t.same(lookup.find('k'), { word: 'w' })
})

t.test(
  'who does not insist on the source’s own word takes what was known, beside one who does',
  async (t) => {
    const { clock, source, lookup, ask } = stage()
    source.rows.set('k', { word: 'w' })
    await lookup.find('k')
    clock.advance(FRESH)
    source.broken = new Error('away')
    source.hold()
    const anew = t.rejects(lookup.findAnew('k'), couldNotCheck)
    const other = ask('k')
    source.letGo()
    await anew
    t.same(await other, { word: 'w' })
  },
)
