import { createHmac } from 'node:crypto'
import type { Clock } from '../../identity/clock.ts'
import type { JwtCredential } from '../../identity/credential.ts'
import type { Principal } from '../../identity/principal.ts'

/** Milliseconds for which a minted token is good, and for how much of it it is used again. */
const LIFETIME = 60_000
const REUSED_FOR = 30_000

interface Minted {
  readonly credential: JwtCredential
  readonly at: number
}

/**
 * RomM's own access tokens for principals who came with a password, so that RomM need not run bcrypt a second time.
 * The name is the one that the source has, never the client's spelling; a token goes with its principal.
 */
export function createTranslation(
  secret: string,
  clock: Clock,
): (principal: Principal) => JwtCredential | undefined {
  const minted = new WeakMap<Principal, Minted>()
  return (principal) => {
    const { owner, grant } = principal
    if (owner === undefined || grant.kind !== 'known') return undefined
    const now = clock.now()
    const held = minted.get(principal)
    if (held !== undefined && now >= held.at && now - held.at < REUSED_FOR) return held.credential
    const claims = {
      sub: owner.username,
      iss: 'romm:oauth',
      scopes: grant.scopes.toString(),
      type: 'access',
      exp: Math.floor((now + LIFETIME) / 1_000),
    }
    const credential: JwtCredential = { kind: 'jwt', token: sign(claims, secret) }
    minted.set(principal, { credential, at: now })
    return credential
  }
}

/** HS256 (RFC 7518 §3.2) with the secret's UTF-8 bytes. */
function sign(claims: object, secret: string): string {
  const text = [{ typ: 'JWT', alg: 'HS256' }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.')
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}
