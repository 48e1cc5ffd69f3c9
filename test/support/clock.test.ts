import t from 'tap'
import { systemClock } from '../../src/identity/clock.ts'
import { virtualClock } from './clock.ts'

t.test('the virtual clock runs tasks in the order of their instants, new ones included', async (t) => {
  const clock = virtualClock(1_000)
  const ran: string[] = []
  clock.after(20, () => ran.push(`b ${clock.monotonic()}`))
  clock.after(10, () => {
    ran.push(`a ${clock.monotonic()}`)
    clock.after(5, () => ran.push(`a2 ${clock.now()}`))
  })
  clock.advance(9)
  t.same(ran, [])
  clock.advance(11)
  t.same(ran, ['a 10', 'a2 1015', 'b 20'])
  t.equal(clock.waiting, 0)
})

t.test('a cancelled task does not run', async (t) => {
  const clock = virtualClock()
  const cancel = clock.after(1, () => t.fail('ran'))
  cancel()
  clock.advance(10)
  t.equal(clock.waiting, 0)
})

t.test('a jump of the wall clock moves no timer', async (t) => {
  const clock = virtualClock(0)
  clock.after(10, () => t.fail('ran'))
  clock.jump(3_600_000)
  t.equal(clock.now(), 3_600_000)
  t.equal(clock.monotonic(), 0)
  t.equal(clock.waiting, 1)
})

t.test('the system clock runs a task once and forgets a cancelled one', async (t) => {
  const alive = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(alive))
  const cancel = systemClock.after(0, () => t.fail('ran'))
  // Longer than setTimeout can hold: naively it would fire at once.
  const cancelLong = systemClock.after(2 ** 33, () => t.fail('ran'))
  cancel()
  await new Promise<void>((done) => systemClock.after(1, done))
  cancelLong()
  t.ok(systemClock.now() > Date.UTC(2025, 0, 1))
  t.ok(systemClock.monotonic() > 0)
})
