import type { Redis } from 'ioredis'
import { keyOf, LONGEST_BLOCK, parseMark } from './mark.ts'
import type { Mark } from './mark.ts'
import { seal, unseal } from './seal.ts'

export interface SharedMarksOptions {
  readonly redis: Redis
  readonly secret: Buffer
  /** Name of the hash; bound to the installation. */
  readonly name: string
}

/** Where marks are kept for replicas that were not there. */
export type MarkStore = Pick<SharedMarks, 'load' | 'keep' | 'drop'>

/** Marks in Redis, for replicas that were not there. Whoever can write there can delete one; nobody else can make one, or move it. */
export class SharedMarks {
  readonly #redis: Redis
  readonly #secret: Buffer
  readonly #name: string

  constructor({ redis, secret, name }: SharedMarksOptions) {
    this.#redis = redis
    this.#secret = secret
    this.#name = name
  }

  /** @throws anything, when Redis is away */
  async load(): Promise<readonly Mark[]> {
    const entries = Object.entries(await this.#redis.hgetall(this.#name))
    return entries.flatMap(([key, text]) => {
      const body = unseal(this.#secret, this.#placeOf(key), text)
      return (body === undefined ? undefined : parseMark(JSON.parse(body))) ?? []
    })
  }

  /**
   * Each time for as long as any may last: whoever writes one may not know of all the others.
   * @throws anything, when Redis is away
   */
  async keep(marks: readonly Mark[]): Promise<void> {
    const fields = marks.flatMap((mark) => {
      const key = keyOf(mark)
      return [key, seal(this.#secret, this.#placeOf(key), JSON.stringify(mark))]
    })
    if (fields.length === 0) return
    const answers = await this.#redis
      .pipeline()
      .hset(this.#name, ...fields)
      .pexpire(this.#name, LONGEST_BLOCK)
      .exec()
    for (const [error] of answers ?? []) if (error !== null) throw error
  }

  /** Of those that are over. */
  async drop(keys: readonly string[]): Promise<void> {
    if (keys.length > 0) await this.#redis.hdel(this.#name, ...keys)
  }

  #placeOf(key: string): string {
    return `${this.#name} ${key}`
  }
}
