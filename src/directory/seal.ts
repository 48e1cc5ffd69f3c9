import { createHmac, timingSafeEqual } from 'node:crypto'

/**
 * `body` with a signature over it and over the place where it stands: whoever can write there can neither make one, nor move one
 * from elsewhere.
 */
export function seal(secret: Buffer, place: string, body: string): string {
  return `${sign(secret, place, body).toString('base64url')}.${body}`
}

/** @returns the body, or undefined for anything that was not sealed with `secret` for `place` */
export function unseal(secret: Buffer, place: string, text: string): string | undefined {
  const dot = Math.max(text.indexOf('.'), 0)
  const body = text.slice(dot + 1)
  const given = Buffer.from(text.slice(0, dot), 'base64url')
  const wanted = sign(secret, place, body)
  return given.length === wanted.length && timingSafeEqual(given, wanted) ? body : undefined
}

function sign(secret: Buffer, place: string, body: string): Buffer {
  return createHmac('sha256', secret).update(`${place.length}:${place}${body}`).digest()
}
