import t from 'tap'
import { Tombstones } from '../../src/directory/tombstones.ts'
import { virtualClock } from '../support/clock.ts'

const KEPT = 34_000

t.test('a change concerns what was known before it, and nothing since', (t) => {
  const stones = new Tombstones<string>(virtualClock(), KEPT)
  const before = stones.position
  t.notOk(stones.concern(before, 'k', 'v'))
  stones.set((value) => value === 'v')
  t.ok(stones.concern(before, 'k', 'v'))
  t.notOk(stones.concern(before, 'k', 'other'))
  t.notOk(stones.concern(stones.position, 'k', 'v'))
  const between = stones.position
  stones.set((_value, key) => key === 'k')
  t.ok(stones.concern(between, 'k', undefined), 'an absence too')
  t.notOk(stones.concern(between, 'other', 'v'), 'the one before is past')
  t.ok(stones.concern(before, 'other', 'v'))
  t.end()
})

t.test('a change of anybody concerns everything known before it', (t) => {
  const stones = new Tombstones<string>(virtualClock(), KEPT)
  const before = stones.position
  stones.setForAll()
  stones.set(() => false)
  t.ok(stones.concern(before, 'k', 'v'))
  t.notOk(stones.concern(stones.position, 'k', 'v'))
  t.end()
})

t.test('more changes than can be kept concern everything', (t) => {
  const clock = virtualClock()
  const stones = new Tombstones<string>(clock, KEPT)
  const before = stones.position
  for (let i = 0; i < 1_000; i++) stones.set(() => false)
  t.notOk(stones.concern(before, 'k', 'v'))
  const then = stones.position
  stones.set(() => false)
  t.ok(stones.concern(then, 'k', 'v'))
  t.end()
})

t.test('changes that are older than anything known make room', (t) => {
  const clock = virtualClock()
  const stones = new Tombstones<string>(clock, KEPT)
  for (let i = 0; i < 1_000; i++) stones.set(() => false)
  clock.advance(KEPT + 1)
  const then = stones.position
  stones.set(() => false)
  t.notOk(stones.concern(then, 'k', 'v'))
  t.end()
})
