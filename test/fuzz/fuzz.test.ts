/** A short and always equal piece of `npm run fuzz`, which runs as long as one likes. */
import t from 'tap'
import { fuzz } from './fuzz.ts'
import { startStage, type Step } from './stage.ts'

t.jobs = 2

/** One batch. */
const goOn = (conversations: number): boolean => conversations === 0

for (const step of ['full', 'upstream'] satisfies Step[]) {
  t.test(
    `nothing that is sent breaks what holds for everything: with ${step}`,
    { buffered: true },
    async (t) => {
      const stage = await startStage(step)
      t.teardown(() => stage.close())
      const { findings, tally } = await fuzz(stage, { seed: 'of every test run', batch: 800, goOn })
      t.same(findings, [])
      t.ok(tally.forwarded > 100, `${tally.forwarded} forwarded`)
      t.ok(tally.answers > 500, `${tally.answers} answers`)
    },
  )
}
