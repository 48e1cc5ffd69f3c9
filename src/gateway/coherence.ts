import { randomUUID } from 'node:crypto'
import type { RingSummary } from '../assertion/keys.ts'
import type { Config } from '../config/schema.ts'
import type { Blocks } from '../directory/blocks.ts'
import type { Change } from '../directory/change.ts'
import { digestOf } from '../directory/digest.ts'
import type { Mark } from '../directory/mark.ts'
import { Replicas } from '../directory/replicas.ts'
import { startRevalidation } from '../directory/revalidation.ts'
import type { Revalidation } from '../directory/revalidation.ts'
import type { MarkStore } from '../directory/shared-marks.ts'
import type { Clock } from '../identity/clock.ts'
import type { Logger } from '../observe/log.ts'
import type { Profile } from '../profiles/profile.ts'
import { Blocking } from './blocking.ts'
import { Changes } from './changes.ts'
import { KeyAgreement } from './keys.ts'
import { SharedRedis } from './shared.ts'
import type { SharedOptions } from './shared.ts'
import { keptMarks } from './siblings.ts'
import type { Siblings } from './siblings.ts'

export interface CoherenceOptions {
  readonly config: Config
  readonly clock: Clock
  readonly logger: Logger
  readonly profile: () => Profile
  readonly blocks: Blocks
  readonly siblings?: Siblings | undefined
}

/** Milliseconds within which changes make one look at the sockets: there may be many of both. */
const LOOKED_AT_TOGETHER = 50

/** What keeps everything known true: batches, changes that pass through here, and what the other replicas tell. */
export class Coherence {
  readonly #options: CoherenceOptions
  readonly changes: Changes
  readonly shared: SharedRedis | undefined
  readonly blocking: Blocking
  /** Undefined where there are no others, or nothing proves who is one of them. */
  readonly replicas: Replicas | undefined
  /** What was marked, for those of them that were not there. */
  readonly #marks: MarkStore | undefined
  #agreement: KeyAgreement | undefined
  #batches: Revalidation | undefined
  #look: () => void = () => undefined
  #cancelLook: (() => void) | undefined

  constructor(options: CoherenceOptions) {
    this.#options = options
    const { config, clock, profile, blocks, siblings } = options
    this.blocking = new Blocking({
      ...{ blocks, clock },
      replicas: () => this.replicas,
      marks: () => this.#marks,
      onBlocked: () => this.#look(),
    })
    this.changes = new Changes({
      clock,
      profile,
      announce: (changes) => this.replicas?.announce(changes),
      onForgotten: () => {
        this.#batches?.hurry()
        this.#lookSoon()
      },
    })
    const hearing = {
      ...options,
      onChange: (changes: readonly Change[]) => this.changes.take(changes),
      onMarks: (marks: readonly Mark[]) => this.blocking.take(marks),
      onGap: () => {
        this.changes.doubt()
        this.blocking.readAgain()
      },
      about: () => this.#agreement?.about(),
    }
    this.shared = config.redis && new SharedRedis(config.redis, hearing)
    this.replicas = this.shared?.replicas ?? (siblings && replicasAmong(siblings, hearing))
    this.#marks = this.shared?.marks ?? (siblings && keptMarks(siblings.keeper))
  }

  get trouble(): string | undefined {
    if (this.shared?.trouble !== undefined) return this.shared.trouble
    return this.replicas?.joined === false ? 'the other replicas are not heard' : undefined
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
    return this.#agreement?.trouble(this.replicas?.live ?? [])
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
    await this.replicas?.close()
    this.shared?.close()
  }
}

/** The same among processes that need no Redis to reach each other. */
function replicasAmong(siblings: Siblings, hearing: SharedOptions): Replicas {
  const { config } = hearing
  return new Replicas({
    ...hearing,
    channel: siblings.channel(),
    newId: randomUUID,
    secret: siblings.secret,
    place: digestOf(config.profile, config.upstream.url),
    revokeWait: config.cache.revokeWait,
  })
}
