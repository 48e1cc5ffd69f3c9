import { redisAddress } from '../config/addresses.ts'
import type { Config } from '../config/schema.ts'
import { connectRedis, settled } from '../directory/redis.ts'
import type { Logger } from '../observe/log.ts'
import type { SharedStore } from '../profiles/profile.ts'

/** The Redis that replicas share, and whether it is there. */
export class SharedRedis {
  readonly #redis: ReturnType<typeof connectRedis>
  readonly store: SharedStore | undefined
  #away = false

  constructor(settings: NonNullable<Config['redis']>, secret: string | undefined, logger: Logger) {
    this.#redis = connectRedis(redisAddress(settings), 'postern', (state, error) => {
      if (state === 'away' && !this.#away)
        logger.warn({ cause: error?.message }, 'redis: the shared Redis is away')
      this.#away = state === 'away'
    })
    this.store =
      secret === undefined ? undefined : { redis: this.#redis, secret: Buffer.from(secret, 'utf8') }
  }

  get trouble(): string | undefined {
    return this.#away ? 'redis: the shared Redis is away' : undefined
  }

  settled(): Promise<void> {
    return settled(this.#redis)
  }

  close(): void {
    this.#redis.disconnect()
  }
}
