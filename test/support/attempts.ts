import { Attempts } from '../../src/authenticators/attempts.ts'
import type { AttemptLimits } from '../../src/authenticators/attempts.ts'
import type { Clock } from '../../src/identity/clock.ts'
import { virtualClock } from './clock.ts'

const FREELY = 1_000_000

/** Nothing is too much unless `limits` says so; this process alone counts. */
export function attemptsOf(limits: Partial<AttemptLimits> = {}, clock: Clock = virtualClock()): Attempts {
  return new Attempts({
    limits: {
      window: 900_000,
      perUserAndAddress: FREELY,
      perUser: FREELY,
      perAddress: FREELY,
      pace: 20_000,
      ...limits,
    },
    clock,
    shared: undefined,
  })
}
