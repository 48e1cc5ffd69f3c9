/** Time as a parameter: whoever waits, or compares instants, is given one. */
export interface Clock {
  /** Milliseconds since the epoch; may jump. For instants that others wrote (`exp`, `expires_at`). */
  now(): number
  /** Milliseconds since some start; never goes back. For ages and deadlines of our own. */
  monotonic(): number
  /**
   * Runs `task` once, `ms` milliseconds from now, unless cancelled before. It does not keep the process alive.
   * @returns cancels it; harmless when it has already run
   */
  after(ms: number, task: () => void): () => void
}

/** `setTimeout` takes 32 bits; a longer wait would fire at once. */
const LONGEST_TIMEOUT = 2 ** 31 - 1

export const systemClock: Clock = Object.freeze({
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms: number, task: () => void) => {
    let timer: NodeJS.Timeout
    const wait = (left: number): void => {
      const rest = left - LONGEST_TIMEOUT
      timer = setTimeout(() => (rest > 0 ? wait(rest) : task()), Math.min(left, LONGEST_TIMEOUT))
      timer.unref()
    }
    wait(ms)
    return () => clearTimeout(timer)
  },
})
