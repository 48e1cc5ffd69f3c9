import { isDeepStrictEqual } from 'node:util'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../identity/clock.ts'
import { Tombstones } from './tombstones.ts'
import type { Concerns } from './tombstones.ts'

export interface KnownOptions {
  readonly clock: Clock
  /** Entries kept. Absences have room of their own, a tenth as much unless told: a storm of them evicts nobody. */
  readonly maxEntries: number
  readonly maxNegative?: number
  /** Milliseconds for which an answer counts, from the moment its question was asked. */
  readonly freshFor: number
  /** Milliseconds beyond `freshFor` for which a known answer still counts while the source is away. */
  readonly staleIfError: number
  /** Milliseconds that one question to the source may take. */
  readonly deadline: number
}

/** When a question was asked: in monotonic milliseconds, and after which of the changes. */
export interface Asking {
  readonly at: number
  readonly asOf: number
}

interface Entry<V> {
  value: V
  /** Of the question that last confirmed it. */
  confirmedAt: number
  asOf: number
  /** When it was last asked for or stored; the order in which the entries are kept. */
  usedAt: number
}

/** An entry used this lately is kept fresh by the batches; an idle one is verified before its next use. */
const IN_USE = 30_000

/**
 * What is known, presences and absences: each with the question that last confirmed it, and no longer than that question and the
 * changes since let it count.
 */
export class Known<V extends object> {
  readonly #options: KnownOptions
  readonly #entries: LRUCache<string, Entry<V>>
  readonly #absent: LRUCache<string, Asking>
  readonly #tombstones: Tombstones<V>

  constructor(options: KnownOptions) {
    const { maxEntries, maxNegative = Math.max(1_000, Math.ceil(maxEntries / 10)) } = options
    this.#options = options
    this.#entries = new LRUCache({ max: maxEntries })
    this.#absent = new LRUCache({ max: maxNegative })
    this.#tombstones = new Tombstones(
      options.clock,
      options.freshFor + options.staleIfError + options.deadline,
    )
  }

  get size(): number {
    return this.#entries.size
  }

  asking(): Asking {
    return { at: this.#options.clock.monotonic(), asOf: this.#tombstones.position }
  }

  /** @returns `'absent'` when there is known to be none, undefined when nothing that counts is known */
  find(key: string): V | 'absent' | undefined {
    const now = this.#options.clock.monotonic()
    const entry = this.#entries.get(key)
    if (entry === undefined) return this.#isAbsent(key, now) ? 'absent' : undefined
    entry.usedAt = now
    const counts = now - entry.confirmedAt < this.#options.freshFor && this.#stands(entry, key)
    return counts ? entry.value : undefined
  }

  /** What was known before the source went away, for as long as that may count. */
  findStale(key: string): V | undefined {
    const { clock, freshFor, staleIfError } = this.#options
    const now = clock.monotonic()
    const entry = this.#entries.peek(key)
    if (entry === undefined || now - entry.confirmedAt >= freshFor + staleIfError) return undefined
    return this.#stands(entry, key) ? entry.value : undefined
  }

  /** What was once known, whether it counts or not: a cheaper question may be made of it. */
  recall(key: string): V | undefined {
    return this.#entries.peek(key)?.value
  }

  keysInUse(): string[] {
    const since = this.#options.clock.monotonic() - IN_USE
    const keys: string[] = []
    for (const [key, entry] of this.#entries.entries()) {
      // The latest come first: however much is idle, only what is in use is looked at.
      if (entry.usedAt <= since) break
      keys.push(key)
    }
    return keys
  }

  /** Takes an answer, unless a change has overtaken it. */
  store(key: string, answer: V | undefined, { at, asOf }: Asking): V | undefined {
    if (this.#tombstones.concern(asOf, key, answer)) return answer
    const before = this.#entries.peek(key)
    if (answer === undefined) {
      this.#entries.delete(key)
      this.#absent.set(key, { at, asOf })
      return undefined
    }
    const value = before === undefined ? answer : sameOr(before.value, answer)
    this.#entries.set(key, { value, confirmedAt: at, asOf, usedAt: this.#options.clock.monotonic() })
    this.#absent.delete(key)
    return value
  }

  /** Takes a batch's answer about `before`, unless a change has overtaken it, or something newer stands there by now. */
  confirm(key: string, before: V, answer: V | undefined, { at, asOf }: Asking): void {
    const entry = this.#entries.peek(key)
    if (entry === undefined || entry.value !== before || entry.confirmedAt > at) return
    if (this.isOvertaken(asOf, key, before) || this.isOvertaken(asOf, key, answer)) return
    if (answer === undefined) {
      this.#entries.delete(key)
      // Another replica may have shared what it was told earlier.
      this.#absent.set(key, { at, asOf })
      return
    }
    entry.value = sameOr(before, answer)
    entry.confirmedAt = at
    entry.asOf = asOf
  }

  /** Whether a change since `asOf` concerns an answer. */
  isOvertaken(asOf: number, key: string, answer: V | undefined): boolean {
    return this.#tombstones.concern(asOf, key, answer)
  }

  forgetKey(key: string): void {
    this.#entries.delete(key)
    this.#absent.delete(key)
  }

  forget(concerns: Concerns<V>): void {
    this.#tombstones.set(concerns)
  }

  forgetAll(): void {
    this.#tombstones.setForAll()
  }

  /** Whether no change since concerns it; then it need not be held against those changes again. */
  #stands(entry: Entry<V>, key: string): boolean {
    if (this.#tombstones.concern(entry.asOf, key, entry.value)) return false
    entry.asOf = this.#tombstones.position
    return true
  }

  #isAbsent(key: string, now: number): boolean {
    const asked = this.#absent.get(key)
    return (
      asked !== undefined &&
      now - asked.at < this.#options.freshFor &&
      !this.#tombstones.concern(asked.asOf, key, undefined)
    )
  }
}

/** `before` when `after` says the same: what was made from it (principals, assertions) stays good then. */
function sameOr<V extends object>(before: V, after: V): V {
  return isSame(before, after) ? before : after
}

/** Most batches find nothing new, and records are flat: looking closer than at each field is seldom needed, and takes ten times as long. */
function isSame<V extends object>(one: V, other: V): boolean {
  for (const key in one) if (one[key] !== other[key]) return isDeepStrictEqual(one, other)
  for (const key in other) if (one[key] !== other[key]) return isDeepStrictEqual(one, other)
  return true
}
