import t from 'tap'
import type { Change } from '../../src/directory/change.ts'
import { Changes } from '../../src/gateway/changes.ts'
import type { Permit } from '../../src/pipeline/permit.ts'
import { virtualClock } from '../support/clock.ts'

const USER: Change = { kind: 'user', id: '2' }
const users: Change = { kind: 'users' }
const tokens: Change = { kind: 'tokens' }
/** The profile alone looks into it, and here it looks at nothing. */
const permit = { principal: {} } as Permit

function changing(watch: () => ((ended: number | 'lost') => readonly Change[]) | undefined) {
  const clock = virtualClock()
  const forgotten: Change[] = []
  const announced: Change[] = []
  const changes = new Changes({
    clock,
    profile: () => ({ watch, forget: (some) => void forgotten.push(...some), doubt: () => undefined }),
    announce: (some) => void announced.push(...some),
    onForgotten: () => undefined,
  })
  return { changes, clock, forgotten, announced }
}

t.test('what others send on counts as changed at once, and again when it should be done', async (t) => {
  const { changes, clock, forgotten, announced } = changing(() => (ended) => (ended === 'lost' ? [USER] : []))
  changes.expect(permit)
  t.same([forgotten, announced], [[USER], [USER]])
  clock.advance(999)
  t.equal(forgotten.length, 1)
  clock.advance(1)
  t.same(
    [forgotten, announced],
    [
      [USER, USER],
      [USER, USER],
    ],
  )
  t.equal(clock.waiting, 0)
})

t.test('what changes nobody waits for nothing; what is stopped neither', async (t) => {
  const nothing = changing(() => undefined)
  nothing.changes.expect(permit)
  t.same([nothing.forgotten, nothing.clock.waiting], [[], 0])
  const stopped = changing(() => () => [USER])
  stopped.changes.expect(permit)
  stopped.changes.stop()
  t.equal(stopped.clock.waiting, 0)
})

t.test('a logout is under way until the second time: nobody asks about its session meanwhile', async (t) => {
  const over: number[] = []
  let watched = 0
  const { changes, clock } = changing(() => {
    const which = watched++
    return () => {
      over.push(which)
      return []
    }
  })
  changes.expect(permit)
  t.same([watched, over], [2, [0]])
  clock.advance(1_000)
  t.same(over, [0, 1])
})

t.test(
  'changes of nobody knows whom are told together, and each answer waits until its own was',
  async (t) => {
    const { changes, clock, forgotten, announced } = changing(() => undefined)
    t.equal(changes.note([users]), undefined, 'the first at once')
    const over: string[] = []
    for (const change of [users, tokens, users])
      void Promise.resolve(changes.note([change])).then(() => over.push(change.kind))
    t.equal(changes.note([USER]), undefined, 'who is known waits for nobody')
    t.same(forgotten, [users, USER])
    clock.advance(19)
    await Promise.resolve()
    t.same(over, [])
    clock.advance(1)
    await new Promise((resolve) => setImmediate(resolve))
    t.same(over, ['users', 'tokens', 'users'])
    t.same(forgotten, [users, USER, users, tokens])
    t.same(announced, forgotten)
    clock.advance(20)
    t.equal(changes.note([tokens]), undefined)
  },
)

t.test('who closes tells of what waits', async (t) => {
  const { changes, announced } = changing(() => undefined)
  void changes.note([{ kind: 'users' }])
  const waiting = changes.note([{ kind: 'tokens' }])
  changes.stop()
  await waiting
  t.same(announced, [{ kind: 'users' }, { kind: 'tokens' }])
})
