import type { Redis } from 'ioredis'
import { seal, unseal } from './seal.ts'
import type { Tie, TieStore } from './ties.ts'

export interface SharedTiesOptions {
  readonly redis: Redis
  readonly secret: Buffer
  /** Bound to the backend that the credentials are for. */
  readonly prefix: string
  /** Milliseconds that one is kept after it was last claimed; as long as such a credential may live idle. */
  readonly lifetime: number
}

/** Ties in Redis. Whoever can write there can delete one; nobody else can make one. */
export function createSharedTies({ redis, secret, prefix, lifetime }: SharedTiesOptions): TieStore {
  const nameOf = (key: string): string => `${prefix}${key}`
  const write = (name: string, { name: bears, to }: Tie): string =>
    seal(secret, name, JSON.stringify([bears, to ?? null]))
  const read = (name: string, text: unknown): Tie | undefined => {
    const body = typeof text === 'string' ? unseal(secret, name, text) : undefined
    return body === undefined ? undefined : tieOf(JSON.parse(body))
  }
  return {
    async get(key) {
      const name = nameOf(key)
      return read(name, await redis.get(name))
    },
    async claim(key, tie) {
      const name = nameOf(key)
      const answers = await redis
        .pipeline()
        .set(name, write(name, tie), 'PX', lifetime, 'NX')
        .pexpire(name, lifetime)
        .get(name)
        .exec()
      return read(name, answers?.[2]?.[1]) ?? tie
    },
    async put(key, tie) {
      const name = nameOf(key)
      await redis.set(name, write(name, tie), 'PX', lifetime)
    },
  }
}

function tieOf(json: unknown): Tie | undefined {
  const parts: readonly unknown[] = Array.isArray(json) ? json : []
  const [name, to] = parts
  return typeof name === 'string' ? { name, to: typeof to === 'string' ? to : undefined } : undefined
}
