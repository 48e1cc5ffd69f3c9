import { LRUCache } from 'lru-cache'
import { createCounts } from '../authenticators/counts.ts'
import type { Count, Counts } from '../authenticators/counts.ts'
import { keyOf } from '../directory/mark.ts'
import type { Mark } from '../directory/mark.ts'
import type { Tie } from '../directory/ties.ts'
import type { Clock } from '../identity/clock.ts'
import type { Counter, Keeper } from './siblings.ts'

/** In memory: it lives as long as the process that the workers belong to, and outlives each of them. */
export class KeeperInMemory implements Keeper {
  readonly #clock: Clock
  readonly #ties: LRUCache<string, Tie>
  readonly #marks = new Map<string, Mark>()
  /** By name and window: another configuration counts anew. */
  readonly #counts = new Map<string, Counts>()

  constructor(clock: Clock, maxEntries: number) {
    this.#clock = clock
    this.#ties = new LRUCache({ max: maxEntries })
  }

  getTie(key: string): Tie | undefined {
    return this.#ties.get(key)
  }

  claimTie(key: string, tie: Tie): Tie {
    const there = this.#ties.get(key)
    if (there === undefined) this.#ties.set(key, tie)
    return there ?? tie
  }

  putTie(key: string, tie: Tie): void {
    this.#ties.set(key, tie)
  }

  loadMarks(): readonly Mark[] {
    return [...this.#marks.values()]
  }

  keepMarks(marks: readonly Mark[]): void {
    for (const mark of marks) this.#marks.set(keyOf(mark), mark)
  }

  dropMarks(keys: readonly string[]): void {
    for (const key of keys) this.#marks.delete(key)
  }

  async penalty(counter: Counter, key: string): Promise<Count> {
    return plain(await this.#countsOf(counter).penalty(key))
  }

  async reward(counter: Counter, key: string): Promise<void> {
    await this.#countsOf(counter).reward(key)
  }

  async getCount(counter: Counter, key: string): Promise<Count | null> {
    const count = await this.#countsOf(counter).get(key)
    return count && plain(count)
  }

  async setCount(counter: Counter, key: string, points: number, seconds: number): Promise<void> {
    await this.#countsOf(counter).set(key, points, seconds)
  }

  #countsOf({ name, window }: Counter): Counts {
    const id = `${name} ${window}`
    const known = this.#counts.get(id)
    if (known !== undefined) return known
    const counts = createCounts({ name, window, clock: this.#clock, redis: undefined })
    this.#counts.set(id, counts)
    return counts
  }
}

/** As it can be told to another process. */
function plain({ consumedPoints, msBeforeNext }: Count): Count {
  return { consumedPoints, msBeforeNext }
}
