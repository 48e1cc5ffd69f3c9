import type { MaybePromise } from '../pipeline/outcome.ts'

/** Requests that wait for their decision: what decides must not be closed under them. */
export class Undecided {
  readonly #pending = new Set<Promise<void>>()

  track(decision: MaybePromise<void>): void {
    if (!(decision instanceof Promise)) return
    this.#pending.add(decision)
    void decision.finally(() => this.#pending.delete(decision))
  }

  /** Resolves when nothing waits. */
  async settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending)
  }
}
