import type { ScopeSet } from '../identity/scope.ts'

/** What a source knows of a user. Frozen; the same object for as long as nothing about the user changes. */
export interface UserRecord {
  readonly id: string
  readonly username: string
  readonly role: string | undefined
  readonly enabled: boolean
  readonly passwordHash: string | undefined
  /** What the user holds now; a credential may carry less. */
  readonly scopes: ScopeSet
}

/** What a name leads to. Two rows for one name are nobody: which of them is meant cannot be known. */
export type NamedUser = { readonly kind: 'user'; readonly user: UserRecord } | { readonly kind: 'ambiguous' }

export interface TokenRecord {
  readonly id: string
  readonly userId: string
  /** Lower-case hexadecimal SHA-256 of the whole token. */
  readonly digest: string
  readonly scopes: readonly string[]
  /** Milliseconds since the epoch. */
  readonly expiresAt: number | undefined
  readonly deviceId: string | undefined
}

/** A session as its store shows it. `username` is undefined while nobody has logged in on it. */
export interface SessionRecord {
  readonly id: string
  readonly username: string | undefined
  readonly deviceId: string | undefined
}

/** Look-ups by key, several at a time; a key without an entry in the answer has none. */
export interface Source<V extends object> {
  /**
   * @param known what is cached for some of the keys, from which a cheaper question may be made
   * @throws anything, when the question could not be answered
   */
  load(keys: readonly string[], known: ReadonlyMap<string, V>): Promise<ReadonlyMap<string, V>>
}
