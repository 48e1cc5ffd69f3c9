import type { CredentialKind, Mode } from '../identity/credential.ts'
import type { Denial } from './decision.ts'
import { REASONS } from './reason.ts'
import type { Reason } from './reason.ts'

/** What of a refusal makes its hint. */
type Hinted = { readonly [Name in 'hint' | 'principal' | 'missing']?: Denial[Name] | undefined } & {
  readonly reason: Reason
}

/**
 * What to do about a refusal: what its rule says, else what the credential makes of its reason, else the reason's own.
 * @param kind of the credential that was looked at
 */
export function hintOf(refusal: Hinted, kind: CredentialKind | undefined): string | undefined {
  return refusal.hint ?? aboutCredential(refusal, kind) ?? REASONS[refusal.reason].hint
}

function aboutCredential(
  { reason, principal, missing }: Hinted,
  kind: CredentialKind | undefined,
): string | undefined {
  if (reason === 'invalid_credential') return kind && RENEWAL[kind]
  if (reason !== 'insufficient_scope' || principal === undefined || missing === undefined) return undefined
  const { grant, mode } = principal
  if (grant.kind === 'deferred' && grant.within === undefined) return UNKNOWN_SCOPES
  return LACKING[mode](missing.join(', '))
}

const RENEWAL: Readonly<Record<CredentialKind, string>> = {
  session: 'The session is over: sign in again.',
  basic: 'Name or password is wrong, or the user is disabled.',
  jwt: 'The access token is expired or not of this installation: refresh it, or sign in again.',
  token: 'The token is unknown, expired or revoked: pair again.',
  malformed: 'This is no credential that the backend knows: check how Authorization is written.',
}

const LACKING: Readonly<Record<Mode, (scopes: string) => string>> = {
  session: (scopes) => `The user lacks ${scopes}: an admin can give it.`,
  basic: (scopes) => `The user lacks ${scopes}: an admin can give it.`,
  jwt: (scopes) =>
    `The access token lacks ${scopes}: ask for it in scope when getting one, if the user has it.`,
  token: (scopes) => `The token lacks ${scopes}: pair again with it, if its owner has it.`,
  guest: (scopes) => `Visitors lack ${scopes}: sign in.`,
}

const UNKNOWN_SCOPES =
  'Which scopes the token has only the backend knows, and it does not check this route: sign in instead.'
