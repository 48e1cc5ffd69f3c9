import { sha256 } from '../directory/digest.ts'
import type { TokenRecord, UserRecord } from '../directory/records.ts'
import type { Clock } from '../identity/clock.ts'
import type { TokenCredential } from '../identity/credential.ts'
import type { Principal } from '../identity/principal.ts'
import { chain } from '../pipeline/maybe.ts'
import { authenticated, rejected } from '../pipeline/outcome.ts'
import type { Authenticator, MaybePromise, Outcome } from '../pipeline/outcome.ts'
import { PrincipalMemo } from './memo.ts'

export interface TokenDirectory {
  token(digest: string): MaybePromise<TokenRecord | undefined>
  userById(id: string): MaybePromise<UserRecord | undefined>
  /** Whether `name` leads to this user, as the source compares names. */
  userByName(name: string): MaybePromise<{ readonly kind: string; readonly user?: UserRecord } | undefined>
}

/**
 * Opaque tokens, known by their SHA-256. One that came as a Basic password must belong to the name beside it, so that
 * a log or a lock by name speaks of the right user.
 */
export function createTokenAuthenticator(
  directory: TokenDirectory,
  clock: Clock,
): Authenticator<TokenCredential> {
  const principals = new PrincipalMemo<TokenRecord>()

  const conclude = (token: TokenRecord, user: UserRecord | undefined): Outcome => {
    if (user === undefined) return rejected('unknown_user')
    if (!user.enabled) return rejected('disabled_user')
    if (token.expiresAt !== undefined && token.expiresAt <= clock.now()) return rejected('expired')
    return authenticated(principals.get(token, user, () => tokenPrincipal(token, user)))
  }

  const belongsTo = (user: UserRecord | undefined, name: string | undefined): MaybePromise<boolean> => {
    if (name === undefined || user === undefined) return true
    return chain(directory.userByName(name), (named) => named?.kind === 'user' && named.user?.id === user.id)
  }

  return {
    authenticate: (credential) =>
      chain(directory.token(sha256(credential.token)), (token) => {
        if (token === undefined) return rejected('unknown')
        return chain(directory.userById(token.userId), (user) =>
          chain(belongsTo(user, credential.ownerName), (belongs) =>
            belongs ? conclude(token, user) : rejected('wrong_owner'),
          ),
        )
      }),
  }
}

/** Who somebody with this token is. */
export function tokenPrincipal(token: TokenRecord, user: UserRecord): Principal {
  return {
    mode: 'token',
    owner: { subject: user.id, username: user.username, role: user.role },
    grant: { kind: 'known', scopes: user.scopes.intersect(token.scopes) },
    expiresAt: token.expiresAt,
    tokenId: token.id,
    deviceId: token.deviceId,
  }
}
