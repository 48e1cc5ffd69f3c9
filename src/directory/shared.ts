import type { Redis } from 'ioredis'
import type { Clock } from '../identity/clock.ts'
import { seal, unseal } from './seal.ts'

/** What another replica confirmed lately. */
export interface SharedTier<V extends object> {
  /**
   * Names what replicas asked since the newest change that any of them announced. An answer is put under the
   * generation in which its question began; undefined while it is not known whether others have announced one.
   */
  generation(): string | undefined
  /** @returns the value and how many milliseconds ago its question was asked; undefined when it has none, or is away */
  get(key: string, generation: string): Promise<{ readonly value: V; readonly age: number } | undefined>
  /** @param ttl milliseconds for which the value still counts */
  put(key: string, value: V, ttl: number, generation: string): void
}

export interface SharedTierOptions<V> {
  readonly redis: Redis
  readonly clock: Clock
  readonly generation: () => string | undefined
  /** Shared by the replicas; who lacks it can neither forge an entry nor pass one from another installation. */
  readonly secret: Buffer
  /** Bound to everything that an answer depends on: profile, upstream, schema. */
  readonly prefix: string
  /** Milliseconds: the longest time that an entry may count. */
  readonly freshFor: number
  /** The value of what another replica wrote, or undefined when it is none. */
  readonly parse: (json: unknown) => V | undefined
  readonly serialize: (value: V) => unknown
}

/**
 * Answers in Redis, for the other replicas. Each is signed over key, value and expiry: whoever can write to Redis
 * can delete entries, not make them, prolong them or move them to another key. How old an answer is follows from
 * the smaller of what Redis and the signed expiry leave of its life, so clocks that differ only shorten it; from a
 * replica that gives its answers another life it would not, so `freshFor` is signed too.
 */
export function createSharedTier<V extends object>(options: SharedTierOptions<V>): SharedTier<V> {
  const { redis, clock, freshFor } = options
  const nameOf = (key: string, generation: string): string => `${options.prefix}${generation}:${key}`
  const placeOf = (name: string): string => `${name} ${freshFor}`

  const read = (name: string, text: string, ttl: number): { value: V; age: number } | undefined => {
    const sealed = unseal(options.secret, placeOf(name), text)
    if (sealed === undefined) return undefined
    const space = sealed.indexOf(' ')
    const left = Math.min(ttl, Number(sealed.slice(0, space)) - clock.now())
    const value = options.parse(JSON.parse(sealed.slice(space + 1)))
    return value === undefined || !(left > 0) || left > freshFor ? undefined : { value, age: freshFor - left }
  }

  return {
    generation: options.generation,
    async get(key, generation) {
      const name = nameOf(key, generation)
      try {
        const answers = await redis.pipeline().get(name).pttl(name).exec()
        const text = answers?.[0]?.[1]
        const ttl = answers?.[1]?.[1]
        return typeof text === 'string' && typeof ttl === 'number' ? read(name, text, ttl) : undefined
      } catch {
        // Away or damaged: the source is asked instead.
        return undefined
      }
    },
    put(key, value, ttl, generation) {
      const life = Math.floor(ttl)
      if (life <= 0) return
      const name = nameOf(key, generation)
      const expiry = String(Math.floor(clock.now()) + life)
      const body = JSON.stringify(options.serialize(value))
      const text = seal(options.secret, placeOf(name), `${expiry} ${body}`)
      redis.set(name, text, 'PX', life).catch(() => undefined)
    },
  }
}
