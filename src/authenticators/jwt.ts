import { createSecretKey } from 'node:crypto'
import { compactVerify } from 'jose'
import { LRUCache } from 'lru-cache'
import { sha256 } from '../directory/digest.ts'
import type { NamedUser, UserRecord } from '../directory/records.ts'
import type { Ties } from '../directory/ties.ts'
import type { Clock } from '../identity/clock.ts'
import type { JwtCredential } from '../identity/credential.ts'
import type { Principal } from '../identity/principal.ts'
import { chain } from '../pipeline/maybe.ts'
import { authenticated, rejected } from '../pipeline/outcome.ts'
import type { Authenticator, MaybePromise, Outcome, Rejection } from '../pipeline/outcome.ts'
import { PrincipalMemo } from './memo.ts'

/** What a good access token says. */
export interface AccessClaims {
  readonly username: string
  readonly scopes: readonly string[]
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

/** How one issuer writes its access tokens: claims in, what they say or why they are refused out. */
export type ReadClaims = (payload: Readonly<Record<string, unknown>>) => AccessClaims | Rejection

/** Three parts in base64url without padding (RFC 7515 §2); looser spellings have other readers elsewhere. */
const COMPACT = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/

/** What a token says before anybody has verified it: its expiry saves a verification, never replaces one. */
export function peekClaims(token: string, read: ReadClaims): AccessClaims | Rejection {
  const parts = COMPACT.exec(token)?.slice(1) ?? []
  if (parts.length === 0 || !parts.every(isCanonical)) return 'malformed'
  const [header, claims] = parts.map(decoded)
  // `crit` may change what is signed (RFC 7797); nobody who issues these tokens uses it.
  if (header?.['alg'] !== 'HS256' || header['crit'] !== undefined) return 'malformed'
  return claims === undefined ? 'malformed' : read(claims)
}

/** Stray last bits decode to the same bytes: two texts would be one token. */
function isCanonical(text: string): boolean {
  return Buffer.from(text, 'base64url').toString('base64url') === text
}

function decoded(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
    return isObject(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}

export interface JwtOptions {
  /** HS256 key: the secret's UTF-8 bytes. */
  readonly secret: string
  readonly read: ReadClaims
  readonly clock: Clock
  readonly maxEntries: number
  /** Called before a signature is found bad. @throws PosternError `could_not_check` when the key may be what is wrong */
  readonly confirmKey: () => Promise<void>
}

export interface JwtVerifier {
  verify(token: string): MaybePromise<AccessClaims | Rejection>
}

/**
 * HS256 access tokens with one fixed key: `alg` is compared with that one name, and `kid`, `jku`, `x5u` and `jwk`
 * are never looked at (RFC 8725 §3.1, §3.10). What one verification found is kept by the token's digest, since
 * neither key nor token can change; expiry is compared on each use.
 */
export function createJwtVerifier(options: JwtOptions): JwtVerifier {
  const key = createSecretKey(Buffer.from(options.secret, 'utf8'))
  const verified = new LRUCache<string, AccessClaims>({ max: options.maxEntries })
  const current = (claims: AccessClaims): AccessClaims | Rejection =>
    claims.expiresAt <= options.clock.now() ? 'expired' : claims

  const verifyAnew = async (token: string, digest: string): Promise<AccessClaims | Rejection> => {
    const peeked = peekClaims(token, options.read)
    if (typeof peeked === 'string') return peeked
    if (current(peeked) === 'expired') return 'expired'
    try {
      await compactVerify(token, key, { algorithms: ['HS256'] })
    } catch {
      await options.confirmKey()
      return 'bad_signature'
    }
    const claims = Object.freeze(peeked)
    verified.set(digest, claims)
    return claims
  }

  return {
    verify(token) {
      const digest = sha256(token)
      const known = verified.get(digest)
      return known === undefined ? verifyAnew(token, digest) : current(known)
    },
  }
}

export interface UserDirectory {
  userByName(name: string): MaybePromise<NamedUser | undefined>
}

/** @param ties by the token's digest, to the user whom its name meant when it was first seen */
export function createJwtAuthenticator(
  verifier: JwtVerifier,
  users: UserDirectory,
  ties: Pick<Ties, 'belongs'>,
): Authenticator<JwtCredential> {
  const principals = new PrincipalMemo<AccessClaims>()

  const admit = (token: string, claims: AccessClaims, user: UserRecord): MaybePromise<Outcome> => {
    const known = principals.find(claims, user)
    if (known !== undefined) return authenticated(known)
    return chain(ties.belongs(sha256(token), claims.username, user), (owner) =>
      owner === undefined
        ? rejected('revoked')
        : authenticated(principals.get(claims, owner, () => jwtPrincipal(claims, owner))),
    )
  }

  const conclude = (
    token: string,
    claims: AccessClaims,
    named: NamedUser | undefined,
  ): MaybePromise<Outcome> => {
    if (named === undefined) return rejected('unknown_user')
    if (named.kind === 'ambiguous') return rejected('ambiguous_user')
    return named.user.enabled ? admit(token, claims, named.user) : rejected('disabled_user')
  }

  return {
    authenticate: ({ token }) =>
      chain(verifier.verify(token), (claims) =>
        typeof claims === 'string'
          ? rejected(claims)
          : chain(users.userByName(claims.username), (named) => conclude(token, claims, named)),
      ),
  }
}

function jwtPrincipal(claims: AccessClaims, user: UserRecord): Principal {
  return {
    mode: 'jwt',
    owner: { subject: user.id, username: user.username, role: user.role },
    grant: { kind: 'known', scopes: user.scopes.intersect(claims.scopes) },
    expiresAt: claims.expiresAt,
    tokenId: undefined,
    deviceId: undefined,
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
