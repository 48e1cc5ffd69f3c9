import type { Change } from '../directory/change.ts'
import type { Clock } from '../identity/clock.ts'
import { chain } from '../pipeline/maybe.ts'
import type { MaybePromise } from '../pipeline/outcome.ts'
import type { Permit } from '../pipeline/permit.ts'
import type { Profile } from '../profiles/profile.ts'
import type { ResponseObserver } from '../upstream/observer.ts'
import { Together } from './together.ts'

export interface ChangesOptions {
  readonly clock: Clock
  readonly profile: () => Pick<Profile, 'watch' | 'forget' | 'doubt'>
  /** Tells the other replicas; resolves when they have taken it in. */
  readonly announce: (changes: readonly Change[]) => MaybePromise<void>
  /** Something that was known counts no longer: what is in use is to be confirmed, sockets to be looked at. */
  readonly onForgotten: () => void
}

/** Milliseconds after which a request that others send on should have done what it does. */
const SENT_ON = 1_000

/**
 * Milliseconds within which failures that strangers caused make one change. What is looked up is confirmed more often anyway; what
 * the backend is asked about lives about as long, and is not asked about again and again on a stranger's behalf.
 */
const OF_STRANGERS = 30_000

/**
 * Milliseconds within which changes of nobody knows whom make one. Each puts everybody in doubt, questions under way included: whoever made
 * them one after the other would keep all others from being looked up.
 */
export const OF_NOBODY_KNOWS_WHOM = 20

/** Where changes come together: from requests that pass, from other replicas, from the backend itself. */
export class Changes implements ResponseObserver {
  readonly #options: ChangesOptions
  readonly #watched = new WeakMap<Permit, (ended: number | 'lost') => readonly Change[]>()
  readonly #expected = new Set<() => void>()
  readonly #broad: Together
  readonly #strangers: Together

  constructor(options: ChangesOptions) {
    this.#options = options
    const { clock } = options
    this.#broad = new Together({
      clock,
      within: OF_NOBODY_KNOWS_WHOM,
      tell: (changes) => this.#tell(changes),
    })
    this.#strangers = new Together({ clock, within: OF_STRANGERS, tell: (changes) => this.note(changes) })
  }

  before(permit: Permit): 'identity_change' | undefined {
    const watch = this.#options.profile().watch(permit)
    if (watch === undefined) return undefined
    this.#watched.set(permit, watch)
    return 'identity_change'
  }

  /** Everybody refuses before its client learns of it. */
  respond(permit: Permit, status: number | 'lost'): MaybePromise<void> {
    return this.#ended(permit, this.#watched.get(permit)?.(status) ?? [], status)
  }

  /** A permitted request that others send on, whose answer is not seen: what it may change counts as changed at once, and again. */
  expect(permit: Permit): void {
    const { profile, clock } = this.#options
    const [first, second] = [profile().watch(permit), profile().watch(permit)]
    if (first === undefined || second === undefined) return
    void this.#ended(permit, first('lost'), 'lost')
    const cancel = clock.after(SENT_ON, () => {
      this.#expected.delete(cancel)
      void this.#ended(permit, second('lost'), 'lost')
    })
    this.#expected.add(cancel)
  }

  #ended(permit: Permit, changes: readonly Change[], status: number | 'lost'): MaybePromise<void> {
    const failed = status === 'lost' || status >= 500
    // Strangers can make a backend fail as often as they like, and would keep every cache empty.
    if (!failed || permit.principal !== undefined) return this.note(changes)
    void this.#strangers.tell(changes.filter((change) => !isOfOne(change)))
    return this.note(changes.filter(isOfOne))
  }

  /** @returns once every live replica has taken them in, or was waited for long enough */
  note(changes: readonly Change[]): MaybePromise<void> {
    const narrow = this.#tell(changes.filter(isOfOne))
    const broad = this.#broad.tell(changes.filter((change) => !isOfOne(change)))
    return narrow === undefined ? broad : chain(broad, () => narrow)
  }

  /** Takes in what another replica noted. */
  take(changes: readonly Change[]): void {
    this.#options.profile().forget(changes)
    this.#options.onForgotten()
  }

  /** Takes in that changes may have been missed. */
  doubt(): void {
    this.#options.profile().doubt()
    this.#options.onForgotten()
  }

  stop(): void {
    for (const cancel of this.#expected) cancel()
    for (const waiting of [this.#strangers, this.#broad]) waiting.flush()
  }

  #tell(changes: readonly Change[]): MaybePromise<void> {
    if (changes.length === 0) return undefined
    this.take(changes)
    return this.#options.announce(changes)
  }
}

function isOfOne({ kind }: Change): boolean {
  return kind === 'user' || kind === 'token' || kind === 'session'
}
