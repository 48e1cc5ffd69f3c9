/**
 * Runs the model in a thread of its own, away from what a test runner hangs on every promise, and posts what came of it.
 */
import { parentPort, workerData } from 'node:worker_threads'
import * as fc from 'fast-check'
import { commands } from './commands.ts'
import { seen } from './seen.ts'
import { Trial } from './trial.ts'

export interface Report {
  /** A counter-example, shrunk, with what happened in it. */
  readonly failure: string | undefined
  readonly runs: number
  readonly seen: Readonly<Record<string, number>>
}

/** Numbers in [0, 1) that a seed yields, always the same (Park and Miller's generator). */
function randomOf(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
}

const property = fc.asyncProperty(
  commands,
  fc.integer({ min: 2, max: 3 }),
  fc.constantFrom(2, 1_000),
  fc.nat(),
  async (list, replicas, maxEntries, seed) => {
    const trial = new Trial({ replicas, maxEntries, random: randomOf(seed) })
    await trial.begin()
    for (const command of list) await trial.run(command)
    await trial.finish()
    if (trial.faults.length > 0) throw new Error(trial.events.join('\n'))
  },
)

// What the test gave: `numRuns`, and `seed` and `path` of a counter-example.
const details = await fc.check(property, workerData as Pick<fc.Parameters, 'numRuns' | 'seed' | 'path'>)
const report: Report = {
  failure: details.failed
    ? `${fc.defaultReportMessage(details)}\n${String(details.errorInstance)}`
    : undefined,
  runs: details.numRuns,
  seen,
}
parentPort?.postMessage(report) // oxlint-disable-line unicorn/require-post-message-target-origin -- a thread has none
