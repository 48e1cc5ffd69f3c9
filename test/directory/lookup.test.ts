import t from 'tap'
import type { SharedTier } from '../../src/directory/shared.ts'
import { PosternError } from '../../src/errors.ts'
import { FRESH, STALE, settled, stage, type Row } from './source.ts'

const couldNotCheck = { code: 'could_not_check' }
const refuse = (): Promise<Row> => Promise.reject(new PosternError('question_refused'))

t.test('an answer counts from the moment its question was asked', async (t) => {
  const { clock, source, lookup } = stage()
  source.rows.set('k', { word: 'old' })
  source.hold()
  const first = lookup.find('k')
  clock.advance(900)
  source.letGo()
  t.same(await first, { word: 'old' })
  source.rows.set('k', { word: 'new' })
  clock.advance(FRESH - 901)
  t.same(lookup.find('k'), { word: 'old' })
  clock.advance(1)
  t.same(await lookup.find('k'), { word: 'new' })
  t.equal(source.questions.length, 2)
})

t.test('a warm answer crosses no promise', async (t) => {
  const { source, lookup } = stage()
  source.rows.set('k', { word: 'w' })
  const cold = lookup.find('k')
  t.type(cold, Promise)
  const value = await cold
  t.equal(lookup.find('k'), value)
  await lookup.find('absent')
  t.equal(lookup.find('absent'), undefined)
  t.same(lookup.counts, { memory: 2, shared: 0, source: 2, stale: 0 })
})

t.test('an absence is remembered for as long as a presence, and in its own place', async (t) => {
  const { clock, source, lookup } = stage({ maxEntries: 1, maxNegative: 2 })
  source.rows.set('kept', { word: 'w' })
  await lookup.find('kept')
  for (const key of ['a', 'b', 'c']) await lookup.find(key)
  t.ok(lookup.find('kept'), 'a storm of unknown keys evicts nobody')
  t.type(lookup.find('a'), Promise, 'the oldest absence made room')
  await settled()
  source.rows.set('c', { word: 'now there' })
  t.equal(lookup.find('c'), undefined)
  clock.advance(FRESH)
  t.same(await lookup.find('c'), { word: 'now there' })
})

t.test('a flood of keys is a few questions', async (t) => {
  const { source, ask } = stage()
  source.rows.set('k1000', { word: 'w' })
  source.hold()
  const all = Array.from({ length: 1_200 }, (_, i) => ask(`k${i}`))
  t.same(source.questions, [['k0'], ['k1']], 'the first do not wait')
  source.letGo()
  const values = await Promise.all(all)
  t.same(
    source.questions.map(({ length }) => length),
    [1, 1, 500, 500, 198],
  )
  t.same(values[1_000], { word: 'w' }, 'each has the answer to its own')
  t.equal(values.filter((value) => value !== undefined).length, 1)
})

t.test('a question that fails does so for all whom it was for, and for nobody after them', async (t) => {
  const { clock, source, ask } = stage()
  source.broken = new Error('away')
  const all = Array.from({ length: 3 }, (_, i) => ask(`k${i}`))
  for (const each of all) await t.rejects(each, couldNotCheck)
  source.broken = undefined
  clock.advance(1_000)
  t.equal(await ask('k0'), undefined)
})

t.test('however many wait, the source is asked once', async (t) => {
  const { source, ask } = stage()
  source.rows.set('k', { word: 'w' })
  source.hold()
  const all = Array.from({ length: 100 }, () => ask('k'))
  source.letGo()
  const values = await Promise.all(all)
  t.equal(source.questions.length, 1)
  t.equal(new Set(values).size, 1)
})

for (const [name, forget] of [
  ['forgetKey', (lookup) => lookup.forgetKey('k')],
  ['forget', (lookup) => lookup.forget((_row, key) => key === 'k')],
  ['doubt', (lookup) => lookup.doubt()],
] satisfies [string, (lookup: ReturnType<typeof stage>['lookup']) => void][]) {
  t.test(
    `a question overtaken by ${name} is asked again, its answer neither stored nor handed out`,
    async (t) => {
      const { source, lookup, ask } = stage()
      source.rows.set('k', { word: 'revoked' })
      source.hold()
      const waiting = [ask('k'), ask('k')]
      await settled()
      source.rows.delete('k')
      forget(lookup)
      source.letGo()
      t.same(await Promise.all(waiting), [undefined, undefined])
      t.equal(lookup.find('k'), undefined)
      t.equal(source.questions.length, 2)
    },
  )

  t.test(`a batch overtaken by ${name} confirms nothing`, async (t) => {
    const { clock, source, lookup } = stage()
    source.rows.set('k', { word: 'revoked' })
    await lookup.find('k')
    clock.advance(2_000)
    source.hold()
    const batch = lookup.revalidate()
    await settled()
    source.rows.set('k', { word: 'new' })
    forget(lookup)
    source.letGo()
    await batch
    clock.advance(1_000)
    t.same(await lookup.find('k'), { word: 'new' })
  })
}

t.test('an overtaken answer is not stored for those who come while it is asked for again', async (t) => {
  const { source, lookup, ask } = stage()
  source.rows.set('k', { word: 'revoked' })
  source.hold()
  const before = ask('k')
  await settled()
  source.rows.delete('k')
  lookup.doubt()
  source.letGo()
  source.hold()
  await settled()
  t.type(lookup.find('k'), Promise)
  const between = ask('k')
  source.letGo()
  t.same(await Promise.all([before, between]), [undefined, undefined])
})

t.test('who comes after an invalidation joins no question from before it', async (t) => {
  const { source, lookup, ask } = stage()
  source.rows.set('k', { word: 'revoked' })
  source.hold()
  const before = ask('k')
  await settled()
  source.rows.set('k', { word: 'new' })
  lookup.doubt()
  const after = ask('k')
  t.equal(source.questions.length, 2)
  source.letGo()
  t.same(await Promise.all([before, after]), [{ word: 'new' }, { word: 'new' }])
})

t.test('who is overtaken asks again, for as long as one question may take', async (t) => {
  const { clock, source, lookup, ask } = stage()
  source.rows.set('k', { word: 'w' })
  const overtake = async (): Promise<void> => {
    await settled()
    lookup.doubt()
    source.letGo()
    source.hold()
  }
  source.hold()
  const lucky = ask('k')
  for (let i = 0; i < 10; i++) await overtake()
  source.letGo()
  t.same(await lucky, { word: 'w' })
  t.equal(source.questions.length, 11)

  lookup.doubt()
  source.hold()
  const unlucky = t.rejects(ask('k'), couldNotCheck)
  for (let i = 0; i < 5; i++) {
    clock.advance(250)
    await overtake()
  }
  await unlucky
  source.letGo()
})

t.test('forget drops what it concerns and keeps the rest', async (t) => {
  const { source, lookup, ask } = stage()
  source.rows.set('a', { word: 'x' })
  source.rows.set('b', { word: 'y' })
  await Promise.all([ask('a'), ask('b')])
  lookup.forget((row) => row?.word === 'x')
  t.same(lookup.find('b'), { word: 'y' })
  t.type(lookup.find('a'), Promise)
})

t.test('a batch keeps the object while nothing about it changed, and replaces it when it did', async (t) => {
  const { clock, source, lookup } = stage()
  source.rows.set('same', { word: 'w' })
  source.rows.set('other', { word: 'old' })
  const same = await lookup.find('same')
  await lookup.find('other')
  source.rows.set('other', { word: 'new' })
  clock.advance(2_000)
  await lookup.revalidate()
  t.equal(lookup.find('same'), same)
  t.same(lookup.find('other'), { word: 'new' })
  t.equal(lookup.batchAt, 2_000)
  clock.advance(FRESH - 1)
  t.equal(lookup.find('same'), same, 'and it is fresh from the batch on')
  clock.advance(1)
  t.equal(await lookup.find('same'), same, 'a single look-up keeps it too')
})

t.test('a batch drops what has vanished', async (t) => {
  const { clock, source, lookup } = stage()
  source.rows.set('k', { word: 'w' })
  await lookup.find('k')
  source.rows.delete('k')
  clock.advance(2_000)
  await lookup.revalidate()
  t.equal(lookup.size, 0)
  t.equal(await lookup.find('k'), undefined)
})

t.test('an idle entry is in no batch, and is verified before its next use', async (t) => {
  const { clock, source, lookup } = stage()
  source.rows.set('k', { word: 'w' })
  await lookup.find('k')
  clock.advance(30_000)
  await lookup.revalidate()
  t.equal(source.questions.length, 1, 'nothing was in use, so nothing was asked')
  source.rows.delete('k')
  t.equal(await lookup.find('k'), undefined)
})

t.test('a batch asks in chunks, and a chunk that fails confirms nothing', async (t) => {
  const { clock, source, lookup, ask } = stage()
  for (let i = 0; i < 1_200; i++) source.rows.set(`k${i}`, { word: 'w' })
  await Promise.all([...source.rows.keys()].map((key) => ask(key)))
  source.questions.length = 0
  clock.advance(2_000)
  await lookup.revalidate()
  t.same(
    source.questions.map((keys) => keys.length),
    [500, 500, 200],
  )
  t.equal(lookup.batchAt, 2_000)
  clock.advance(2_000)
  source.broken = new Error('gone')
  await t.rejects(lookup.revalidate(), couldNotCheck)
  t.equal(lookup.batchAt, 2_000)
  source.broken = undefined
  source.rows.delete('k0')
  clock.advance(1_000)
  t.equal(await lookup.find('k0'), undefined, 'it had confirmed nothing')
})

t.test('while the source is away what was known counts a little longer', async (t) => {
  const { clock, source, lookup, ask } = stage()
  source.rows.set('k', { word: 'w' })
  const value = await lookup.find('k')
  source.broken = new Error('away')
  clock.advance(FRESH + STALE - 1)
  t.equal(await lookup.find('k'), value)
  t.equal(lookup.counts.stale, 1)
  t.ok(lookup.sourceAway)
  clock.advance(1)
  await t.rejects(ask('k'), couldNotCheck)
})

t.test('what is asked for while the source is away is in use, whatever was stored after it', async (t) => {
  const { clock, source, lookup } = stage()
  for (const key of ['first', 'second']) {
    source.rows.set(key, { word: key })
    await lookup.find(key)
  }
  clock.advance(29_000)
  source.broken = new Error('away')
  await lookup.find('first')
  clock.advance(1_000)
  source.broken = undefined
  await lookup.revalidate()
  t.same(source.questions.at(-1), ['first'])
})

t.test('what was invalidated is not known any longer, and an absence never was', async (t) => {
  const { clock, source, lookup, ask } = stage()
  source.rows.set('k', { word: 'w' })
  await lookup.find('k')
  await lookup.find('absent')
  source.broken = new Error('away')
  lookup.forgetKey('k')
  clock.advance(FRESH)
  await t.rejects(ask('k'), couldNotCheck)
  await t.rejects(ask('absent'), couldNotCheck)
})

t.test('after a failure the source is left alone for a while, and then asked once more', async (t) => {
  const { clock, source, lookup, ask } = stage()
  source.broken = new Error('away')
  await t.rejects(ask('first'), couldNotCheck)
  const herd = Array.from({ length: 1_000 }, (_, i) => ask(`k${i}`))
  const outcomes = await Promise.allSettled(herd)
  t.ok(outcomes.every(({ status }) => status === 'rejected'))
  await t.rejects(
    lookup.revalidate().then(() => ask('again')),
    couldNotCheck,
  )
  t.equal(source.questions.length, 1)
  clock.advance(1_000)
  source.broken = undefined
  source.rows.set('first', { word: 'w' })
  t.same(await lookup.find('first'), { word: 'w' })
  t.notOk(lookup.sourceAway)
})

t.test('a source that is back is noticed while nobody asks for anything', async (t) => {
  const { clock, source, lookup, ask } = stage()
  source.broken = new Error('away')
  await t.rejects(ask('k'), couldNotCheck)
  clock.advance(2_000)
  await t.rejects(lookup.revalidate(), couldNotCheck)
  source.broken = undefined
  clock.advance(2_000)
  await lookup.revalidate()
  t.notOk(lookup.sourceAway)
  const asked = source.questions.length
  await lookup.revalidate()
  t.equal(source.questions.length, asked, 'and then it is left alone')
})

t.test('a question that was refused is no failure of the source', async (t) => {
  const { lookup, ask } = stage()
  await t.rejects(ask('a', refuse), { code: 'question_refused' })
  t.notOk(lookup.sourceAway)
  t.same(await lookup.find('b', () => Promise.resolve({ word: 'asked' })), { word: 'asked' })
})

t.test('a question that takes too long could not be asked', async (t) => {
  const { clock, source, lookup, ask } = stage()
  source.hold()
  const late = t.rejects(ask('k'), couldNotCheck)
  await settled()
  clock.advance(1_000)
  await late
  t.ok(lookup.sourceAway)
  t.equal(clock.waiting, 0)
})

t.test('a key of its own question is looked up by it and cached like any other', async (t) => {
  const { clock, source, lookup } = stage()
  let asked = 0
  const load = (): Promise<Row> => Promise.resolve({ word: `answer ${++asked}` })
  t.same(await lookup.find('k', load), { word: 'answer 1' })
  t.same(lookup.find('k', load), { word: 'answer 1' })
  clock.advance(FRESH)
  t.same(await lookup.find('k', load), { word: 'answer 2' })
  t.equal(source.questions.length, 0)
})

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

t.test('a batch that is late takes nothing back from who asked after it began', async (t) => {
  const { clock, source, lookup, ask } = stage()
  source.rows.set('k', { word: 'old' })
  await lookup.find('k')
  clock.advance(1_000)
  source.hold()
  const batch = lookup.revalidate()
  await settled()
  const letGo = source.keepHeld()
  lookup.forgetKey('k')
  source.rows.set('k', { word: 'new' })
  // Another one asks before the batch answers, and after it was asked.
  const other = await lookup.findAnew('k')
  t.same(other, { word: 'new' })
  letGo()
  await batch
  t.equal(lookup.find('k'), other)
  t.same(await ask('k'), { word: 'new' })
})
