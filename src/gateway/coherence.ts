import type { RingSummary } from '../assertion/keys.ts'
import type { Config } from '../config/schema.ts'
import type { Blocks } from '../directory/blocks.ts'
import type { Change } from '../directory/change.ts'
import { startRevalidation } from '../directory/revalidation.ts'
import type { Revalidation } from '../directory/revalidation.ts'
import type { Clock } from '../identity/clock.ts'
import type { Logger } from '../observe/log.ts'
import type { Profile } from '../profiles/profile.ts'
import { Blocking } from './blocking.ts'
import { Changes } from './changes.ts'
import { KeyAgreement } from './keys.ts'
import { SharedRedis } from './shared.ts'

export interface CoherenceOptions {
  readonly config: Config
  readonly clock: Clock
  readonly logger: Logger
  readonly profile: () => Profile
  readonly blocks: Blocks
}

/** Milliseconds within which changes make one look at the sockets: there may be many of both. */
const LOOKED_AT_TOGETHER = 50

/** What keeps everything known true: batches, changes that pass through here, and what the other replicas tell. */
export class Coherence {
  readonly #options: CoherenceOptions
  readonly changes: Changes
  readonly shared: SharedRedis | undefined
  readonly blocking: Blocking
  #agreement: KeyAgreement | undefined
  #batches: Revalidation | undefined
  #look: () => void = () => undefined
  #cancelLook: (() => void) | undefined

  constructor(options: CoherenceOptions) {
    this.#options = options
    const { config, clock, profile, blocks } = options
    this.blocking = new Blocking({
      ...{ blocks, clock },
      shared: () => this.shared,
      onBlocked: () => this.#look(),
    })
    this.changes = new Changes({
      clock,
      profile,
      announce: (changes) => this.shared?.replicas?.announce(changes),
      onForgotten: () => {
        this.#batches?.hurry()
        this.#lookSoon()
      },
    })
    this.shared =
      config.redis &&
      new SharedRedis(config.redis, {
        ...options,
        onChange: (changes: readonly Change[]) => this.changes.take(changes),
        onMarks: (marks) => this.blocking.take(marks),
        onGap: () => {
          this.changes.doubt()
          this.blocking.readAgain()
        },
        about: () => this.#agreement?.about(),
      })
  }

  /** The replicas sign with the same keys, or are not ready. */
  agreeOn(ring: RingSummary | undefined): void {
    this.#agreement = ring && new KeyAgreement(ring)
  }

  /** @param look at what rides on what is known, whenever some of it may count no longer */
  start(look: () => void): void {
    const { config, clock, logger, profile } = this.#options
    this.#look = look
    this.#batches = startRevalidation(profile().lookups, {
      clock,
      interval: config.cache.revalidate,
      random: Math.random,
      onDone: look,
      onFailure: (name, error) => logger.debug({ name, cause: String(error) }, 'a batch came to nothing'),
    })
  }

  /** For which this replica must not serve. */
  get disagreement(): string | undefined {
    if (this.blocking.isBehind && this.shared?.isAway === false)
      return 'redis: who is blocked has not been read yet'
    return this.#agreement?.trouble(this.shared?.replicas?.live ?? [])
  }

  #lookSoon(): void {
    this.#cancelLook ??= this.#options.clock.after(LOOKED_AT_TOGETHER, () => {
      this.#cancelLook = undefined
      this.#look()
    })
  }

  stop(): void {
    this.#cancelLook?.()
    this.changes.stop()
    this.blocking.stop()
    this.#batches?.stop()
  }

  async close(): Promise<void> {
    await this.shared?.close()
  }
}
