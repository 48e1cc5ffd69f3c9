import type { Requirement, RouteRule } from '../pipeline/rule.ts'

const STRICTNESS = [
  'public',
  'authenticated',
  'scopes',
  'nobody',
] as const satisfies readonly Requirement['kind'][]

/** What satisfies both: of two kinds the stricter, of two lists of scopes the union. */
function bothRequired(a: Requirement, b: Requirement): Requirement {
  if (a.kind === 'scopes' && b.kind === 'scopes') return { kind: 'scopes', scopes: a.scopes.union(b.scopes) }
  return STRICTNESS.indexOf(a.kind) >= STRICTNESS.indexOf(b.kind) ? a : b
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
