import type { Clock } from '../identity/clock.ts'
import type { Tier } from './lookup.ts'

/** A look-up as its batches and its metrics see it. */
export interface Batched {
  readonly name: string
  readonly size: number
  readonly sourceAway: boolean
  /** Monotonic milliseconds at which the last complete batch began. */
  readonly batchAt: number | undefined
  readonly counts: Readonly<Record<Tier, number>>
  /** A change left it in doubt: what is in use waits for a batch. */
  readonly inDoubt: boolean
  revalidate(): Promise<void>
  doubt(): void
}

export interface RevalidationOptions {
  readonly clock: Clock
  /** Milliseconds; a batch begins at least this often. */
  readonly interval: number
  /** In [0, 1): spreads the replicas' batches. */
  readonly random: () => number
  readonly onFailure: (name: string, error: unknown) => void
  /** Called after each batch: what it dropped is dropped. */
  readonly onDone?: () => void
}

export interface Revalidation {
  /** Begins a batch now for whatever is in doubt; while one is running, when it has ended: one for all who ask meanwhile. */
  hurry(): void
  stop(): void
}

/**
 * Keeps what is in use fresh: one batch per look-up and interval, whatever the request rate. A batch that is still
 * running when its next is due is left to finish.
 */
export function startRevalidation(lookups: readonly Batched[], options: RevalidationOptions): Revalidation {
  const batches = lookups.map((lookup) => new Batches(lookup, options))
  return {
    hurry: () => {
      for (const each of batches) each.hurry()
    },
    stop: () => {
      for (const each of batches) each.stop()
    },
  }
}

/** The batches of one look-up, one at a time. */
class Batches {
  readonly #lookup: Batched
  readonly #options: RevalidationOptions
  #cancel: () => void = () => undefined
  #running = false
  #stopped = false

  constructor(lookup: Batched, options: RevalidationOptions) {
    this.#lookup = lookup
    this.#options = options
    this.#run()
  }

  hurry(): void {
    if (this.#lookup.inDoubt && !this.#running && !this.#stopped) this.#run()
  }

  stop(): void {
    this.#stopped = true
    this.#cancel()
  }

  #run(): void {
    const { onFailure, onDone } = this.#options
    this.#running = true
    this.#arm()
    this.#lookup
      .revalidate()
      .catch((error: unknown) => onFailure(this.#lookup.name, error))
      .finally(() => {
        this.#running = false
        onDone?.()
        this.hurry()
      })
  }

  #arm(): void {
    const { clock, interval, random } = this.#options
    this.#cancel()
    // Never later than the interval: the published bound counts on it.
    this.#cancel = clock.after(interval * (0.8 + 0.2 * random()), () => {
      if (this.#running) this.#arm()
      else this.#run()
    })
  }
}
