import { readFileSync } from 'node:fs'
import { ScopeSet } from '../../src/identity/scope.ts'
import type { RouteMatch, RouteRule } from '../../src/pipeline/rule.ts'
import { describeRequirement } from '../../src/routes/requirement.ts'

/** `public`, `authenticated`, `closed`, or scopes with spaces between them. */
export function rule(template: string, requires: string, more: Partial<RouteRule> = {}): RouteRule {
  const names: Record<string, RouteRule['requirement']> = {
    public: { kind: 'public' },
    authenticated: { kind: 'authenticated' },
    closed: { kind: 'nobody' },
  }
  return {
    template,
    methods: '*',
    requirement: names[requires] ?? { kind: 'scopes', scopes: ScopeSet.of(requires.split(' ')) },
    origin: 'document',
    conceal: false,
    socket: false,
    input: [],
    backendChecksScopes: false,
    hint: undefined,
    ...more,
  }
}

/** What a match comes to: the requirement, `405 <allow>` or `404`. */
export function outcome(match: RouteMatch): string {
  switch (match.kind) {
    case 'rule':
      return describeRequirement(match.rule.requirement)
    case 'method_not_allowed':
      return `405 ${match.allow.join(',')}`
    case 'none':
      return '404'
  }
}

export interface RommRoute {
  readonly method: string
  readonly path: string
  readonly scopes: readonly string[]
  readonly public: boolean
}

const facts = new URL('../parity/facts/', import.meta.url)

export const rommDocument = readFileSync(new URL('openapi.json', facts), 'utf8')
export const rommRoutes = (
  JSON.parse(readFileSync(new URL('routes.json', facts), 'utf8')) as { routes: readonly RommRoute[] }
).routes
