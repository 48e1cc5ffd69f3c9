import type { Source } from '../../src/directory/records.ts'
import { Lookup, type LookupOptions } from '../../src/directory/lookup.ts'
import { virtualClock, type VirtualClock } from '../support/clock.ts'

export interface Row {
  readonly word: string
}

/** A source that a test holds, breaks and changes. */
export class HeldSource implements Source<Row> {
  readonly rows = new Map<string, Row>()
  /** The keys of every question so far. */
  readonly questions: (readonly string[])[] = []
  broken: unknown
  #held: PromiseWithResolvers<void> | undefined

  /** Reads at once, as a database does, and answers when it is let go. */
  async load(keys: readonly string[]): Promise<ReadonlyMap<string, Row>> {
    this.questions.push(keys)
    const { broken } = this
    const found = new Map<string, Row>()
    for (const key of keys) {
      const row = this.rows.get(key)
      // A new object for every answer, as from a driver.
      if (row !== undefined) found.set(key, Object.freeze({ ...row }))
    }
    await this.#held?.promise
    if (broken !== undefined) throw broken
    return found
  }

  /** Holds what is asked from now on. */
  hold(): void {
    this.#held = Promise.withResolvers()
  }

  /** Holds no more, but what is held. @returns lets that go */
  keepHeld(): () => void {
    const held = this.#held
    this.#held = undefined
    return () => held?.resolve()
  }

  letGo(): void {
    this.#held?.resolve()
    this.#held = undefined
  }
}

export const FRESH = 3_000
export const STALE = 30_000

export interface Stage {
  readonly clock: VirtualClock
  readonly source: HeldSource
  readonly lookup: Lookup<Row>
  /** `lookup.find`, as a promise in any case. */
  readonly ask: (key: string, load?: () => Promise<Row>) => Promise<Row | undefined>
}

export function stage(options: Partial<LookupOptions<Row>> = {}): Stage {
  const clock = virtualClock()
  const source = new HeldSource()
  const lookup = new Lookup<Row>({
    name: 'row',
    source,
    clock,
    maxEntries: 10_000,
    maxNegative: 100,
    freshFor: FRESH,
    staleIfError: STALE,
    deadline: 1_000,
    ...options,
  })
  return { clock, source, lookup, ask: async (key, load) => lookup.find(key, load) }
}

/** Lets everything run that waits for promises alone. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
