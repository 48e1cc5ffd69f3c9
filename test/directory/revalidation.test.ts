import t from 'tap'
import { type Batched, type Revalidation, startRevalidation } from '../../src/directory/revalidation.ts'
import { virtualClock } from '../support/clock.ts'
import { settled } from './source.ts'

const INTERVAL = 2_000

class Batches implements Batched {
  readonly name = 'row'
  readonly size = 0
  readonly sourceAway = false
  readonly batchAt = undefined
  readonly counts = { memory: 0, shared: 0, source: 0, stale: 0 }
  readonly clock = virtualClock()
  /** When each batch began. */
  readonly begun: number[] = []
  answer: () => Promise<void> = () => Promise.resolve()
  readonly failures: unknown[] = []

  inDoubt = false

  doubt(): void {
    this.inDoubt = true
  }

  revalidate(): Promise<void> {
    this.inDoubt = false
    this.begun.push(this.clock.monotonic())
    return this.answer()
  }

  start(random: () => number): Revalidation {
    const { clock } = this
    return startRevalidation([this], {
      clock,
      interval: INTERVAL,
      random,
      onFailure: (_name, error) => this.failures.push(error),
    })
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 100) {
      this.clock.advance(100)
      await settled()
    }
  }
}

t.test('batches begin at once and then as often as they must, whatever the jitter', async (t) => {
  for (const [random, expected] of [
    [0, [0, 1_600, 3_200, 4_800]],
    [0.5, [0, 1_800, 3_600, 5_400]],
    [0.999_999, [0, 2_000, 4_000, 6_000]],
  ] as const) {
    const batches = new Batches()
    const revalidation = batches.start(() => random)
    await batches.pass(6_000)
    revalidation.stop()
    t.same(
      batches.begun.map((at) => Math.round(at)),
      expected,
    )
    for (const [i, at] of batches.begun.entries()) {
      t.ok(at - (batches.begun[i - 1] ?? 0) <= INTERVAL, 'never later than the interval')
    }
  }
})

t.test('a slow batch is not doubled, and the next one comes when it is done', async (t) => {
  const batches = new Batches()
  const slow = Promise.withResolvers<void>()
  batches.answer = () => slow.promise
  const revalidation = batches.start(() => 0.5)
  await batches.pass(9_000)
  t.same(batches.begun, [0])
  slow.resolve()
  await batches.pass(1_800)
  t.equal(batches.begun.length, 2)
  revalidation.stop()
})

t.test('a batch that fails is told of, and the next one comes all the same', async (t) => {
  const batches = new Batches()
  const error = new Error('away')
  batches.answer = () => Promise.reject(error)
  const revalidation = batches.start(() => 0.5)
  await batches.pass(1_800)
  t.same(batches.failures, [error, error])
  revalidation.stop()
})

t.test('stopped is stopped, while a batch is under way too', async (t) => {
  const batches = new Batches()
  const slow = Promise.withResolvers<void>()
  batches.answer = () => slow.promise
  const revalidation = batches.start(() => 0.5)
  await batches.pass(500)
  revalidation.stop()
  slow.resolve()
  await batches.pass(10_000)
  t.same(batches.begun, [0])
  t.equal(batches.clock.waiting, 0)
})
