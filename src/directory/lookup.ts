import { PosternError } from '../errors.ts'
import type { MaybePromise } from '../pipeline/outcome.ts'
import { Gathering } from './gathering.ts'
import { Known } from './known.ts'
import type { Asking, KnownOptions } from './known.ts'
import { Patience } from './patience.ts'
import type { Source } from './records.ts'
import type { SharedTier } from './shared.ts'
import type { Concerns } from './tombstones.ts'

export interface LookupOptions<V extends object> extends KnownOptions {
  /** In errors and metrics: `token`, `user`, `session`. */
  readonly name: string
  readonly source: Source<V>
  /**
   * Milliseconds for which the source is left alone after a failed question, so that its trouble is not answered with
   * a herd; a second unless told. 0 where one credential's failure says nothing about the next.
   */
  readonly pause?: number
  /** A tier that replicas share, asked before the source. */
  readonly shared?: SharedTier<V> | undefined
}

export type Tier = 'memory' | 'shared' | 'source' | 'stale'

interface Flight<V> {
  readonly asking: Asking
  answer: Promise<V | undefined>
  /** Its key was forgotten meanwhile. */
  overtaken: boolean
  /** Only the source's own word will do. */
  readonly anew: boolean
}

/** A question for many at once. */
interface Batch<V> {
  readonly known: ReadonlyMap<string, V>
  readonly done: Promise<void>
}

const CHUNK = 500
const PAUSE = 1_000

/**
 * A coherent cache in front of a source: an answer counts only for a bounded time after its question was asked,
 * is asked for once however many wait, and never outlives a change that came while it was under way.
 */
export class Lookup<V extends object> {
  readonly #options: LookupOptions<V>
  readonly #known: Known<V>
  readonly #flights = new Map<string, Flight<V>>()
  readonly #patience: Patience
  readonly #gathering: Gathering<V>
  readonly counts: Record<Tier, number> = { memory: 0, shared: 0, source: 0, stale: 0 }
  #batch: Batch<V> | undefined
  /** Monotonic milliseconds at which the last complete batch began. */
  batchAt: number | undefined
  /** What is in use waits for a batch to confirm it. */
  inDoubt = false

  constructor(options: LookupOptions<V>) {
    this.#options = options
    this.#known = new Known(options)
    this.#patience = new Patience({ ...options, pause: options.pause ?? PAUSE })
    this.#gathering = new Gathering(
      (keys, known) => this.#patience.ask(() => options.source.load(keys, known)),
      (key) => this.#known.recall(key),
    )
  }

  get name(): string {
    return this.#options.name
  }

  get size(): number {
    return this.#known.size
  }

  /** Whether the last question to the source failed and none has succeeded since. */
  get sourceAway(): boolean {
    return this.#patience.tried
  }

  /**
   * @param load asks for this one key where the source cannot (a question that needs the credential itself)
   * @returns undefined when there is checked to be none
   * @throws PosternError `could_not_check`
   */
  find(key: string, load?: () => Promise<V | undefined>): MaybePromise<V | undefined> {
    const found = this.#known.find(key)
    if (found === undefined)
      return this.#ask(key, load ? () => this.#patience.ask(load) : () => this.#gathering.load(key))
    this.counts.memory++
    return found === 'absent' ? undefined : found
  }

  /** What there was when it was last looked up, be that too long ago to count. */
  recall(key: string): V | undefined {
    return this.#known.recall(key)
  }

  /**
   * What the source says from now on, whatever is known.
   * @throws PosternError `could_not_check`
   */
  async findAnew(key: string): Promise<V | undefined> {
    let older = this.#flights.get(key)
    while (older !== undefined) {
      await older.answer.catch(() => undefined)
      const next = this.#flights.get(key)
      // Another one for which memory does not do began after we were asked.
      older = next?.anew === true ? undefined : next
    }
    return this.#settle(
      key,
      () => this.#joinable(key) ?? this.#begin(key, () => this.#gathering.load(key), true),
    )
  }

  /** What is known of a key counts no longer, an answer that is under way included. It leaves nothing behind. */
  forgetKey(key: string): void {
    this.#known.forgetKey(key)
    const flight = this.#flights.get(key)
    if (flight === undefined) return
    flight.overtaken = true
    this.#flights.delete(key)
  }

  /** Whatever a change concerns counts no longer, answers that are under way included. */
  forget(concerns: Concerns<V>): void {
    this.#known.forget(concerns)
  }

  /** Anybody may have changed: nothing counts until it is confirmed anew, what is in use by the next batch. */
  doubt(): void {
    this.#known.forgetAll()
    this.inDoubt = true
  }

  /** Confirms everything in use with one question per chunk. A chunk that fails confirms nothing, nor does any after it. */
  async revalidate(): Promise<void> {
    const startedAt = this.#options.clock.monotonic()
    this.inDoubt = false
    const keys = this.#known.keysInUse()
    for (let from = 0; from < keys.length; from += CHUNK) await this.#confirm(keys.slice(from, from + CHUNK))
    // Nothing in use would show that the source is back.
    if (keys.length === 0 && this.sourceAway) {
      await this.#patience.ask(() => this.#options.source.load([''], new Map()))
    }
    this.batchAt = startedAt
  }

  async #confirm(keys: readonly string[]): Promise<void> {
    const known = new Map<string, V>()
    for (const key of keys) {
      const value = this.#known.recall(key)
      if (value !== undefined) known.set(key, value)
    }
    const work = this.#confirmAll(known)
    const batch = { known, done: work.catch(() => undefined) }
    this.#batch = batch
    try {
      await work
    } finally {
      if (this.#batch === batch) this.#batch = undefined
    }
  }

  async #confirmAll(known: ReadonlyMap<string, V>): Promise<void> {
    const asking = this.#known.asking()
    const answers = await this.#patience.ask(() => this.#options.source.load([...known.keys()], known))
    for (const [key, before] of known) this.#known.confirm(key, before, answers.get(key), asking)
  }

  async #ask(key: string, load: () => Promise<V | undefined>): Promise<V | undefined> {
    // Everybody asks at once for what a change put in doubt; the batch under way asks for all of them. And who asks anew
    // takes no old answer for an answer, which others may.
    const before = this.#batch?.known.has(key) === true ? this.#batch.done : this.#askingAnew(key)
    if (before !== undefined) {
      await before
      const found = this.#known.find(key)
      if (found !== undefined) return found === 'absent' ? undefined : found
    }
    return this.#settle(key, () => this.#joinable(key) ?? this.#begin(key, load))
  }

  /** Resolves when a question under way that wants the source's own word is over, however it ended. */
  #askingAnew(key: string): Promise<unknown> | undefined {
    const flight = this.#flights.get(key)
    return flight?.anew === true ? flight.answer.catch(() => undefined) : undefined
  }

  /** Asks until an answer comes that no change overtook, for as long as one question may take. */
  async #settle(key: string, fly: () => Flight<V>): Promise<V | undefined> {
    const { clock, deadline } = this.#options
    const since = clock.monotonic()
    for (;;) {
      const flight = fly()
      const answer = await flight.answer
      if (!this.#isOvertaken(flight, key, answer)) return answer
      if (clock.monotonic() - since >= deadline) {
        throw new PosternError(
          'could_not_check',
          `${this.name}: changed again and again while it was looked up`,
        )
      }
    }
  }

  /** The question under way for `key`, unless its answer is known to be too old already. */
  #joinable(key: string): Flight<V> | undefined {
    const flight = this.#flights.get(key)
    return flight === undefined || this.#isOvertaken(flight, key, undefined) ? undefined : flight
  }

  #isOvertaken({ asking, overtaken }: Flight<V>, key: string, answer: V | undefined): boolean {
    return overtaken || this.#known.isOvertaken(asking.asOf, key, answer)
  }

  #begin(key: string, load: () => Promise<V | undefined>, anew = false): Flight<V> {
    const asking = this.#known.asking()
    const flight: Flight<V> = { asking, answer: Promise.resolve(undefined), overtaken: false, anew }
    flight.answer = this.#answer(key, load, flight).finally(() => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key)
    })
    this.#flights.set(key, flight)
    return flight
  }

  async #answer(key: string, load: () => Promise<V | undefined>, flight: Flight<V>): Promise<V | undefined> {
    const { shared, freshFor, clock } = this.#options
    const { at } = flight.asking
    const generation = flight.anew ? undefined : shared?.generation()
    const elsewhere = generation === undefined ? undefined : await shared?.get(key, generation)
    if (elsewhere !== undefined && elsewhere.age < freshFor) {
      this.counts.shared++
      return this.#store(key, elsewhere.value, flight, at - elsewhere.age)
    }
    try {
      const value = await load()
      this.counts.source++
      if (value !== undefined && generation !== undefined && !this.#isOvertaken(flight, key, value))
        shared?.put(key, value, freshFor - (clock.monotonic() - at), generation)
      return this.#store(key, value, flight, at)
    } catch (error) {
      const known = flight.anew ? undefined : this.#known.findStale(key)
      if (known === undefined) throw error
      this.counts.stale++
      return known
    }
  }

  #store(key: string, value: V | undefined, flight: Flight<V>, at: number): V | undefined {
    return flight.overtaken ? value : this.#known.store(key, value, { at, asOf: flight.asking.asOf })
  }
}
