import type { Count, Counts } from '../authenticators/counts.ts'
import type { Channel } from '../directory/channel.ts'
import type { Mark } from '../directory/mark.ts'
import type { MarkStore } from '../directory/shared-marks.ts'
import type { Tie, TieStore } from '../directory/ties.ts'

/** The other workers of one `serve`, for one of them: replicas to each other, with one place to keep what all must know. */
export interface Siblings {
  /** Known to all of them and to nobody else. */
  readonly secret: Buffer
  /** A new end of the wire between them. */
  channel(): Channel
  readonly keeper: Remote<Keeper>
}

/** As another process offers it. */
export type Remote<T> = {
  readonly [Name in keyof T]: T[Name] extends (...args: infer Args) => infer Answer
    ? (...args: Args) => Promise<Awaited<Answer>>
    : never
}

/** Counts of one kind. */
export interface Counter {
  readonly name: string
  /** Milliseconds. */
  readonly window: number
}

/** What is kept in one place for all workers, where replicas would keep it in Redis. */
export interface Keeper {
  getTie(key: string): Tie | undefined
  claimTie(key: string, tie: Tie): Tie
  putTie(key: string, tie: Tie): void
  loadMarks(): readonly Mark[]
  keepMarks(marks: readonly Mark[]): void
  dropMarks(keys: readonly string[]): void
  penalty(counter: Counter, key: string): Promise<Count>
  reward(counter: Counter, key: string): Promise<void>
  getCount(counter: Counter, key: string): Promise<Count | null>
  setCount(counter: Counter, key: string, points: number, seconds: number): Promise<void>
}

/** @param prefix tells its keys from others */
export function keptTies(keeper: Remote<Keeper>, prefix: string): TieStore {
  return {
    get: (key) => keeper.getTie(prefix + key),
    claim: (key, tie) => keeper.claimTie(prefix + key, tie),
    put: (key, tie) => keeper.putTie(prefix + key, tie),
  }
}

export function keptMarks(keeper: Remote<Keeper>): MarkStore {
  return {
    load: () => keeper.loadMarks(),
    keep: (marks) => keeper.keepMarks(marks),
    drop: (keys) => keeper.dropMarks(keys),
  }
}

export function keptCounts(keeper: Remote<Keeper>, counter: Counter): Counts {
  return {
    penalty: (key) => keeper.penalty(counter, key),
    reward: (key) => keeper.reward(counter, key),
    get: (key) => keeper.getCount(counter, key),
    set: (key, points, seconds) => keeper.setCount(counter, key, points, seconds),
  }
}
