import { PosternError } from '../errors.ts'
import { reasonOfFault } from '../edge/intake.ts'
import type { Runtime } from '../gateway/runtime.ts'
import type { Principal } from '../identity/principal.ts'
import { ScopeSet } from '../identity/scope.ts'
import type { Decision } from '../pipeline/decision.ts'
import { REASONS } from '../pipeline/reason.ts'
import type { RouteMatch, RouteRule } from '../pipeline/rule.ts'
import type { GatewayRequest } from '../request/request.ts'
import { parseTarget } from '../request/target.ts'
import type { CanonicalTarget, TargetFault } from '../request/target.ts'
import { describeRequirement } from '../routes/requirement.ts'
import { listed, parseCommand } from './arguments.ts'
import { CONFIG_OPTIONS } from './configure.ts'
import type { CliContext } from './context.ts'
import { explainRefusal, isRequestId } from './live/refusal.ts'
import { withRuntime } from './runtime.ts'

export const EXPLAIN_USAGE = [
  'postern explain REQUEST-ID [--json] [--admin URL|SOCKET] [--config FILE]',
  'postern explain METHOD PATH [--as anonymous|user:NAME|token:ID|scopes:a,b] [--json] [--config FILE]',
]

/** A decision, step by step. */
interface Walk {
  readonly method: string
  readonly target: string
  readonly rule: string
  readonly requires: string
  readonly as: string
  readonly scopes: readonly string[] | null
  readonly decision: string
}

/**
 * `postern explain`: what would be decided, and by which rule; or why a request was refused. Nothing is forwarded.
 * @throws PosternError `usage` for a principal that there is not
 */
export async function runExplain(args: readonly string[], context: CliContext): Promise<void> {
  if (args.some(isRequestId)) return explainRefusal(args, context)
  const { values, operands } = parseCommand(args, ['METHOD', 'PATH'], {
    ...CONFIG_OPTIONS,
    as: { type: 'string', default: 'anonymous' },
    json: { type: 'boolean' },
  })
  const [method = '', path = ''] = operands
  if (!/^(?:\/|https?:|\*$)/i.test(path))
    throw new PosternError('usage', `A path begins with /, not as '${path}'.`)
  const parsed = parseTarget(path, method.toUpperCase(), 'localhost')
  await withRuntime(values, context, async (runtime) => {
    const walk = parsed.ok
      ? await walkThrough(runtime, requestOf(method.toUpperCase(), parsed.target), values.as)
      : refused(method.toUpperCase(), path, parsed.fault)
    if (values.json === true) context.out(JSON.stringify(walk, undefined, 2))
    else for (const line of linesOf(walk)) context.out(line)
  })
}

/** What ends before anybody looks at rules and credentials. */
function refused(method: string, target: string, fault: TargetFault): Walk {
  const reason = reasonOfFault(fault)
  const decision = `deny ${REASONS[reason].status} ${reason}: ${fault}`
  return { method, target, rule: '-', requires: '-', as: '-', scopes: null, decision }
}

function requestOf(method: string, target: CanonicalTarget): GatewayRequest {
  const client = {
    address: '127.0.0.1',
    peer: '127.0.0.1',
    scheme: 'http',
    host: 'localhost',
    forwardedFor: '127.0.0.1',
  } as const
  return { id: 'explain', method, target, headers: [], client, upgrade: false }
}

async function walkThrough(runtime: Runtime, request: GatewayRequest, as: string): Promise<Walk> {
  const principal = await principalOf(runtime, as)
  const match = await runtime.router.match(request.method, request.target.path)
  const decision = await runtime.decideAs(principal)(request)
  const rule = match.kind === 'rule' ? match.rule : undefined
  return {
    method: request.method,
    target: request.target.value,
    rule: ruleOf(match),
    requires: rule === undefined ? '-' : describeRequirement(rule.requirement),
    as: principal === undefined ? 'anonymous' : nameOf(principal),
    scopes: principal?.grant.kind === 'known' ? principal.grant.scopes.names : null,
    decision: outcomeOf(runtime, decision),
  }
}

async function principalOf(runtime: Runtime, as: string): Promise<Principal | undefined> {
  const colon = as.indexOf(':')
  const [kind, value] = colon === -1 ? [as, ''] : [as.slice(0, colon), as.slice(colon + 1)]
  if (kind === 'anonymous') return runtime.profile.guest
  if (kind === 'scopes') return madeUp(ScopeSet.of(listed(value)))
  if (kind !== 'user' && kind !== 'token') {
    throw new PosternError('usage', `--as takes anonymous, user:NAME, token:ID or scopes:a,b, not '${as}'.`)
  }
  const principal = await runtime.profile.look(kind, value)
  if (principal !== undefined) return principal
  if (runtime.profile.lookups.length === 0)
    throw new PosternError('usage', `--as ${kind}: only RomM knows, unless romm.database is given.`)
  throw new PosternError('usage', `There is no ${kind} '${value}' that could sign in.`)
}

function madeUp(scopes: ScopeSet): Principal {
  return {
    mode: 'token',
    owner: { subject: '0', username: 'somebody', role: undefined },
    grant: { kind: 'known', scopes },
    expiresAt: undefined,
    tokenId: undefined,
    deviceId: undefined,
  }
}

function outcomeOf(runtime: Runtime, decision: Decision): string {
  if (decision.kind === 'permit') return 'permit'
  const { status } = runtime.profile.answers.refusal(decision.reason) ?? REASONS[decision.reason]
  const missing = decision.missing === undefined ? '' : `: missing ${decision.missing.join(', ')}`
  return `deny ${status} ${decision.reason}${missing}`
}

function ruleOf(match: RouteMatch): string {
  switch (match.kind) {
    case 'rule':
      return `${methodsOf(match.rule)} ${match.rule.template} (${match.rule.origin})`
    case 'method_not_allowed':
      return `${match.allow.join(',')} ${match.template}, and no other method`
    case 'none':
      return 'none'
  }
}

function methodsOf(rule: RouteRule): string {
  return rule.methods === '*' ? '*' : rule.methods.join(',')
}

function nameOf({ owner, mode, tokenId }: Principal): string {
  const name = owner?.username ?? 'somebody unknown'
  return tokenId === undefined ? `${name} (${mode})` : `${name} (${mode} ${tokenId})`
}

function linesOf(walk: Walk): string[] {
  const rows = [
    ['target', walk.target],
    ['rule', walk.rule],
    ['requires', walk.requires],
    ['as', walk.as],
    ['scopes', walk.scopes === null ? '-' : walk.scopes.join(' ')],
    ['decision', walk.decision],
  ]
  return [walk.method, ...rows.map(([name = '', value = '']) => `  ${name.padEnd(10)}${value}`)]
}
