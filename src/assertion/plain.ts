import type { Principal } from '../identity/principal.ts'
import type { RawHeaders } from '../request/request.ts'

/** Their names; like the assertion's, they must be deleted from what comes in. */
export const PLAIN_HEADERS = {
  user: 'X-Forwarded-User',
  groups: 'X-Forwarded-Groups',
  scopes: 'X-Forwarded-Scopes',
} as const

/**
 * Visible ASCII less `%` and `,`. The attacks: a user called `admin ` whose white space a parser trims, a role
 * `user,admin` that is read as a list, and, if `%` stood for itself, a user called `jos%C3%A9` who would be `josé`.
 */
const AS_IS = /^[!-$&-+\--~]$/

/**
 * Who is asking, unsigned, for backends that can read nothing better; believable only where nobody but
 * Postern can reach the backend. Other characters are percent-encoded as UTF-8 (RFC 3986 §2.1), so that no two
 * names are written alike.
 * @returns raw headers; none when the owner is unknown, no scopes when only the backend knows them
 */
export function plainHeaders({ owner, grant }: Principal): RawHeaders {
  if (owner === undefined) return []
  const headers: string[] = [PLAIN_HEADERS.user, encode(owner.username)]
  if (owner.role !== undefined) headers.push(PLAIN_HEADERS.groups, encode(owner.role))
  if (grant.kind === 'known') headers.push(PLAIN_HEADERS.scopes, grant.scopes.names.map(encode).join(' '))
  return headers
}

function encode(text: string): string {
  let out = ''
  for (const byte of Buffer.from(text, 'utf8')) {
    const char = String.fromCharCode(byte)
    out += AS_IS.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return out
}
