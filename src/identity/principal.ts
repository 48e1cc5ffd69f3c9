import type { Mode } from './credential.ts'
import type { ScopeSet } from './scope.ts'

/**
 * What a credential may do here.
 * - `known`: exactly these scopes.
 * - `deferred`: it is good, but which scopes it carries only the backend knows. It satisfies a scope only on
 *   routes where the backend is known to check for itself, and never one outside `within` (when that is known).
 */
export type Grant =
  | { readonly kind: 'known'; readonly scopes: ScopeSet }
  | { readonly kind: 'deferred'; readonly within?: ScopeSet }

/** Whose credential it is. */
export interface Owner {
  /** The backend's own id of the user, as text: stable over renames. */
  readonly subject: string
  readonly username: string
  readonly role: string | undefined
}

/** The authenticated party. Frozen; one object for as long as nothing about it changes. */
export interface Principal {
  readonly mode: Mode
  /** Undefined when the backend vouches for the credential without saying whose it is. */
  readonly owner: Owner | undefined
  readonly grant: Grant
  /** Milliseconds since the epoch after which the credential is dead whatever a cache says. */
  readonly expiresAt: number | undefined
  readonly tokenId: string | undefined
  readonly deviceId: string | undefined
}
