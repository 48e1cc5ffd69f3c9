import t from 'tap'
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
