import type { Principal } from '../identity/principal.ts'
import { ScopeSet } from '../identity/scope.ts'
import type { RouteRule } from './rule.ts'

export type Authorization =
  | { readonly kind: 'allowed' }
  | { readonly kind: 'unauthenticated' }
  | { readonly kind: 'closed' }
  | {
      readonly kind: 'insufficient'
      readonly required: readonly string[]
      readonly missing: readonly string[]
    }

const allowed: Authorization = Object.freeze({ kind: 'allowed' })
const unauthenticated: Authorization = Object.freeze({ kind: 'unauthenticated' })
const closed: Authorization = Object.freeze({ kind: 'closed' })

/** Whether `principal` may pass `rule`. Runs after every cache, on every request. */
export function authorize(rule: RouteRule, principal: Principal | undefined): Authorization {
  const { requirement } = rule
  switch (requirement.kind) {
    case 'public':
      return allowed
    case 'nobody':
      return closed
    case 'authenticated':
      if (principal === undefined) return unauthenticated
      // The guest holds scopes, but nobody has said who it is.
      return principal.mode !== 'guest' || requirement.guests === true ? allowed : unauthenticated
    case 'scopes':
      if (principal === undefined) return unauthenticated
      return principal.mode === 'guest' && requirement.guests === false
        ? unauthenticated
        : compare(rule, requirement.scopes, principal)
  }
}

function compare(rule: RouteRule, required: ScopeSet, principal: Principal): Authorization {
  const { grant } = principal
  switch (grant.kind) {
    case 'known':
      return grant.scopes.hasAll(required) ? allowed : insufficient(required, grant.scopes)
    case 'deferred': {
      const bound = grant.within
      if (bound !== undefined && !bound.hasAll(required)) return insufficient(required, bound)
      return rule.backendChecksScopes ? allowed : insufficient(required, ScopeSet.none)
    }
  }
}

function insufficient(required: ScopeSet, held: ScopeSet): Authorization {
  return { kind: 'insufficient', required: required.names, missing: held.missing(required) }
}
