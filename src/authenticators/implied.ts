import type { Principal } from '../identity/principal.ts'
import { ScopeSet } from '../identity/scope.ts'
import { chain } from '../pipeline/maybe.ts'
import { authenticated } from '../pipeline/outcome.ts'
import type { Authenticator } from '../pipeline/outcome.ts'

/** Which scopes bring which others with them. */
export type Implications = Readonly<Record<string, readonly string[]>>

/** `inner`, whose principals also hold what their scopes imply, directly or through others. */
export function withImplied(inner: Authenticator, implications: Implications): Authenticator {
  if (Object.keys(implications).length === 0) return inner
  const expanded = new WeakMap<Principal, Principal>()

  const expand = (principal: Principal): Principal => {
    const { grant } = principal
    if (grant.kind !== 'known') return principal
    const known = expanded.get(principal)
    if (known !== undefined) return known
    const wider = Object.freeze({
      ...principal,
      grant: { ...grant, scopes: closure(grant.scopes, implications) },
    })
    expanded.set(principal, wider)
    return wider
  }

  return {
    authenticate: (credential, client) =>
      chain(inner.authenticate(credential, client), (outcome) =>
        outcome.kind === 'authenticated' ? authenticated(expand(outcome.principal)) : outcome,
      ),
  }
}

function closure(scopes: ScopeSet, implications: Implications): ScopeSet {
  const held = new Set(scopes)
  // A set yields what is added to it while it is walked.
  for (const scope of held) for (const implied of implications[scope] ?? []) held.add(implied)
  return ScopeSet.of(held)
}
