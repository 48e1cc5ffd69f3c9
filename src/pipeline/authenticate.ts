import type { Credential } from '../identity/credential.ts'
import type { Principal } from '../identity/principal.ts'
import type { ClientInfo } from '../request/request.ts'
import type { Presented } from './decision.ts'
import { attempt, chain } from './maybe.ts'
import { abstained } from './outcome.ts'
import type { Authenticator, MaybePromise, Outcome, Rejection } from './outcome.ts'

/** What came of everything a request presented. */
export type Authentication =
  | { readonly kind: 'principal'; readonly principal: Principal; readonly credential: Credential | undefined }
  | {
      readonly kind: 'rejected'
      readonly credential: Credential
      readonly rejection: Rejection
      /** Of one who is blocked. */
      readonly principal: Principal | undefined
      readonly deadSession: boolean
    }
  | { readonly kind: 'anonymous' }

const anonymous: Authentication = Object.freeze({ kind: 'anonymous' })

/**
 * Resolves what a request presents to one principal and the one credential that may go upstream.
 *
 * A session beats `Authorization`, as at the backends that know both, unless both belong to the same user: then the
 * bearer, which was sent on purpose and may be narrower, is used. What is dropped is not looked at further.
 * A dead session falls through to `Authorization`.
 *
 * @param guest who an anonymous visitor is, where the operator configured one
 */
export function authenticate(
  presented: Presented,
  client: ClientInfo,
  authenticator: Authenticator,
  guest: Principal | undefined,
): MaybePromise<Authentication> {
  const { ambient, explicit } = presented
  const first = ambient === undefined ? abstained : authenticator.authenticate(ambient, client)
  return chain(first, (outcome) => {
    if (outcome.kind === 'authenticated' && ambient !== undefined) {
      return chain(sameUsersBearer(explicit, outcome.principal, client, authenticator), (bearer) =>
        bearer === undefined || explicit === undefined
          ? principalOf(outcome.principal, ambient)
          : principalOf(bearer, explicit),
      )
    }
    if (explicit === undefined) return withoutExplicit(ambient, outcome, guest)
    return chain(authenticator.authenticate(explicit, client), (second) =>
      conclude(explicit, second, outcome, guest),
    )
  })
}

function principalOf(principal: Principal, credential: Credential): Authentication {
  return { kind: 'principal', principal, credential }
}

/** The principal of a bearer that belongs to the session's user. Anything else, a failed check included, leaves the session to decide. */
function sameUsersBearer(
  explicit: Credential | undefined,
  session: Principal,
  client: ClientInfo,
  authenticator: Authenticator,
): MaybePromise<Principal | undefined> {
  const isBearer =
    explicit?.kind === 'jwt' || (explicit?.kind === 'token' && explicit.ownerName === undefined)
  if (explicit === undefined || !isBearer || session.owner === undefined) return undefined
  const asked = attempt<Outcome>(
    () => authenticator.authenticate(explicit, client),
    () => abstained,
  )
  return chain(asked, (outcome) =>
    outcome.kind === 'authenticated' && outcome.principal.owner?.subject === session.owner?.subject
      ? outcome.principal
      : undefined,
  )
}

function withoutExplicit(
  ambient: Credential | undefined,
  outcome: Outcome,
  guest: Principal | undefined,
): Authentication {
  if (guest !== undefined) return { kind: 'principal', principal: guest, credential: undefined }
  if (ambient === undefined || outcome.kind !== 'rejected') return anonymous
  return rejectedOf(ambient, outcome, isDead(outcome))
}

function conclude(
  explicit: Credential,
  outcome: Outcome,
  ambientOutcome: Outcome,
  guest: Principal | undefined,
): Authentication {
  switch (outcome.kind) {
    case 'authenticated':
      return principalOf(outcome.principal, explicit)
    case 'rejected':
      return rejectedOf(explicit, outcome, isDead(ambientOutcome))
    case 'abstained':
      return withoutExplicit(undefined, ambientOutcome, guest)
  }
}

function rejectedOf(
  credential: Credential,
  { rejection, principal }: Extract<Outcome, { kind: 'rejected' }>,
  deadSession: boolean,
): Authentication {
  return { kind: 'rejected', credential, rejection, principal, deadSession }
}

/** A session that is gone for good; one that is merely not a login yet, or blocked for a while, is left alone. */
function isDead(outcome: Outcome): boolean {
  return outcome.kind === 'rejected' && !MAY_LIVE.has(outcome.rejection)
}

const MAY_LIVE: ReadonlySet<Rejection> = new Set(['not_a_login', 'malformed', 'blocked'])
