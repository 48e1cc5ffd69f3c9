import type { Credential } from '../identity/credential.ts'

const BEYOND_ASCII = /[\u0080-\uffff]/

/** How a credential stands in `Authorization`, in its plain form; undefined for one that travels elsewhere. */
export function writeAuthorization(credential: Credential | undefined): string | undefined {
  switch (credential?.kind) {
    case 'basic':
      return `Basic ${encodeBase64(`${credential.username}:${credential.password}`)}`
    case 'jwt':
    case 'token':
      return `Bearer ${credential.token}`
    case 'session':
    case 'malformed':
    case undefined:
      return undefined
  }
}

/** Of `text` in UTF-8 (RFC 7617 §2.1). ASCII, which most are, is the same bytes in Latin-1, and quicker. */
function encodeBase64(text: string): string {
  return BEYOND_ASCII.test(text) ? Buffer.from(text).toString('base64') : btoa(text)
}
