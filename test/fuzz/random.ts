import { createHash } from 'node:crypto'

/** Numbers that look random and are the same for the same seed, on every machine (sfc32). */
export class Random {
  #a: number
  #b: number
  #c: number
  #count = 1

  constructor(seed: string) {
    const digest = createHash('sha256').update(seed).digest()
    this.#a = digest.readInt32LE(0)
    this.#b = digest.readInt32LE(4)
    this.#c = digest.readInt32LE(8)
  }

  /** An integer from 0 up to, and not including, `limit`. */
  below(limit: number): number {
    return limit <= 1 ? 0 : (this.#next() >>> 0) % limit
  }

  chance(probability: number): boolean {
    return (this.#next() >>> 0) / 2 ** 32 < probability
  }

  /** @throws RangeError for a list with nothing in it */
  pick<T>(list: readonly T[]): T {
    const index = this.below(list.length)
    if (index >= list.length) throw new RangeError('nothing to pick from')
    // The index is one of the list's.
    return list[index] as T
  }

  /** A place in a text, its end included. */
  place(text: string): number {
    return this.below(text.length + 1)
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#count++) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    return sum
  }
}
