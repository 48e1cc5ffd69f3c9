import { LRUCache } from 'lru-cache'
import { PosternError } from '../errors.ts'
import type { Clock } from '../identity/clock.ts'
import type { MaybePromise } from '../pipeline/outcome.ts'
import { within } from './deadline.ts'
import type { Source } from './records.ts'
import type { SharedTier } from './shared.ts'

export interface LookupOptions<V extends object> {
  /** In errors and metrics: `token`, `user`, `session`. */
  readonly name: string
  readonly source: Source<V>
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
  /**
   * Milliseconds for which the source is left alone after a failed question, so that its trouble is not answered with
   * a herd; a second unless told. 0 where one credential's failure says nothing about the next.
   */
  readonly pause?: number
  /** A tier that replicas share, asked before the source. */
  readonly shared?: SharedTier<V> | undefined
}

export type Tier = 'memory' | 'shared' | 'source' | 'stale'

interface Entry<V> {
  value: V
  /** Monotonic milliseconds at which the question that last confirmed it was asked. */
  confirmedAt: number
  usedAt: number
}

/** A question under way. An invalidation overtakes it: its answer may be older than the change. */
interface Flight<V> {
  overtaken: boolean
  answer: Promise<V | undefined>
}

interface Batch {
  overtaken: boolean
}

const CHUNK = 500
/** An entry used this lately is kept fresh by the batches; an idle one is verified before its next use. */
const IN_USE = 30_000
const PAUSE = 1_000

/**
 * A coherent cache in front of a source: an answer counts only for a bounded time after its question was asked,
 * is asked for once however many wait, and never outlives an invalidation that came while it was under way.
 */
export class Lookup<V extends object> {
  readonly #options: LookupOptions<V>
  readonly #entries: LRUCache<string, Entry<V>>
  /** When the absence was last confirmed. */
  readonly #absent: LRUCache<string, number>
  readonly #flights = new Map<string, Flight<V>>()
  readonly #batches = new Set<Batch>()
  readonly counts: Record<Tier, number> = { memory: 0, shared: 0, source: 0, stale: 0 }
  #pausedUntil = Number.NEGATIVE_INFINITY
  /** Monotonic milliseconds of the last invalidation. */
  #invalidatedAt = Number.NEGATIVE_INFINITY
  /** Monotonic milliseconds at which the last complete batch began. */
  batchAt: number | undefined

  constructor(options: LookupOptions<V>) {
    this.#options = options
    this.#entries = new LRUCache({ max: options.maxEntries })
    const { maxEntries, maxNegative = Math.max(1_000, Math.ceil(maxEntries / 10)) } = options
    this.#absent = new LRUCache({ max: maxNegative })
  }

  get name(): string {
    return this.#options.name
  }

  get size(): number {
    return this.#entries.size
  }

  /** Whether the last question to the source failed and none has succeeded since. */
  get sourceAway(): boolean {
    return this.#pausedUntil !== Number.NEGATIVE_INFINITY
  }

  /**
   * @param load asks for this one key where the source cannot (a question that needs the credential itself)
   * @returns undefined when there is checked to be none
   * @throws PosternError `could_not_check`
   */
  find(key: string, load?: () => Promise<V | undefined>): MaybePromise<V | undefined> {
    const now = this.#options.clock.monotonic()
    const entry = this.#entries.get(key)
    if (entry !== undefined && now - entry.confirmedAt < this.#options.freshFor) {
      entry.usedAt = now
      this.counts.memory++
      return entry.value
    }
    const absentAt = this.#absent.get(key)
    if (absentAt !== undefined && now - absentAt < this.#options.freshFor) {
      this.counts.memory++
      return undefined
    }
    return this.#ask(key, load ?? (() => this.#loadOne(key)))
  }

  /** Drops what is known of a key; a question under way is asked again. */
  invalidate(key: string): void {
    this.#invalidatedAt = this.#options.clock.monotonic()
    this.#entries.delete(key)
    this.#absent.delete(key)
    this.#overtake(key)
  }

  invalidateWhere(matches: (value: V, key: string) => boolean): void {
    for (const [key, entry] of this.#entries.entries()) if (matches(entry.value, key)) this.invalidate(key)
    // What is under way may be about to answer with one that matches.
    this.#overtakeAll()
  }

  clear(): void {
    this.#entries.clear()
    this.#absent.clear()
    this.#overtakeAll()
  }

  /** Confirms everything in use with one question per chunk. A chunk that fails confirms nothing, nor does any after it. */
  async revalidate(): Promise<void> {
    const { clock } = this.#options
    const startedAt = clock.monotonic()
    const keys: string[] = []
    for (const [key, entry] of this.#entries.entries()) if (startedAt - entry.usedAt < IN_USE) keys.push(key)
    for (let from = 0; from < keys.length; from += CHUNK) await this.#confirm(keys.slice(from, from + CHUNK))
    // Nothing in use would show that the source is back.
    if (keys.length === 0 && this.sourceAway) await this.#question([''], new Map())
    this.batchAt = startedAt
  }

  async #confirm(keys: readonly string[]): Promise<void> {
    const known = new Map<string, V>()
    for (const key of keys) {
      const entry = this.#entries.peek(key)
      if (entry !== undefined) known.set(key, entry.value)
    }
    const batch: Batch = { overtaken: false }
    this.#batches.add(batch)
    const askedAt = this.#options.clock.monotonic()
    try {
      const answers = await this.#question([...known.keys()], known)
      if (batch.overtaken) return
      for (const [key, before] of known) this.#settle(key, before, answers.get(key), askedAt)
    } finally {
      this.#batches.delete(batch)
    }
  }

  /** Takes a batch's answer for one key, unless it was invalidated, or something newer stands there by now. */
  #settle(key: string, before: V, answer: V | undefined, askedAt: number): void {
    const entry = this.#entries.peek(key)
    if (entry === undefined || entry.value !== before || entry.confirmedAt > askedAt) return
    if (answer === undefined) {
      this.#entries.delete(key)
      return
    }
    entry.value = sameOr(before, answer)
    entry.confirmedAt = askedAt
  }

  /** Asks until an answer comes that nothing overtook, for as long as one question may take. */
  async #ask(key: string, load: () => Promise<V | undefined>): Promise<V | undefined> {
    const { clock, deadline } = this.#options
    const since = clock.monotonic()
    for (;;) {
      const flight = this.#flights.get(key) ?? this.#begin(key, load)
      const answer = await flight.answer
      if (!flight.overtaken) return answer
      if (clock.monotonic() - since >= deadline) {
        throw new PosternError(
          'could_not_check',
          `${this.name}: changed again and again while it was looked up`,
        )
      }
    }
  }

  #begin(key: string, load: () => Promise<V | undefined>): Flight<V> {
    const askedAt = this.#options.clock.monotonic()
    const flight: Flight<V> = { overtaken: false, answer: Promise.resolve(undefined) }
    flight.answer = this.#answer(key, load, askedAt, flight).finally(() => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key)
    })
    this.#flights.set(key, flight)
    return flight
  }

  async #answer(
    key: string,
    load: () => Promise<V | undefined>,
    askedAt: number,
    flight: Flight<V>,
  ): Promise<V | undefined> {
    const { shared, freshFor } = this.#options
    const elsewhere = this.#sharedCounts(askedAt) ? await shared?.get(key) : undefined
    if (elsewhere !== undefined && elsewhere.age < freshFor) {
      this.counts.shared++
      return flight.overtaken ? undefined : this.#store(key, elsewhere.value, askedAt - elsewhere.age)
    }
    try {
      const value = await this.#guarded(load)
      this.counts.source++
      if (flight.overtaken) return undefined
      if (value !== undefined) shared?.put(key, value, freshFor - (this.#options.clock.monotonic() - askedAt))
      return this.#store(key, value, askedAt)
    } catch (error) {
      return this.#stale(key, error)
    }
  }

  /** What the other replicas share may be older than an invalidation until it has died of age. */
  #sharedCounts(now: number): boolean {
    return now - this.#invalidatedAt >= this.#options.freshFor
  }

  #store(key: string, value: V | undefined, askedAt: number): V | undefined {
    const before = this.#entries.peek(key)
    if (value === undefined) {
      this.#entries.delete(key)
      this.#absent.set(key, askedAt)
      return undefined
    }
    const kept = before === undefined ? value : sameOr(before.value, value)
    this.#entries.set(key, { value: kept, confirmedAt: askedAt, usedAt: this.#options.clock.monotonic() })
    this.#absent.delete(key)
    return kept
  }

  /** What was known before the source went away, for as long as that may count. */
  #stale(key: string, error: unknown): V {
    const entry = this.#entries.peek(key)
    const { clock, freshFor, staleIfError } = this.#options
    if (entry === undefined || clock.monotonic() - entry.confirmedAt >= freshFor + staleIfError) throw error
    entry.usedAt = clock.monotonic()
    this.counts.stale++
    return entry.value
  }

  #loadOne(key: string): Promise<V | undefined> {
    const entry = this.#entries.peek(key)
    const known = new Map(entry === undefined ? [] : [[key, entry.value]])
    return this.#options.source.load([key], known).then((answers) => answers.get(key))
  }

  #question(keys: readonly string[], known: ReadonlyMap<string, V>): Promise<ReadonlyMap<string, V>> {
    return this.#guarded(() => this.#options.source.load(keys, known))
  }

  async #guarded<T>(load: () => Promise<T>): Promise<T> {
    const { clock, deadline, name } = this.#options
    if (clock.monotonic() < this.#pausedUntil)
      throw new PosternError('could_not_check', `${name}: its source is away`)
    try {
      const answer = await within(clock, deadline, name, load())
      this.#pausedUntil = Number.NEGATIVE_INFINITY
      return answer
    } catch (error) {
      const refused = error instanceof PosternError && error.code === 'question_refused'
      if (!refused) this.#pausedUntil = clock.monotonic() + (this.#options.pause ?? PAUSE)
      throw error
    }
  }

  #overtakeAll(): void {
    this.#invalidatedAt = this.#options.clock.monotonic()
    for (const key of this.#flights.keys()) this.#overtake(key)
    for (const batch of this.#batches) batch.overtaken = true
  }

  #overtake(key: string): void {
    const flight = this.#flights.get(key)
    if (flight === undefined) return
    flight.overtaken = true
    this.#flights.delete(key)
  }
}

/** `before` when `after` says the same: what was made from it (principals, assertions) stays good then. */
function sameOr<V extends object>(before: V, after: V): V {
  return JSON.stringify(before) === JSON.stringify(after) ? before : after
}
