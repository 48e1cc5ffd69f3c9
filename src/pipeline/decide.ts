import type { Credential } from '../identity/credential.ts'
import type { Principal } from '../identity/principal.ts'
import { announcesBody, valuesOf } from '../request/headers.ts'
import type { Hygiene } from '../request/headers.ts'
import type { ClientInfo, GatewayRequest, RawHeaders } from '../request/request.ts'
import type { Attempt, AttemptLimit } from './attempt.ts'
import { authenticate } from './authenticate.ts'
import type { Authentication } from './authenticate.ts'
import { authorize } from './authorize.ts'
import type { Asserter, CredentialCarrier, Decide, Decision, Denial, Presented } from './decision.ts'
import { attempt, chain } from './maybe.ts'
import type { Authenticator, MaybePromise } from './outcome.ts'
import { issuePermit } from './permit.ts'
import { deny, failed, failedOn, noteFailure, openly, refuse, unauthenticated } from './refuse.ts'
import type { RouteMatch, Router, RouteRule } from './rule.ts'
import { checkSocket } from './socket.ts'
import type { SocketPolicy } from './socket.ts'

/** What of a verified credential goes upstream. */
export interface CredentialPolicy {
  outgoing(credential: Credential, principal: Principal): MaybePromise<Credential | undefined>
}

/** What deciding needs, by what it is for. */
export interface DecideOptions {
  readonly router: Router
  readonly identity: {
    readonly carrier: CredentialCarrier
    readonly authenticator: Authenticator
    /** Whether a credential that nobody need verify is known to be revoked. */
    readonly isRevoked?: ((credential: Credential) => MaybePromise<boolean>) | undefined
    /** Who an anonymous visitor is, where the operator configured one. */
    readonly guest: Principal | undefined
    /** Two credentials in one request: let the rules of precedence resolve it, or answer 400. */
    readonly conflict: 'resolve' | 'reject'
  }
  readonly outgoing: {
    readonly hygiene: Hygiene
    readonly policy: CredentialPolicy
    /** The signed identity header, where one is wanted. */
    readonly asserter: Asserter | undefined
    /** Unsigned identity headers, where they are wanted. */
    readonly plain: ((principal: Principal) => RawHeaders) | undefined
  }
  readonly sockets: SocketPolicy
  /** Who is refused before anybody looks at anything else. */
  readonly isBlocked?: ((client: ClientInfo) => boolean) | undefined
  /** Undefined where nothing is presented that could fail. */
  readonly attempts?: AttemptLimit | undefined
}

/** Whose credential a request carries, whatever it asks for. */
export function createIdentify(
  options: Pick<DecideOptions, 'identity' | 'attempts' | 'isBlocked'>,
): (request: GatewayRequest) => MaybePromise<Exclude<Authentication, { kind: 'rejected' }> | Denial> {
  const { authenticator, guest } = options.identity
  return (request) => {
    if (options.isBlocked?.(request.client) === true) return deny('blocked')
    const presented = readCredentials(options.identity, request)
    if (typeof presented === 'string') return deny(presented)
    return attempt<Exclude<Authentication, { kind: 'rejected' }> | Denial>(
      () =>
        chain(authenticate(presented, request.client, authenticator, guest), (found) =>
          found.kind === 'rejected'
            ? chain(noteFailure(options.attempts, found, request.client), (retryAfter) =>
                unauthenticated(found, retryAfter),
              )
            : found,
        ),
      failed,
    )
  }
}

/** What a request presents, or why it may not present that. */
function readCredentials(
  { carrier, conflict }: DecideOptions['identity'],
  { headers }: GatewayRequest,
): Presented | 'several_credentials' | 'conflicting_credentials' {
  const presented = carrier.read(headers)
  if (presented === 'several') return 'several_credentials'
  const { ambient, explicit } = presented
  const isConflict = conflict === 'reject' && ambient !== undefined && explicit !== undefined
  return isConflict ? 'conflicting_credentials' : presented
}

/** Composes the one door. Errors become refusals here: nothing that fails may pass. */
export function createDecide(options: DecideOptions): Decide {
  return (request) =>
    attempt<Decision>(
      () =>
        options.isBlocked?.(request.client) === true
          ? deny('blocked')
          : chain(options.router.match(request.method, request.target.path), (match) =>
              judge(options, request, match),
            ),
      failed,
    )
}

function judge(options: DecideOptions, request: GatewayRequest, match: RouteMatch): MaybePromise<Decision> {
  if (match.kind === 'none') return deny('no_route')
  if (match.kind === 'rule' && match.rule.requirement.kind === 'nobody') {
    return { ...deny('concealed'), rule: match.rule }
  }
  if (isPreflight(request, options.outgoing)) {
    if (match.kind === 'rule' && match.rule.conceal) return { ...deny('concealed'), rule: match.rule }
    return permit(options, request, preflightRule(match), undefined, undefined)
  }
  if (match.kind === 'method_not_allowed') {
    const { allow, template } = match
    return { ...deny('method_not_allowed'), allow, template }
  }
  const { rule } = match
  // Whoever takes sockets in ignores `Upgrade` elsewhere; what comes here all the same would be a tunnel.
  if (request.upgrade && !rule.socket) return { ...deny('no_route'), rule }

  const presented = readCredentials(options.identity, request)
  if (typeof presented === 'string') return { ...openly(rule, presented), rule }
  const input = inputOf(rule, presented)
  if (input !== undefined) {
    return chain(options.identity.isRevoked?.(input) ?? false, (revoked) =>
      permit(options, request, rule, undefined, revoked ? undefined : input),
    )
  }
  return attempt<Decision>(
    () =>
      chain(identify(options, request, rule, presented), (found) => enforce(options, request, rule, found)),
    (error) => failedOn(rule, error),
  )
}

/** The credential that the route takes as its input: it passes unverified, where nobody need be anybody. */
function inputOf(rule: RouteRule, { ambient, explicit }: Presented): Credential | undefined {
  if (rule.input.length === 0 || rule.requirement.kind !== 'public') return undefined
  return [explicit, ambient].find(
    (credential) => credential !== undefined && rule.input.includes(credential.kind),
  )
}

/** On a public route a credential that is bad, or cannot be checked, makes the request anonymous; elsewhere it does not. */
function identify(
  options: DecideOptions,
  request: GatewayRequest,
  rule: RouteRule,
  presented: Presented,
): MaybePromise<Authentication> {
  const { authenticator, guest } = options.identity
  const task = (): MaybePromise<Authentication> =>
    authenticate(presented, request.client, authenticator, guest)
  return rule.requirement.kind === 'public' ? attempt(task, () => ({ kind: 'anonymous' })) : task()
}

function enforce(
  options: DecideOptions,
  request: GatewayRequest,
  rule: RouteRule,
  found: Authentication,
): MaybePromise<Decision> {
  const principal = found.kind === 'principal' ? found.principal : undefined
  const credential = found.kind === 'principal' ? found.credential : undefined
  const answer = authorize(rule, principal)
  if (answer.kind !== 'allowed')
    return chain(noteFailure(options.attempts, found, request.client), (retryAfter) =>
      refuse(rule, found, answer, retryAfter),
    )
  const fault = rule.socket ? checkSocket(options.sockets, request, credential) : undefined
  if (fault !== undefined) return { ...deny(fault), rule, ...(principal && { principal }) }
  return permit(options, request, rule, principal, credential)
}

function permit(
  options: DecideOptions,
  request: GatewayRequest,
  rule: RouteRule,
  principal: Principal | undefined,
  credential: Credential | undefined,
): MaybePromise<Decision> {
  const { hygiene, policy } = options.outgoing
  const outgoing =
    principal !== undefined && credential !== undefined ? policy.outgoing(credential, principal) : credential
  return chain(outgoing, (leaves) => {
    const clean = hygiene.outgoing(request.headers, request.client, request.id)
    const headers = options.identity.carrier.rewrite(clean, leaves)
    const begin = (): MaybePromise<Attempt | undefined> => options.attempts?.begin(request, credential)
    return chain(chain(addIdentity(options, headers, principal, request), begin), (begun) => ({
      kind: 'permit',
      permit: issuePermit({
        requestId: request.id,
        method: request.method,
        target: request.target,
        headers,
        rule,
        principal,
        credential,
        client: request.client,
        upgrade: request.upgrade,
        attempt: begun,
      }),
    }))
  })
}

function addIdentity(
  options: DecideOptions,
  headers: string[],
  principal: Principal | undefined,
  request: GatewayRequest,
): MaybePromise<void> {
  const { asserter, plain } = options.outgoing
  if (principal === undefined) return
  if (plain !== undefined) headers.push(...plain(principal))
  if (asserter === undefined) return
  return chain(asserter.assert(principal, request), (value) => {
    if (value !== undefined) headers.push(asserter.header, value)
  })
}

/**
 * A CORS preflight (Fetch §4.8): a browser sends it without credentials and cannot do otherwise. It must be one at the
 * backend too: with a body, or with what makes it a preflight named in `Connection`, it would arrive as a plain OPTIONS.
 */
function isPreflight(request: GatewayRequest, { hygiene }: DecideOptions['outgoing']): boolean {
  if (request.method !== 'OPTIONS' || request.upgrade || announcesBody(request.headers)) return false
  const sent = hygiene.outgoing(request.headers, request.client, request.id)
  return ['origin', 'access-control-request-method'].every((name) => valuesOf(sent, name).length === 1)
}

function preflightRule(match: Exclude<RouteMatch, { kind: 'none' }>): RouteRule {
  return {
    template: match.kind === 'rule' ? match.rule.template : match.template,
    methods: ['OPTIONS'],
    requirement: { kind: 'public' },
    origin: 'profile',
    conceal: false,
    socket: false,
    input: [],
    backendChecksScopes: false,
    hint: undefined,
  }
}
