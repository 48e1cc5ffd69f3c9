import t from 'tap'
import { FRESH, settled, stage } from './source.ts'

const couldNotCheck = { code: 'could_not_check' }

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
