/** How a principal was authenticated; the word that logs, metrics and assertions use. */
export const MODES = ['session', 'basic', 'jwt', 'token', 'guest'] as const
export type Mode = (typeof MODES)[number]

/** A server-side session's id, from a cookie. */
export interface SessionCredential {
  readonly kind: 'session'
  readonly id: string
}

/** RFC 7617, decoded. */
export interface BasicCredential {
  readonly kind: 'basic'
  readonly username: string
  readonly password: string
}

/** A signed token (RFC 7519) in `Authorization: Bearer`. */
export interface JwtCredential {
  readonly kind: 'jwt'
  readonly token: string
}

/** An opaque token, looked up by its digest. */
export interface TokenCredential {
  readonly kind: 'token'
  readonly token: string
  /** Set when it came as the password of a Basic credential: the name that must be its owner's. */
  readonly ownerName?: string
}

/** Something that means to be a credential and cannot be one, whatever anybody knows: it is rejected. */
export interface MalformedCredential {
  readonly kind: 'malformed'
  /** For the log: what was wrong with it. Holds nothing the client sent. */
  readonly why: string
}

/** What the client presents, unverified. */
export type Credential =
  SessionCredential | BasicCredential | JwtCredential | TokenCredential | MalformedCredential

export type CredentialKind = Credential['kind']
