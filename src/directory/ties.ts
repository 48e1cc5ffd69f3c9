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
}

/**
 * Ties credentials that name their user to the user that the name meant when they were first seen. Names change hands and passwords
 * are changed because somebody else knew them; a backend that goes by the name alone lets the old credential live on.
 */
export class Ties {
  readonly #options: TiesOptions
  readonly #held: LRUCache<string, Tie>

  constructor(options: TiesOptions) {
    this.#options = options
    this.#held = new LRUCache({ max: options.maxEntries })
  }

  /**
   * @param name that the credential bears: with another one it is another credential (a login over it)
   * @returns who it belongs to now, or undefined when it is cut
   * @throws PosternError `could_not_check`
   */
  belongs(key: string, name: string, user: UserRecord): MaybePromise<UserRecord | undefined> {
    const held = this.#held.get(key)
    if (held?.name !== name) return this.#firstSight(key, name)
    if (held.to === this.#options.tieOf(user)) return user
    this.#cut(key, name)
    return undefined
  }

  /** The user has gone, or may not sign in. One that was never seen alive is left alone: it may be younger than that answer. */
  end(key: string, name: string): void {
    if (this.#held.get(key)?.name === name) this.#cut(key, name)
  }

  /** Whether it was cut, for somebody who does not know what name it bears. */
  async isCut(key: string): Promise<boolean> {
    const tie = this.#held.get(key) ?? (await this.#options.store?.get(key).catch(() => undefined))
    return tie !== undefined && tie.to === undefined
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
    if (this.#held.get(key)?.name === name && this.#held.get(key)?.to === undefined) return
    const tie: Tie = { name, to: undefined }
    this.#held.set(key, tie)
    void this.#options.store?.put(key, tie).catch(() => undefined)
  }
}
