import { asPosternError } from '../errors.ts'
import type { FailureCode } from '../errors.ts'
import type { ClientInfo } from '../request/request.ts'
import type { AttemptLimit } from './attempt.ts'
import type { Authentication } from './authenticate.ts'
import type { Authorization } from './authorize.ts'
import type { Denial } from './decision.ts'
import type { MaybePromise } from './outcome.ts'
import type { Reason } from './reason.ts'
import type { RouteRule } from './rule.ts'

export function deny(reason: Reason): Denial {
  return { kind: 'deny', reason }
}

/** For what was thrown where nothing should be. */
export function internalError(cause: unknown): Denial {
  return { ...deny('internal_error'), cause }
}

/** Why a request is refused on a rule: on one that is concealed, as if there were none. */
export function openly(rule: RouteRule, reason: Reason): Denial {
  return deny(rule.conceal ? 'concealed' : reason)
}

/** @param retryAfter seconds, where too many credentials failed */
export function refuse(
  rule: RouteRule,
  found: Authentication,
  answer: Exclude<Authorization, { kind: 'allowed' }>,
  retryAfter: number | undefined,
): Denial {
  const about = { rule, ...aboutCredential(found), ...(rule.hint !== undefined && { hint: rule.hint }) }
  // A cookie taken away, or a time to wait, would tell the route from one that does not exist.
  if (rule.conceal || answer.kind === 'closed') return { ...deny('concealed'), ...about, deadSession: false }
  if (answer.kind === 'insufficient') {
    return { ...deny('insufficient_scope'), ...about, required: answer.required, missing: answer.missing }
  }
  return { ...unproven(found, retryAfter), ...about }
}

/** The refusal of somebody who is nobody. */
export function unauthenticated(found: Authentication, retryAfter: number | undefined): Denial {
  return { ...unproven(found, retryAfter), ...aboutCredential(found) }
}

function unproven(found: Authentication, retryAfter: number | undefined): Denial {
  if (retryAfter !== undefined) return { ...deny('too_many_attempts'), retryAfter }
  if (found.kind !== 'rejected') return deny('no_credential')
  // Not 401: apps take that for the end of their credential, and throw away one that will be good again.
  return deny(found.rejection === 'blocked' ? 'blocked' : 'invalid_credential')
}

/** Counts a credential that was checked and found bad. @returns seconds until the next may be, where too many were */
export function noteFailure(
  attempts: AttemptLimit | undefined,
  found: Authentication,
  client: ClientInfo,
): MaybePromise<number | undefined> {
  return found.kind === 'rejected' ? attempts?.failed(found.credential, found.rejection, client) : undefined
}

function aboutCredential(found: Authentication): Partial<Denial> {
  switch (found.kind) {
    case 'anonymous':
      return {}
    case 'principal': {
      const { principal, credential } = found
      return credential === undefined ? { principal } : { principal, credential }
    }
    case 'rejected': {
      const { principal, credential, rejection, deadSession } = found
      const about = { credential, rejection, deadSession }
      return principal === undefined ? about : { principal, ...about }
    }
  }
}

/** Nothing that fails may pass. */
export function failed(error: unknown): Denial {
  const { code, retryAfter } = asPosternError(error)
  return { ...deny(reasonOf(code)), cause: error, ...(retryAfter !== undefined && { retryAfter }) }
}

/** The same where the rule is known: one that is concealed does not show by what is refused to guessers. */
export function failedOn(rule: RouteRule, error: unknown): Denial {
  const denial = failed(error)
  return denial.reason === 'too_many_attempts' ? { ...denial, ...openly(rule, denial.reason), rule } : denial
}

/** A backend that is away could not be asked: whether the credential is good is what is not known. */
function reasonOf(code: FailureCode): Reason {
  switch (code) {
    case 'question_refused':
    case 'could_not_check':
    case 'upstream_unreachable':
    case 'upstream_timeout':
      return 'could_not_check'
    case 'route_table_unavailable':
    case 'too_many_attempts':
      return code
    case 'config_invalid':
    case 'listen_failed':
    case 'keys_unusable':
    case 'not_running':
    case 'usage':
    case 'permit_spent':
    case 'internal':
      return 'internal_error'
  }
}
