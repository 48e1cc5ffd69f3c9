import type { Clock } from '../../src/identity/clock.ts'

/** A clock that stands still until the test moves it. */
export interface VirtualClock extends Clock {
  /**
   * Moves time on by `ms` milliseconds and runs, in order, what falls due on the way (tasks that those tasks
   * set included). What the tasks start and leave pending, such as promises, is the test's to await.
   */
  advance(ms: number): void
  /** Moves the wall clock alone, as an administrator or NTP would; no timer notices. */
  jump(ms: number): void
  /** How many tasks are waiting. */
  readonly waiting: number
  /** Milliseconds until the next task; undefined when none is waiting. */
  readonly next: number | undefined
}

interface Timer {
  readonly due: number
  readonly task: () => void
}

/** @param start milliseconds since the epoch at which the clock stands */
export function virtualClock(start: number = Date.UTC(2026, 0, 1)): VirtualClock {
  let elapsed = 0
  let offset = start
  const timers = new Set<Timer>()

  const nextUntil = (end: number): Timer | undefined => {
    let first: Timer | undefined
    for (const timer of timers) if (timer.due <= end && (!first || timer.due < first.due)) first = timer
    return first
  }

  return {
    now: () => offset + elapsed,
    monotonic: () => elapsed,
    after(ms, task) {
      const timer = { due: elapsed + Math.max(0, ms), task }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    advance(ms) {
      const end = elapsed + ms
      for (let timer = nextUntil(end); timer; timer = nextUntil(end)) {
        timers.delete(timer)
        elapsed = timer.due
        timer.task()
      }
      elapsed = end
    },
    jump(ms) {
      offset += ms
    },
    get waiting() {
      return timers.size
    },
    get next() {
      const timer = nextUntil(Infinity)
      return timer && timer.due - elapsed
    },
  }
}
