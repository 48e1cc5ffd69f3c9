import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

export interface CsrfPayload {
  readonly token: string
  /** null is an anonymous visitor, -1 the kiosk guest. */
  readonly user_id: number | null
}

/** Signs and reads `romm_csrftoken`. RomM fact: itsdangerous' URLSafeSerializer with the salt `csrftoken`. */
export class CsrfTokens {
  readonly #key: Buffer

  constructor(secret: string) {
    this.#key = createHash('sha1').update(`csrftokensigner${secret}`).digest()
  }

  issue(userId: number | null): string {
    const payload: CsrfPayload = { token: randomBytes(32).toString('hex'), user_id: userId }
    const text = Buffer.from(JSON.stringify(payload)).toString('base64url')
    return `${text}.${this.#sign(text).toString('base64url')}`
  }

  /** @returns undefined for anything that was not signed with this secret */
  read(value: string | undefined): CsrfPayload | undefined {
    const dot = value?.lastIndexOf('.') ?? -1
    if (value === undefined || dot < 0) return undefined
    const signature = Buffer.from(value.slice(dot + 1), 'base64url')
    const expected = this.#sign(value.slice(0, dot))
    if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) return undefined
    // What we signed is what issue() wrote.
    return JSON.parse(Buffer.from(value.slice(0, dot), 'base64url').toString()) as CsrfPayload
  }

  #sign(text: string): Buffer {
    return createHmac('sha1', this.#key).update(text).digest()
  }
}

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

/** RomM fact: prefixes, so `/api/tokenX` would be exempt too. */
const EXEMPT_PATH =
  /^\/api\/token|^\/api\/client-tokens\/exchange|^\/api\/client-tokens\/pair\/.+\/status|^\/api\/auth\/device\/(?:init|token)\/?$|^\/ws|^\/netplay/

/** RomM fact: the presence of a Bearer or Basic is enough, whether it is good or not; only a plain space ends the word. */
export function exemptByAuthorization(authorization: string | undefined): boolean {
  return /^(?:bearer|basic)(?: |$)/i.test(authorization ?? '')
}

export function needsCsrf(method: string, path: string): boolean {
  return !SAFE_METHODS.has(method) && !EXEMPT_PATH.test(path)
}
