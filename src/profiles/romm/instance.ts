import { PosternError } from '../../errors.ts'
import type { Clock } from '../../identity/clock.ts'
import type { AskUpstream } from '../profile.ts'
import { askAnonymously, askHeartbeat } from './ask.ts'
import type { Heartbeat, InstanceState } from './ask.ts'
import { proveSecret } from './secret.ts'
import type { SecretProof } from './secret.ts'
import { behaviourOf } from './version.ts'
import type { RommBehaviour } from './version.ts'

/** Milliseconds between two looks at the instance. */
const INTERVAL = 60_000
/** For this long what a look proved of the secret is believed; RomM may come back with another one. */
const PROOF_LASTS = 2_000

export interface InstanceOptions {
  readonly ask: AskUpstream
  readonly clock: Clock
  /** The operator's word on the version, if there is one. */
  readonly version: string | undefined
  readonly secret: string | undefined
  readonly firstRun: 'closed' | 'open'
  /** Other routes are public than before. */
  readonly onRules: () => void
  /** Users may do other things than before. */
  readonly onScopes: () => void
}

/** What is known of the running RomM: its version, what it says to strangers, its secret, whether it awaits its first admin. */
export class Instance {
  readonly #options: InstanceOptions
  #version: string | undefined
  #state: InstanceState | undefined
  #behaviour: RommBehaviour
  #proof: SecretProof | undefined
  #provenAt = Number.NEGATIVE_INFINITY
  #everRight = false
  /** Never true again once it was false: nobody takes the last admin away and means that strangers may come in. */
  #awaitsFirstAdmin: boolean | undefined
  #looking: Promise<void> | undefined
  #cancel: (() => void) | undefined
  #stopped = false

  constructor(options: InstanceOptions) {
    this.#options = options
    this.#behaviour = behaviourOf(options.version)
  }

  get behaviour(): RommBehaviour {
    return this.#behaviour
  }

  /** Undefined while it could not be asked. */
  get state(): InstanceState | undefined {
    return this.#state
  }

  get firstRunOpen(): boolean {
    return this.#options.firstRun === 'open' && this.#awaitsFirstAdmin === true
  }

  /** `changed`: it was right since this process began, so RomM has another one now. */
  get secret(): SecretProof | 'changed' | undefined {
    return this.#proof === 'wrong' && this.#everRight ? 'changed' : this.#proof
  }

  noteVersion(version: string | undefined): void {
    if (this.#options.version !== undefined || version === undefined || version === this.#version) return
    this.#version = version
    const { kioskCaps } = this.#behaviour
    this.#behaviour = behaviourOf(version)
    if (this.#behaviour.kioskCaps !== kioskCaps) this.#options.onScopes()
  }

  /** Looks now and every minute. */
  async start(): Promise<void> {
    await this.look()
    if (!this.#stopped) this.#cancel = this.#options.clock.after(INTERVAL, () => void this.start())
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }

  /** What cannot be asked now stays as it was known. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  /** A look that begins now: one that is under way may have begun before what is to be seen. */
  async lookAnew(): Promise<void> {
    await this.#looking
    await this.look()
  }

  /**
   * Makes sure that a signature which does not verify is the token's fault and not the key's.
   * @throws PosternError `could_not_check` when the secret is not RomM's, or RomM cannot say
   */
  async confirmSecret(): Promise<void> {
    const { clock } = this.#options
    if (clock.monotonic() - this.#provenAt >= PROOF_LASTS) await this.look()
    const isRecent = clock.monotonic() - this.#provenAt < PROOF_LASTS
    if (!isRecent || this.#proof !== 'right')
      throw new PosternError('could_not_check', "the secret is not proven to be RomM's")
  }

  async #look(): Promise<void> {
    const { ask, clock } = this.#options
    const askedAt = clock.monotonic()
    const [state, heartbeat] = await Promise.allSettled([askAnonymously(ask), askHeartbeat(ask)])
    if (state.status === 'fulfilled') this.#state = state.value
    if (heartbeat.status === 'fulfilled') this.#noteHeartbeat(heartbeat.value, askedAt)
  }

  #noteHeartbeat(heartbeat: Heartbeat, askedAt: number): void {
    const { secret, onRules } = this.#options
    if (secret !== undefined) {
      this.#proof = proveSecret(secret, heartbeat.setCookies)
      this.#provenAt = askedAt
      this.#everRight ||= this.#proof === 'right'
    }
    const wasOpen = this.firstRunOpen
    this.#awaitsFirstAdmin = heartbeat.awaitsFirstAdmin && this.#awaitsFirstAdmin !== false
    this.noteVersion(heartbeat.version)
    if (wasOpen !== this.firstRunOpen) onRules()
  }
}
