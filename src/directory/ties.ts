import { LRUCache } from 'lru-cache'
import type { MaybePromise } from '../pipeline/outcome.ts'
import type { NamedUser, UserRecord } from './records.ts'

/** What a credential was tied to under the name that it bears; `cut` once that changed. */
export interface Tie {
  readonly name: string
  readonly to: string | undefined
}

/** Where replicas share ties. What it rejects with is taken for "away". */
export interface TieStore {
  get(key: string): Promise<Tie | undefined>
  /** Puts `tie` unless there is one already. @returns the one that is there */
  claim(key: string, tie: Tie): Promise<Tie>
  put(key: string, tie: Tie): Promise<void>
}

export interface TiesOptions {
  readonly maxEntries: number
  /** Of a user: what must stay the same for as long as the credential lives. */
  readonly tieOf: (user: UserRecord) => string
  /** Whom a name leads to now: the source is asked, whatever is known. */
  readonly anew: (name: string) => Promise<NamedUser | undefined>
  readonly store: TieStore | undefined
  /** One was cut here, and whoever shares the store can know it. */
  readonly onCut?: (key: string) => void
}

/**
 * Ties credentials that name their user to the user that the name meant when they were first seen. Names change hands and passwords
 * are changed because somebody else knew them; a backend that goes by the name alone lets the old credential live on.
 */
export class Ties {
  readonly #options: TiesOptions
  readonly #held: LRUCache<string, Tie>
  /** Ties that another replica may have cut. */
  readonly #doubted: LRUCache<string, object>

  constructor(options: TiesOptions) {
    this.#options = options
    this.#held = new LRUCache({ max: options.maxEntries })
    this.#doubted = new LRUCache({ max: options.maxEntries })
  }

  /**
   * @param name that the credential bears: with another one it is another credential (a login over it)
   * @returns who it belongs to now, or undefined when it is cut
   * @throws PosternError `could_not_check`
   */
  belongs(key: string, name: string, user: UserRecord): MaybePromise<UserRecord | undefined> {
    const held = this.#held.get(key)
    if (held?.name !== name) return this.#firstSight(key, name)
    if (this.#doubted.has(key)) return this.#lookAgain(key, name, user)
    return this.#compare(held, key, user)
  }

  /** The user has gone, or may not sign in. One that was never seen alive is left alone: it may be younger than that answer. */
  end(key: string, name: string): void {
    if (this.#held.get(key)?.name === name) this.#cut(key, name)
  }

  /** Another replica may have cut it: what is held counts only after a look at what they share. */
  doubt(key: string): void {
    if (this.#held.has(key)) this.#doubted.set(key, {})
  }

  /** Whether it was cut, here or by another replica, for somebody who does not know what name it bears. */
  async isCut(key: string): Promise<boolean> {
    if (isCut(this.#held.get(key))) return true
    return isCut(await this.#options.store?.get(key).catch(() => undefined))
  }

  #compare(held: Tie, key: string, user: UserRecord): UserRecord | undefined {
    if (held.to === this.#options.tieOf(user)) return user
    this.#cut(key, held.name)
    return undefined
  }

  async #lookAgain(key: string, name: string, user: UserRecord): Promise<UserRecord | undefined> {
    const doubt = this.#doubted.get(key)
    const theirs = await this.#options.store?.get(key).catch(() => undefined)
    // One that came meanwhile may be of something newer than what was read.
    if (this.#doubted.get(key) === doubt) this.#doubted.delete(key)
    const held = this.#held.get(key)
    if (held?.name !== name) return this.#firstSight(key, name)
    if (theirs?.name === name && isCut(theirs)) this.#held.set(key, theirs)
    return this.#compare(this.#held.get(key) ?? held, key, user)
  }

  /** What is known of the user may be older than the credential: it is tied to what the source says now. */
  async #firstSight(key: string, name: string): Promise<UserRecord | undefined> {
    const { tieOf, anew, store } = this.#options
    const named = await anew(name)
    if (named?.kind !== 'user' || !named.user.enabled) return undefined
    const mine: Tie = { name, to: tieOf(named.user) }
    const theirs = (await store?.claim(key, mine).catch(() => undefined)) ?? mine
    if (theirs.name !== name) void store?.put(key, mine).catch(() => undefined)
    const tie = theirs.name === name ? theirs : mine
    this.#held.set(key, tie)
    if (tie.to === mine.to) return named.user
    this.#cut(key, name)
    return undefined
  }

  #cut(key: string, name: string): void {
    const held = this.#held.get(key)
    if (held?.name === name && isCut(held)) return
    const tie: Tie = { name, to: undefined }
    this.#held.set(key, tie)
    void this.#tell(key, tie)
  }

  async #tell(key: string, tie: Tie): Promise<void> {
    const { store, onCut } = this.#options
    if (store === undefined) return
    await store.put(key, tie).catch(() => undefined)
    onCut?.(key)
  }
}

function isCut(tie: Tie | undefined): boolean {
  return tie !== undefined && tie.to === undefined
}
