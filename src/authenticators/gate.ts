import { PosternError } from '../errors.ts'

export type Gate = <T>(work: () => Promise<T>) => Promise<T>

/**
 * Runs at most `concurrency` pieces of work at once and lets at most `queue` wait, in order.
 * @throws PosternError `question_refused` beyond that
 */
export function createGate(what: string, concurrency: number, queue: number): Gate {
  let running = 0
  const waiting: (() => void)[] = []
  return async (work) => {
    if (running < concurrency) running++
    else if (waiting.length >= queue)
      throw new PosternError('question_refused', `${what}: ${queue} are waiting already`)
    else {
      const turn = Promise.withResolvers<void>()
      waiting.push(turn.resolve)
      await turn.promise
    }
    try {
      return await work()
    } finally {
      // A waiting one takes over this one's place, so the count stays.
      const next = waiting.shift()
      if (next === undefined) running--
      else next()
    }
  }
}
