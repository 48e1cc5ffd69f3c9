import { mock } from 'node:test'
import t from 'tap'
import { systemClock } from '../../src/identity/clock.ts'

const DAY = 86_400_000

t.beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
t.afterEach(() => mock.timers.reset())

function counted(ms: number): { readonly runs: () => number; readonly cancel: () => void } {
  let runs = 0
  const cancel = systemClock.after(ms, () => runs++)
  return { runs: () => runs, cancel }
}

t.test('a task runs once, when it is due', async (t) => {
  const { runs, cancel } = counted(1_000)
  mock.timers.tick(999)
  t.equal(runs(), 0)
  mock.timers.tick(1)
  t.equal(runs(), 1)
  mock.timers.tick(10_000)
  t.equal(runs(), 1)
  cancel()
})

t.test('a wait of months is a wait of months, not none', async (t) => {
  const { runs } = counted(60 * DAY)
  for (let day = 0; day < 59; day++) mock.timers.tick(DAY)
  t.equal(runs(), 0)
  // The mock sets what a task starts from the end of its tick.
  for (let day = 0; day < 3; day++) mock.timers.tick(DAY)
  t.equal(runs(), 1)
})

t.test('a cancelled task does not run, in whichever part of a long wait', async (t) => {
  const early = counted(60 * DAY)
  early.cancel()
  const late = counted(60 * DAY)
  for (let day = 0; day < 40; day++) mock.timers.tick(DAY)
  late.cancel()
  for (let day = 0; day < 40; day++) mock.timers.tick(DAY)
  t.equal(early.runs() + late.runs(), 0)
})

t.test('monotonic time does not go back', async (t) => {
  const first = systemClock.monotonic()
  t.ok(systemClock.monotonic() >= first)
  t.ok(Math.abs(systemClock.now() - Date.now()) < DAY)
})
