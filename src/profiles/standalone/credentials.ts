import type { Credential } from '../../identity/credential.ts'
import type { CredentialCarrier } from '../../pipeline/decision.ts'
import { writeAuthorization } from '../../request/authorization.ts'
import { valuesOf } from '../../request/headers.ts'
import { isNamed } from '../../request/names.ts'
import type { RawHeaders } from '../../request/request.ts'
import { hasControl, isWhole, normalPassword } from './text.ts'

// RFC 9110 §11.4: the scheme without case, then spaces, then (both schemes) one token68.
const AUTHORIZATION = /^(?<scheme>[A-Za-z]+) +(?<rest>[A-Za-z0-9._~+/-]+=*)$/
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Basic (RFC 7617, UTF-8) and Bearer (RFC 6750 §2.1), to the letter: nobody here has to be read leniently. Cookies are
 * the backend's own and pass as they came.
 * @param tokenPrefix how our tokens begin; 64 lower-case hexadecimal digits follow
 */
export function standaloneCarrier(tokenPrefix: string): CredentialCarrier {
  const isToken = (text: string): boolean =>
    text.startsWith(tokenPrefix) && /^[0-9a-f]{64}$/.test(text.slice(tokenPrefix.length))
  return {
    read(headers) {
      const [authorization = '', ...more] = valuesOf(headers, 'authorization')
      if (more.length > 0) return 'several'
      return { ambient: undefined, explicit: authorizationOf(authorization, isToken) }
    },
    rewrite(headers, credential) {
      const out = withoutAuthorization(headers)
      const authorization = writeAuthorization(credential)
      if (authorization !== undefined) out.push('Authorization', authorization)
      return out
    },
  }
}

type IsToken = (text: string) => boolean

function authorizationOf(header: string, isToken: IsToken): Credential | undefined {
  if (header === '') return undefined
  const { scheme = '', rest = '' } = AUTHORIZATION.exec(header)?.groups ?? {}
  switch (scheme.toLowerCase()) {
    case 'basic':
      return basicOf(rest, isToken)
    case 'bearer':
      return isToken(rest) ? { kind: 'token', token: rest } : malformed('Bearer is not a token of ours')
    default:
      return malformed('Authorization is neither Basic nor Bearer')
  }
}

function basicOf(encoded: string, isToken: IsToken): Credential {
  const text = decoded(encoded)
  const colon = text?.indexOf(':') ?? -1
  if (text === undefined || colon === -1) return malformed('Basic is not base64 of name:password in UTF-8')
  // RFC 7617 §2: neither part may hold control characters.
  if (hasControl(text)) return malformed('Basic holds control characters')
  const username = text.slice(0, colon)
  const password = normalPassword(text.slice(colon + 1))
  if (isToken(password)) return { kind: 'token', token: password, ownerName: username }
  return isWhole(password)
    ? { kind: 'basic', username, password }
    : malformed('the password is longer than any can be')
}

/** Base64 in its one canonical spelling (RFC 4648 §3.5), and UTF-8 without faults. */
function decoded(encoded: string): string | undefined {
  const bytes = Buffer.from(encoded, 'base64')
  if (bytes.toString('base64') !== encoded) return undefined
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

function withoutAuthorization(headers: RawHeaders): string[] {
  const out: string[] = []
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? ''
    if (!isNamed(name, 'authorization')) out.push(name, headers[i + 1] ?? '')
  }
  return out
}

function malformed(why: string): Credential {
  return { kind: 'malformed', why }
}
