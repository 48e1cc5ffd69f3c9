import { createHmac, timingSafeEqual } from 'node:crypto'

export type Claims = Readonly<Record<string, unknown>>

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const mac = (text: string, secret: string): Buffer => createHmac('sha256', secret).update(text).digest()

export function signJwt(claims: Claims, secret: string): string {
  const text = `${part({ typ: 'JWT', alg: 'HS256' })}.${part(claims)}`
  return `${text}.${mac(text, secret).toString('base64url')}`
}

/**
 * The claims of an unexpired HS256 JWT, or undefined. RomM facts: other algorithms, padding and a fourth
 * part are refused; `exp` must be a number in the future (a float will do); `nbf`, `iat` and `aud` are ignored.
 *
 * @param now in seconds
 */
export function readJwt(jwt: string, secret: string, now: number): Claims | undefined {
  const parts = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/.exec(jwt)
  const header = readPart(parts?.[1])
  const claims = readPart(parts?.[2])
  if (header?.['alg'] !== 'HS256' || claims === undefined) return undefined
  const signature = Buffer.from(parts?.[3] ?? '', 'base64url')
  const expected = mac(jwt.slice(0, jwt.lastIndexOf('.')), secret)
  if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) return undefined
  return typeof claims['exp'] === 'number' && claims['exp'] > now ? claims : undefined
}

function readPart(text: string | undefined): Claims | undefined {
  if (text === undefined || text.length % 4 === 1) return undefined
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString())
    // An object's fields are unknown until they are looked at, which is what Claims says.
    return typeof value === 'object' && value !== null ? (value as Claims) : undefined
  } catch {
    return undefined
  }
}
