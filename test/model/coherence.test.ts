import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import type { Report } from './runs.ts'

/** More runs; and the replay of a counter-example, by what the failure calls its `seed` and `path`. */
const { POSTERN_MODEL_RUNS = '300', POSTERN_MODEL_SEED, POSTERN_MODEL_PATH } = process.env

/** Milliseconds; a run takes some forty, more while a counter-example is made small. */
t.setTimeout(Math.max(120_000, 200 * Number(POSTERN_MODEL_RUNS)))

t.test(
  'through no replica a dead credential passes beyond its bound, or a live one is refused',
  async (t) => {
    const worker = new Worker(new URL('runs.ts', import.meta.url), {
      workerData: {
        numRuns: Number(POSTERN_MODEL_RUNS),
        ...(POSTERN_MODEL_SEED !== undefined && { seed: Number(POSTERN_MODEL_SEED) }),
        ...(POSTERN_MODEL_PATH !== undefined && { path: POSTERN_MODEL_PATH }),
      },
    })
    // What `runs.ts` posts; its failing to run at all rejects this.
    const [report] = (await once(worker, 'message')) as [Report]
    t.equal(report.failure, undefined, 'no counter-example')
    t.ok(report.runs > 0, 'it ran')
    // A model that never sees a thing proves nothing about it.
    for (const [what, times] of Object.entries(report.seen)) t.ok(times > 0, `${what}: ${times} times`)
  },
)
