import type { AccessClaims } from '../../authenticators/jwt.ts'
import type { Rejection } from '../../pipeline/outcome.ts'

/** ECMA-262 §21.4.1.1: no date is later. */
const LAST_INSTANT = 8.64e15

/**
 * RomM fact: its access tokens say `iss`, `type`, `sub`, `scopes` (space-separated) and `exp` (seconds, a fraction is
 * fine); nothing else is looked at. Refresh, invite and reset tokens are signed with the same key and are none.
 */
export function readAccessClaims(payload: Readonly<Record<string, unknown>>): AccessClaims | Rejection {
  const { iss, type, sub, scopes, exp } = payload
  if (iss !== 'romm:oauth' || type !== 'access') return 'wrong_type'
  if (typeof sub !== 'string' || sub === '') return 'malformed'
  if (typeof exp !== 'number' || !Number.isFinite(exp)) return 'malformed'
  if (typeof scopes !== 'string') return 'malformed'
  return {
    username: sub,
    scopes: scopes.split(' ').filter((scope) => scope !== ''),
    expiresAt: Math.min(exp * 1_000, LAST_INSTANT),
  }
}
