import { ScopeSet } from '../identity/scope.ts'
import type { Requirement, RouteRule } from '../pipeline/rule.ts'
import type { RouteLayer } from './layer.ts'
import { parseTemplate, templateText } from './template.ts'

/** One of the operator's `rules:`, as the configuration holds it. */
export interface RuleSetting {
  readonly path: string
  readonly methods?: readonly string[] | undefined
  readonly public?: boolean | undefined
  readonly authenticated?: boolean | undefined
  readonly scopes?: readonly string[] | undefined
  /** Shorthand for one rule a method. */
  readonly scopesByMethod?: Readonly<Record<string, readonly string[]>> | undefined
  readonly closed?: boolean | undefined
  /** Public even where a wildcard covers rows that are protected. */
  readonly dangerouslyPublic?: boolean | undefined
  readonly conceal?: boolean | undefined
  readonly socket?: boolean | undefined
}

export interface RuleProblem {
  /** `rules[3].scopes` */
  readonly path: string
  readonly message: string
}

export type RulesReading =
  | { readonly ok: true; readonly layer: RouteLayer }
  | { readonly ok: false; readonly problems: readonly RuleProblem[] }

type Report = (setting: string, message: string) => void

const REQUIREMENTS = ['public', 'authenticated', 'scopes', 'scopesByMethod', 'closed'] as const
const METHOD = /^[A-Z][A-Z0-9-]*$/
/** RFC 6749 §3.3 scope-token. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/** The operator's rules as the table's first layer; every problem at once. */
export function readRules(settings: readonly RuleSetting[]): RulesReading {
  const problems: RuleProblem[] = []
  const owners = new Map<string, number>()
  const dangerouslyPublic = new Set<RouteRule>()
  const rules = settings.flatMap((setting, i) => {
    const report: Report = (name, message) =>
      problems.push({ path: `rules[${i}]${name && `.${name}`}`, message })
    check(setting, report)
    const rows = toRules(setting)
    claim(setting.path, rows, (key) => {
      const owner = owners.get(key)
      owners.set(key, owner ?? i)
      if (owner !== undefined) report('path', `rules[${owner}] already speaks for ${key}`)
    })
    if (setting.dangerouslyPublic === true) for (const row of rows) dangerouslyPublic.add(row)
    return rows
  })
  return problems.length > 0 ? { ok: false, problems } : { ok: true, layer: { rules, dangerouslyPublic } }
}

function check(setting: RuleSetting, report: Report): void {
  const parsed = parseTemplate(setting.path, true)
  if (!parsed.ok) report('path', parsed.fault)
  checkRequirement(setting, report)
  const { methods, scopesByMethod, scopes } = setting
  if (methods?.length === 0) report('methods', 'leave it out to speak for every method')
  if (methods && scopesByMethod) report('methods', 'scopesByMethod names the methods already')
  checkMethods('methods', methods ?? [], report)
  if (scopesByMethod && Object.keys(scopesByMethod).length === 0)
    report('scopesByMethod', 'no method is named')
  checkMethods('scopesByMethod', Object.keys(scopesByMethod ?? {}), report)
  if (scopes) checkScopes('scopes', scopes, report)
  for (const [method, list] of Object.entries(scopesByMethod ?? {})) {
    checkScopes(`scopesByMethod.${method}`, list, report)
  }
  // RFC 6455 §4.1: an upgrade is asked for with GET.
  const spoken = methods ?? (scopesByMethod && Object.keys(scopesByMethod))
  if (setting.socket === true && spoken && !spoken.includes('GET'))
    report('socket', 'a socket opens with GET')
}

function checkRequirement(setting: RuleSetting, report: Report): void {
  const asked = REQUIREMENTS.filter((name) => setting[name] !== undefined && setting[name] !== false)
  // The ugly word says `public` by itself.
  if (setting.dangerouslyPublic === true && !asked.includes('public')) asked.push('public')
  if (asked.length !== 1) {
    const got = asked.length === 0 ? 'none is given' : `${asked.join(' and ')} are given`
    report('', `exactly one of ${REQUIREMENTS.join(', ')} is needed; ${got}`)
  }
}

function checkMethods(name: string, methods: readonly string[], report: Report): void {
  for (const method of methods) {
    // RFC 9110 §9.1: method names are case-sensitive.
    if (!METHOD.test(method)) report(name, `${method} is no method; methods are written in capitals`)
  }
}

function checkScopes(name: string, scopes: readonly string[], report: Report): void {
  if (scopes.length === 0)
    report(name, 'no scope is named; say authenticated to let any good credential pass')
  for (const scope of scopes) if (!SCOPE.test(scope)) report(name, `${JSON.stringify(scope)} is no scope`)
}

function toRules(setting: RuleSetting): RouteRule[] {
  const byMethod = Object.entries(setting.scopesByMethod ?? {})
  if (byMethod.length === 0) return [toRule(setting, setting.methods ?? '*', requirementOf(setting))]
  return byMethod.map(([method, scopes]) =>
    toRule(setting, [method], { kind: 'scopes', scopes: ScopeSet.of(scopes) }),
  )
}

function toRule(setting: RuleSetting, methods: RouteRule['methods'], requirement: Requirement): RouteRule {
  return {
    template: setting.path,
    methods,
    requirement,
    origin: 'operator',
    conceal: setting.conceal ?? false,
    socket: setting.socket ?? false,
    input: [],
    backendChecksScopes: false,
    hint: undefined,
  }
}

function requirementOf(setting: RuleSetting): Requirement {
  if (setting.public === true || setting.dangerouslyPublic === true) return { kind: 'public' }
  if (setting.authenticated === true) return { kind: 'authenticated' }
  return setting.scopes ? { kind: 'scopes', scopes: ScopeSet.of(setting.scopes) } : { kind: 'nobody' }
}

/** Names each method and template that a rule speaks for; parameter names and a trailing slash are no difference. */
function claim(path: string, rules: readonly RouteRule[], take: (key: string) => void): void {
  const parsed = parseTemplate(path, true)
  if (!parsed.ok) return
  for (const { methods } of rules) {
    for (const method of methods === '*' ? ['every method'] : methods)
      take(`${method} of ${templateText(parsed.template)}`)
  }
}
