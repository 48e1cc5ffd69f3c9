import type { Change } from '../directory/change.ts'
import type { Clock } from '../identity/clock.ts'
import type { MaybePromise } from '../pipeline/outcome.ts'

export interface TogetherOptions {
  readonly clock: Clock
  /** Milliseconds. */
  readonly within: number
  readonly tell: (changes: readonly Change[]) => MaybePromise<void>
}

interface Waiting {
  readonly changes: Map<string, Change>
  readonly told: PromiseWithResolvers<void>
  readonly cancel: () => void
}

/** Tells of changes: of the first at once, and of all that follow within a while of it together. */
export class Together {
  readonly #options: TogetherOptions
  #toldAt = Number.NEGATIVE_INFINITY
  #waiting: Waiting | undefined

  constructor(options: TogetherOptions) {
    this.#options = options
  }

  /** @returns once they have been told of, and whoever was told has taken them in */
  tell(changes: readonly Change[]): MaybePromise<void> {
    if (changes.length === 0) return undefined
    const { clock, within } = this.#options
    const wait = this.#toldAt + within - clock.monotonic()
    if (this.#waiting === undefined && wait <= 0) return this.#tellNow(changes)
    this.#waiting ??= {
      changes: new Map(),
      told: Promise.withResolvers(),
      cancel: clock.after(wait, () => this.flush()),
    }
    for (const change of changes) this.#waiting.changes.set(JSON.stringify(change), change)
    return this.#waiting.told.promise
  }

  /** Tells at once of those that wait. */
  flush(): void {
    const waiting = this.#waiting
    if (waiting === undefined) return
    this.#waiting = undefined
    waiting.cancel()
    waiting.told.resolve(this.#tellNow([...waiting.changes.values()]))
  }

  #tellNow(changes: readonly Change[]): MaybePromise<void> {
    this.#toldAt = this.#options.clock.monotonic()
    return this.#options.tell(changes)
  }
}
