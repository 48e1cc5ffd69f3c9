import type { Clock } from '../identity/clock.ts'

/** Whether a change concerns an entry; `value` is undefined for an absence. */
export type Concerns<V> = (value: V | undefined, key: string) => boolean

interface Tombstone<V> {
  readonly position: number
  /** Monotonic milliseconds. */
  readonly setAt: number
  readonly concerns: Concerns<V>
}

/** More are one that concerns everything: whoever makes changes faster than this gets a cold cache, not a full memory. */
const MOST = 1_000

/**
 * The marks that changes leave. Whatever is known carries the position as of which its question was asked; a change
 * that came after that position and concerns it makes it count no longer, be it an entry of the cache, an answer under way or a
 * batch. So a change costs the same however much is cached, and nothing that is late can bring back what it took away.
 */
export class Tombstones<V> {
  readonly #clock: Clock
  readonly #keptFor: number
  #stones: Tombstone<V>[] = []
  #position = 0
  /** What is known as of an earlier position counts no longer, whatever it is. */
  #nothingBefore = 0

  /** @param keptFor milliseconds; for which anything that is known may count at all, the way of its question included */
  constructor(clock: Clock, keptFor: number) {
    this.#clock = clock
    this.#keptFor = keptFor
  }

  /** Of the newest change. */
  get position(): number {
    return this.#position
  }

  set(concerns: Concerns<V>): void {
    const setAt = this.#clock.monotonic()
    const kept = this.#stones.filter((stone) => setAt - stone.setAt <= this.#keptFor)
    if (kept.length >= MOST) return this.setForAll()
    this.#stones = [...kept, { position: ++this.#position, setAt, concerns }]
  }

  setForAll(): void {
    this.#nothingBefore = ++this.#position
    this.#stones = []
  }

  /** Whether a change since `asOf` concerns what was known then. */
  concern(asOf: number, key: string, value: V | undefined): boolean {
    if (asOf === this.#position) return false
    if (asOf < this.#nothingBefore) return true
    // The newest last: the few that an entry in use has not seen are found without passing the others.
    for (let i = this.#stones.length - 1; i >= 0; i--) {
      const stone = this.#stones[i]
      if (stone === undefined || stone.position <= asOf) return false
      if (stone.concerns(value, key)) return true
    }
    return false
  }
}
