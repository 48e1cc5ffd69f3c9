import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

const CSRF_COOKIE = 'romm_csrftoken'

/**
 * Whether a secret is the one that RomM signs with. `unproven`: RomM signed nothing that could tell.
 *
 * RomM fact: every answer to a stranger sets `romm_csrftoken`, signed as itsdangerous' URLSafeSerializer does it with
 * the salt `csrftoken`: HMAC-SHA1, base64url, over what stands before the last dot, with a key of
 * SHA-1("csrftoken" + "signer" + secret). The same secret signs its access tokens.
 */
export type SecretProof = 'right' | 'wrong' | 'unproven'

/** @param setCookies of an answer to a request without credential */
export function proveSecret(secret: string, setCookies: readonly string[]): SecretProof {
  const cookie = setCookies.find((text) => text.startsWith(`${CSRF_COOKIE}=`))
  const value = cookie?.slice(CSRF_COOKIE.length + 1).split(';', 1)[0] ?? ''
  const dot = value.lastIndexOf('.')
  if (dot < 1) return 'unproven'
  const key = createHash('sha1').update(`csrftokensigner${secret}`).digest()
  const wanted = createHmac('sha1', key).update(value.slice(0, dot)).digest()
  const given = Buffer.from(value.slice(dot + 1), 'base64url')
  return given.length === wanted.length && timingSafeEqual(given, wanted) ? 'right' : 'wrong'
}
