/** What the texts of this directory may be; both the store and what reads requests hold to it. */

const USERNAME = /^[A-Za-z0-9._@-]{1,64}$/
// RFC 6749 §3.3.
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/
// RFC 7617 §2: control characters cannot travel in Basic.
const CONTROL = /[\x00-\x1f\x7f-\x9f]/ // oxlint-disable-line no-control-regex

export const SHORTEST_PASSWORD = 8
/** In bytes of UTF-8. bcrypt reads no further, so that whatever follows would not count. */
export const LONGEST_PASSWORD = 72

export function isUsername(text: string): boolean {
  return USERNAME.test(text)
}

export function isScope(text: string): boolean {
  return SCOPE.test(text)
}

export function hasControl(text: string): boolean {
  return CONTROL.test(text)
}

/** RFC 7617 §2.1: compared in Normalization Form C, so that `é` is `é` on every keyboard. */
export function normalPassword(text: string): string {
  return text.normalize('NFC')
}

/** Whether bcrypt would read all of it. */
export function isWhole(password: string): boolean {
  return Buffer.byteLength(password) <= LONGEST_PASSWORD
}

export function scopesOf(text: string): string[] {
  return text.split(' ').filter((scope) => scope !== '')
}
