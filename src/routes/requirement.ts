import type { Requirement, RouteRule } from '../pipeline/rule.ts'

const STRICTNESS = [
  'public',
  'authenticated',
  'scopes',
  'nobody',
] as const satisfies readonly Requirement['kind'][]

/** What satisfies both: of two kinds the stricter, of two lists of scopes the union, and guests only where both take them. */
function bothRequired(a: Requirement, b: Requirement): Requirement {
  const [stricter, other] = STRICTNESS.indexOf(a.kind) >= STRICTNESS.indexOf(b.kind) ? [a, b] : [b, a]
  const guests = takesGuests(a) && takesGuests(b)
  switch (stricter.kind) {
    case 'public':
    case 'nobody':
      return stricter
    case 'authenticated':
      return { kind: 'authenticated', guests }
    case 'scopes': {
      const scopes = other.kind === 'scopes' ? stricter.scopes.union(other.scopes) : stricter.scopes
      return guests ? { kind: 'scopes', scopes } : { kind: 'scopes', scopes, guests }
    }
  }
}

function takesGuests(requirement: Requirement): boolean {
  switch (requirement.kind) {
    case 'public':
      return true
    case 'nobody':
      return false
    case 'authenticated':
      return requirement.guests === true
    case 'scopes':
      return requirement.guests !== false
  }
}

/** A rule that lets through only what both would; it has `a`'s template, methods and origin. */
export function bothRules(a: RouteRule, b: RouteRule): RouteRule {
  return Object.freeze({
    ...a,
    requirement: bothRequired(a.requirement, b.requirement),
    conceal: a.conceal || b.conceal,
    socket: a.socket && b.socket,
    input: a.input.filter((kind) => b.input.includes(kind)),
    backendChecksScopes: a.backendChecksScopes && b.backendChecksScopes,
    hint: a.hint ?? b.hint,
  })
}

/** `public`, `authenticated`, `closed`, or the scopes as OAuth writes them. */
export function describeRequirement(requirement: Requirement): string {
  switch (requirement.kind) {
    case 'public':
    case 'authenticated':
      return requirement.kind
    case 'nobody':
      return 'closed'
    case 'scopes':
      return requirement.scopes.toString()
  }
}
