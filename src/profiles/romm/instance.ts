import type { Clock } from '../../identity/clock.ts'
import type { AskUpstream } from '../profile.ts'
import { askAnonymously, askHeartbeat } from './ask.ts'
import type { InstanceState } from './ask.ts'
import { behaviourOf } from './version.ts'
import type { RommBehaviour } from './version.ts'

/** Milliseconds between two looks at the instance. */
const INTERVAL = 60_000

export interface InstanceOptions {
  readonly ask: AskUpstream
  readonly clock: Clock
  /** The operator's word on the version, if there is one. */
  readonly version: string | undefined
  readonly firstRun: 'closed' | 'open'
  readonly onChange: () => void
}

/** What is known of the running RomM: its version, what it says to strangers, whether it awaits its first admin. */
export class Instance {
  readonly #options: InstanceOptions
  #version: string | undefined
  #state: InstanceState | undefined
  #behaviour: RommBehaviour
  /** Never true again once it was false: nobody takes the last admin away and means that strangers may come in. */
  #awaitsFirstAdmin: boolean | undefined
  #cancel: (() => void) | undefined

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

  noteVersion(version: string | undefined): void {
    if (this.#options.version !== undefined || version === undefined || version === this.#version) return
    this.#version = version
    this.#behaviour = behaviourOf(version)
    this.#options.onChange()
  }

  /** Looks now and every minute. */
  async start(): Promise<void> {
    await this.look()
    this.#cancel = this.#options.clock.after(INTERVAL, () => void this.start())
  }

  stop(): void {
    this.#cancel?.()
  }

  /** What cannot be asked now stays as it was known. */
  async look(): Promise<void> {
    const [state, heartbeat] = await Promise.allSettled([
      askAnonymously(this.#options.ask),
      askHeartbeat(this.#options.ask),
    ])
    if (state.status === 'fulfilled') this.#state = state.value
    if (heartbeat.status === 'rejected') return
    const wasOpen = this.firstRunOpen
    this.#awaitsFirstAdmin = heartbeat.value.awaitsFirstAdmin && this.#awaitsFirstAdmin !== false
    this.noteVersion(heartbeat.value.version)
    if (wasOpen !== this.firstRunOpen) this.#options.onChange()
  }
}
