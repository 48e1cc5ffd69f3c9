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
  revalidate(): Promise<void>
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

/**
 * Keeps what is in use fresh: one batch per look-up and interval, whatever the request rate. A batch that is still
 * running when its next is due is left to finish.
 * @returns stops it
 */
export function startRevalidation(lookups: readonly Batched[], options: RevalidationOptions): () => void {
  const { clock, interval, random, onFailure } = options
  const cancels = new Map<Batched, () => void>()

  const run = (lookup: Batched): void => {
    let running = true
    // Never later than the interval: the published bound counts on it.
    const arm = (): void => {
      cancels.set(
        lookup,
        clock.after(interval * (0.8 + 0.2 * random()), () => (running ? arm() : run(lookup))),
      )
    }
    arm()
    lookup
      .revalidate()
      .catch((error: unknown) => onFailure(lookup.name, error))
      .finally(() => {
        running = false
        options.onDone?.()
      })
  }

  for (const lookup of lookups) run(lookup)
  return () => {
    for (const cancel of cancels.values()) cancel()
  }
}
