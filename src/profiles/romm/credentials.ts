import type { Credential } from '../../identity/credential.ts'
import type { CredentialCarrier, Presented } from '../../pipeline/decision.ts'
import { writeAuthorization } from '../../request/authorization.ts'
import { valuesOf } from '../../request/headers.ts'
import { isNamed } from '../../request/names.ts'
import type { RawHeaders } from '../../request/request.ts'
import { decodeBase64 } from './base64.ts'
import { splitCookies, splitOnSpace } from './cookies.ts'

export const SESSION_COOKIE = 'romm_session'

// RomM fact: `rmm_` and 64 lower-case hexadecimal digits; the prefix alone decides that it is one.
const TOKEN_PREFIX = 'rmm_'
const TOKEN = /^rmm_[0-9a-f]{64}$/
// Cookie octets without the quotes and escapes that readers differ on (RFC 6265 §4.1.1), and no longer than any id.
const PLAIN_ID = /^[A-Za-z0-9._~-]{1,128}$/
const NUL_OR_BEYOND_ASCII = /[\0\x80-\xff]/
const VISIBLE_ASCII = /^[\x21-\x7e]+$/

/** Where RomM's credentials travel, read as RomM reads them and written in one plain form. */
export const rommCarrier: CredentialCarrier = {
  read(headers): Presented | 'several' {
    const authorizations = valuesOf(headers, 'authorization')
    if (authorizations.length > 1) return 'several'
    return {
      ambient: sessionOf(valuesOf(headers, 'cookie')),
      explicit: authorizationOf(authorizations[0] ?? ''),
    }
  },

  rewrite(headers, credential) {
    const out: string[] = []
    const cookies: string[] = []
    for (let i = 0; i + 1 < headers.length; i += 2) {
      const name = headers[i] ?? ''
      const value = headers[i + 1] ?? ''
      // Names of letters alone: no other spelling folds to them.
      if (isNamed(name, 'cookie')) cookies.push(value)
      else if (!isNamed(name, 'authorization')) out.push(name, value)
    }
    const cookie = cookieWith(cookies, credential)
    if (cookie !== '') out.push('Cookie', cookie)
    const authorization = writeAuthorization(credential)
    if (authorization !== undefined) out.push('Authorization', authorization)
    return out
  },
}

/** The cookies that came, with the session that was decided on and no other. */
function cookieWith(cookies: readonly string[], credential: Credential | undefined): string {
  const others = cookies.length === 0 ? [] : splitCookies(cookies, SESSION_COOKIE).others
  return credential?.kind === 'session'
    ? [...others, `${SESSION_COOKIE}=${credential.id}`].join('; ')
    : others.join('; ')
}

function sessionOf(headers: RawHeaders): Credential | undefined {
  if (headers.length === 0) return undefined
  const { value } = splitCookies(headers, SESSION_COOKIE)
  if (value === undefined || value === '') return undefined
  return PLAIN_ID.test(value) ? { kind: 'session', id: value } : malformed('session id')
}

/**
 * RomM fact: the header is split at white space into exactly two parts, the scheme without case; anything else is
 * nobody, and so is an unknown scheme, which counts as no credential at all.
 */
function authorizationOf(header: string): Credential | undefined {
  if (header === '') return undefined
  if (header.startsWith('Bearer ')) {
    // As nearly everybody writes it. What is good so far holds no white space: there are two words.
    const bearer = bearerOf(header.slice('Bearer '.length))
    if (bearer.kind !== 'malformed') return bearer
  }
  const words = splitOnSpace(header)
  const [scheme = '', rest] = words
  if (rest === undefined || words.length > 2) return malformed('Authorization is not two words')
  switch (scheme.toLowerCase()) {
    case 'basic':
      // RomM fact: Basic alone must be followed by a space; a tab crashes it.
      return header.startsWith(`${scheme} `) ? basicOf(rest) : malformed('Basic without a space')
    case 'bearer':
      return bearerOf(rest)
    default:
      return undefined
  }
}

function bearerOf(token: string): Credential {
  if (token.startsWith(TOKEN_PREFIX))
    return TOKEN.test(token) ? { kind: 'token', token } : malformed('client token')
  return VISIBLE_ASCII.test(token) ? { kind: 'jwt', token } : malformed('Bearer is not ASCII')
}

function basicOf(encoded: string): Credential {
  const text = decodeBase64(encoded)
  // RomM fact: bytes beyond ASCII, NUL, and a missing colon crash it.
  if (text === undefined || NUL_OR_BEYOND_ASCII.test(text)) return malformed('Basic is not base64 of ASCII')
  const colon = text.indexOf(':')
  if (colon === -1) return malformed('Basic without a colon')
  const username = text.slice(0, colon)
  const password = text.slice(colon + 1)
  return TOKEN.test(password)
    ? { kind: 'token', token: password, ownerName: username }
    : { kind: 'basic', username, password }
}

function malformed(why: string): Credential {
  return { kind: 'malformed', why }
}
