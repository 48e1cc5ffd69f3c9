import type { Credential } from '../identity/credential.ts'
import type { Principal } from '../identity/principal.ts'
import type { ClientInfo } from '../request/request.ts'

/** Warm paths answer at once; only what must wait returns a promise. */
export type MaybePromise<T> = T | Promise<T>

/** Why a credential was found bad. A closed list; goes to the log, not to the client. */
export const REJECTIONS = [
  'malformed',
  'unknown',
  'expired',
  'disabled_user',
  'unknown_user',
  'wrong_password',
  'wrong_owner',
  'bad_signature',
  'wrong_type',
  'not_a_login',
  'ambiguous_user',
  'revoked',
  'refused_by_backend',
  'blocked',
] as const
export type Rejection = (typeof REJECTIONS)[number]

/** An authenticator's answer. "Could not ask" is thrown (PosternError `could_not_check`), never returned. */
export type Outcome =
  | { readonly kind: 'authenticated'; readonly principal: Principal }
  | {
      readonly kind: 'rejected'
      readonly rejection: Rejection
      /** Whose it is, where that is known of a credential that is good and refused all the same. For operators alone. */
      readonly principal?: Principal
    }
  | { readonly kind: 'abstained' }

export const abstained: Outcome = Object.freeze({ kind: 'abstained' })

const rejectedOutcomes = new Map<Rejection, Outcome>(
  REJECTIONS.map((rejection) => [rejection, Object.freeze({ kind: 'rejected', rejection })]),
)

export function rejected(rejection: Rejection): Outcome {
  return rejectedOutcomes.get(rejection) ?? { kind: 'rejected', rejection }
}

export function authenticated(principal: Principal): Outcome {
  return { kind: 'authenticated', principal }
}

/** Turns one kind of credential into a principal. A protocol knows no backend. */
export interface Authenticator<C extends Credential = Credential> {
  /**
   * @param client who presents it; never part of the answer, only of what may be asked on its behalf
   * @throws PosternError `could_not_check` or `question_refused` when the question could not be answered
   */
  authenticate(credential: C, client: ClientInfo): MaybePromise<Outcome>
}
