import { randomUUID } from 'node:crypto'
import { redisAddress } from '../config/addresses.ts'
import type { Config } from '../config/schema.ts'
import { redisChannel } from '../directory/channel.ts'
import { digestOf } from '../directory/digest.ts'
import { connectRedis, settled } from '../directory/redis.ts'
import { Replicas } from '../directory/replicas.ts'
import type { ReplicasOptions } from '../directory/replicas.ts'
import { SharedMarks } from '../directory/shared-marks.ts'
import type { Logger } from '../observe/log.ts'
import type { SharedStore } from '../profiles/profile.ts'

export interface SharedOptions extends Pick<
  ReplicasOptions,
  'clock' | 'onChange' | 'onMarks' | 'onGap' | 'about'
> {
  readonly config: Config
  readonly logger: Logger
}

/** The Redis that replicas share, the replicas themselves, and whether it is there. */
export class SharedRedis {
  readonly #redis: ReturnType<typeof connectRedis>
  /** The installation, to tell what is its own in a Redis that others use too. */
  readonly #place: string
  /** Undefined where nothing proves who is one of them. */
  readonly replicas: Replicas | undefined
  readonly store: SharedStore | undefined
  /** What was marked, for replicas that were not there. */
  readonly marks: SharedMarks | undefined
  #away = false

  constructor(settings: NonNullable<Config['redis']>, options: SharedOptions) {
    const { config, logger } = options
    const address = redisAddress(settings)
    const place = (this.#place = digestOf(config.profile, config.upstream.url).slice(0, 16))
    const redis = (this.#redis = connectRedis(address, 'postern', (state, error) => {
      if (state === 'away' && !this.#away)
        logger.warn({ cause: error?.message }, 'redis: the shared Redis is away')
      this.#away = state === 'away'
    }))
    if (config.cache.secret === undefined) return
    const secret = Buffer.from(config.cache.secret, 'utf8')
    const channel = `postern:replicas:${place}`
    const replicas = (this.replicas = new Replicas({
      ...options,
      channel: redisChannel(channel, redis, address),
      newId: randomUUID,
      secret,
      place: channel,
      revokeWait: config.cache.revokeWait,
    }))
    this.marks = new SharedMarks({ redis, secret, name: `postern:marks:${place}` })
    this.store = { redis, secret, generation: () => replicas.generation }
  }

  /** What counts attempts needs no secret: what is kept there lets nobody in. */
  get attempts(): {
    readonly redis: object
    readonly secret: Buffer | undefined
    readonly place: string
  } {
    return { redis: this.#redis, secret: this.store?.secret, place: this.#place }
  }

  get isAway(): boolean {
    return this.#away
  }

  get trouble(): string | undefined {
    if (this.#away) return 'redis: the shared Redis is away'
    return this.replicas?.joined === false ? 'redis: the other replicas are not heard' : undefined
  }

  settled(): Promise<void> {
    return settled(this.#redis)
  }

  /** After its replicas, who take their leave through it. */
  close(): void {
    this.#redis.disconnect()
  }
}
