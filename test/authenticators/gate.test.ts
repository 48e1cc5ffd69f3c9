import t from 'tap'
import { createGate } from '../../src/authenticators/gate.ts'
import { createRateLimit } from '../../src/authenticators/rate.ts'
import { settled } from '../directory/source.ts'

/** A gate whose work ends when the test says so. */
function stage(waiting: number) {
  const gate = createGate({ what: 'work', atOnce: 1, waiting })
  const begun: string[] = []
  const refused: string[] = []
  const ends: (() => void)[] = []
  /** Names that end in `!` go ahead. */
  const enter = (name: string): void => {
    const [lane = ''] = name
    const work = (): Promise<void> => {
      begun.push(name)
      const { promise, resolve } = Promise.withResolvers<void>()
      ends.push(resolve)
      return promise
    }
    gate(lane, work, name.endsWith('!')).catch(() => refused.push(name))
  }
  return {
    begun,
    refused,
    enter: async (...names: readonly string[]): Promise<void> => {
      for (const name of names) enter(name)
      await settled()
    },
    /** Lets `count` pieces of work end, one after the other. */
    end: async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        ends.shift()?.()
        await settled()
      }
    },
  }
}

t.test('what goes ahead has a waiting room of its own, which is emptied first', async (t) => {
  const { enter, end, begun, refused } = stage(2)
  await enter('a1', 'b1', 'c1', 'd1', 'e1!', 'f1!')
  t.same(refused, ['d1'])
  await end(5)
  t.same(begun, ['a1', 'e1!', 'f1!', 'b1', 'c1'])
})

t.test('lanes take turns, however long one of them is', async (t) => {
  const { enter, end, begun } = stage(12)
  await enter('a1', 'a2', 'a3', 'a4', 'a5', 'b1', 'b2', 'c1')
  await end(8)
  t.same(begun, ['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4', 'a5'])
  await enter('d1')
  t.equal(begun.at(-1), 'd1', 'nobody waits: at once')
})

t.test('a lane that comes back stands behind those who wait', async (t) => {
  const { enter, end, begun } = stage(12)
  await enter('a1', 'a2', 'b1')
  await end(1)
  await enter('a3')
  await end(2)
  t.same(begun, ['a1', 'a2', 'b1', 'a3'])
})

t.test('half of the waiting room is the most that one lane takes', async (t) => {
  const { enter, refused } = stage(4)
  await enter('a1', 'a2', 'a3', 'a4', 'b1')
  t.same(refused, ['a4'])
})

t.test('when the room is full the longest lane makes room for a shorter one, and no further', async (t) => {
  const { enter, end, begun, refused } = stage(4)
  await enter('x', 'a1', 'a2', 'b1', 'b2')
  await enter('c1')
  t.same(refused, ['a2'])
  await enter('d1')
  t.same(refused, ['a2', 'b2'])
  await enter('e1', 'a3')
  t.same(refused, ['a2', 'b2', 'e1', 'a3'], 'as many as there are places, one each')
  await end(5)
  t.same(begun, ['x', 'a1', 'b1', 'c1', 'd1'])
  await enter('y', 'z')
  t.same(begun.slice(5), ['y'], 'it has as much room as at first')
})

t.test('work that fails makes room too', async (t) => {
  const gate = createGate({ what: 'work', atOnce: 1, waiting: 2 })
  await t.rejects(
    gate('a', () => Promise.reject(new Error('failed'))),
    { message: 'failed' },
  )
  t.equal(await gate('a', () => Promise.resolve(1)), 1)
})

t.test('a few who ask as much as they may leave others their first question', async (t) => {
  const limit = createRateLimit('questions', 40, 20)
  const ask = (network: string, times: number): Promise<PromiseSettledResult<void>[]> =>
    Promise.allSettled(Array.from({ length: times }, () => limit(network)))
  for (const network of ['a', 'b', 'c']) await ask(network, 30)
  for (const network of ['d', 'e', 'f', 'g', 'h', 'i', 'j']) await t.resolves(limit(network), network)
  await t.rejects(limit('k'), { code: 'question_refused' }, 'so many in all')
  await t.rejects(limit('d'), { code: 'question_refused' })
})
