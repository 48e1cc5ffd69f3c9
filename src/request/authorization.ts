import type { Credential } from '../identity/credential.ts'

/** How a credential stands in `Authorization`, in its plain form; undefined for one that travels elsewhere. */
export function writeAuthorization(credential: Credential | undefined): string | undefined {
  switch (credential?.kind) {
    case 'basic':
      return `Basic ${Buffer.from(`${credential.username}:${credential.password}`).toString('base64')}`
    case 'jwt':
    case 'token':
      return `Bearer ${credential.token}`
    case 'session':
    case 'malformed':
    case undefined:
      return undefined
  }
}
