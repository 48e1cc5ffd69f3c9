import { LRUCache } from 'lru-cache'
import { RateLimiterCompatibleAbstract, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import type { Clock } from '../identity/clock.ts'

/** How often something happened so far, and how long its window still lasts. */
export type Count = Pick<RateLimiterRes, 'consumedPoints' | 'msBeforeNext'>

/** How often something happened, by key, within a window that begins with its first time. It never refuses. */
export interface Counts {
  penalty(key: string): Promise<Count>
  reward(key: string): Promise<unknown>
  get(key: string): Promise<Count | null>
  set(key: string, points: number, seconds: number): Promise<unknown>
}

export interface CountsOptions {
  /** Tells its keys from others in one Redis. */
  readonly name: string
  /** Milliseconds; Redis is told whole seconds. */
  readonly window: number
  readonly clock: Clock
  /** The Redis that replicas share; while it is away each of them counts by itself. */
  readonly redis: object | undefined
}

export function createCounts({ name, window, clock, redis }: CountsOptions): Counts {
  const memory = new CountsInMemory(window, clock)
  if (redis === undefined) return memory
  return new RateLimiterRedis({
    storeClient: redis,
    keyPrefix: `postern:${name}`,
    // Whoever counts compares for itself: what is too much depends on who it is.
    points: 1,
    duration: Math.max(1, Math.round(window / 1_000)),
    insuranceLimiter: memory,
  })
}

/** Keys kept; the one unused longest gives way. Attackers make keys up, and each of the library's own holds a timer. */
const MOST_KEYS = 50_000

interface Entry {
  points: number
  /** Monotonic milliseconds. */
  readonly until: number
}

class CountsInMemory extends RateLimiterCompatibleAbstract implements Counts {
  override readonly keyPrefix = ''
  override blockDuration = 0
  override execEvenly = false
  readonly #window: number
  readonly #clock: Clock
  readonly #counts = new LRUCache<string, Entry>({ max: MOST_KEYS })

  constructor(window: number, clock: Clock) {
    super()
    this.#window = window
    this.#clock = clock
  }

  override async penalty(key: string, points = 1): Promise<RateLimiterRes> {
    const count = this.#live(key) ?? this.#begin(key, this.#window)
    count.points += points
    return this.#told(count)
  }

  override reward(key: string, points = 1): Promise<RateLimiterRes> {
    return this.penalty(key, -points)
  }

  override async get(key: string): Promise<RateLimiterRes | null> {
    const count = this.#live(key)
    return count === undefined ? null : this.#told(count)
  }

  override async set(key: string, points: number, seconds: number): Promise<RateLimiterRes> {
    const count = this.#begin(key, seconds * 1_000)
    count.points = points
    return this.#told(count)
  }

  #live(key: string): Entry | undefined {
    const count = this.#counts.get(key)
    return count !== undefined && count.until > this.#clock.monotonic() ? count : undefined
  }

  #begin(key: string, window: number): Entry {
    const count = { points: 0, until: this.#clock.monotonic() + window }
    this.#counts.set(key, count)
    return count
  }

  #told({ points, until }: Entry): RateLimiterRes {
    return new RateLimiterRes(0, until - this.#clock.monotonic(), points)
  }
}
