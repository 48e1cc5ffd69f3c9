import type { Credential } from '../identity/credential.ts'
import type { Hygiene } from '../request/headers.ts'
import type { GatewayRequest, RawHeaders } from '../request/request.ts'
import type { DecideOptions } from './decide.ts'
import type { Decide, Decision, Denial } from './decision.ts'
import { attempt, chain } from './maybe.ts'
import type { MaybePromise } from './outcome.ts'
import { issuePermit } from './permit.ts'
import type { Reason } from './reason.ts'
import { deny, failed, openly } from './refuse.ts'
import type { RouteRule } from './rule.ts'

/**
 * Observing: what is refused is noted and forwarded all the same, so that an operator sees what enforcing would break. What
 * nobody could read in one way alone stays refused, and so does what would be too much; both concern the gateway, not the backend.
 */
const FORWARDED = {
  malformed_request: false,
  ambiguous_target: false,
  foreign_target: false,
  several_hosts: false,
  several_credentials: false,
  conflicting_credentials: true,
  polling_disabled: true,
  needs_rewriting: true,
  unclear_question: false,
  no_credential: true,
  invalid_credential: true,
  insufficient_scope: true,
  untrusted_caller: false,
  // Somebody asked for it by name, and means it now.
  blocked: false,
  foreign_origin: true,
  no_route: true,
  concealed: true,
  method_not_allowed: true,
  request_timeout: false,
  content_too_large: false,
  expectation_failed: false,
  too_much_at_once: false,
  too_many_attempts: true,
  headers_too_large: false,
  upstream_unreachable: false,
  could_not_check: true,
  route_table_unavailable: true,
  internal_error: true,
  overloaded: false,
  upstream_timeout: false,
} as const satisfies Record<Reason, boolean>

export interface ObserveOptions {
  readonly hygiene: Hygiene
  /** What of the client's credentials goes on, where none was found good; the backend is to judge for itself. */
  readonly credentials: (headers: RawHeaders) => RawHeaders
  readonly identity: Pick<DecideOptions['identity'], 'carrier' | 'authenticator'>
  /** Somebody is blocked: whoever would be forwarded is looked at. */
  readonly isAnybodyBlocked: () => boolean
}

/** What a decision becomes while it does not count. */
export type Observe = (request: GatewayRequest, decision: Decision) => MaybePromise<Decision>

/**
 * Makes a denial a permit that is marked as one. It says nothing of who is asking: nobody here has vouched for them, so there is
 * neither assertion nor identity header, and whatever the client says in their names is deleted as ever.
 */
export function createObserve(options: ObserveOptions): Observe {
  return (request, decision) => {
    if (decision.kind === 'permit' || !FORWARDED[decision.reason]) return decision
    const { rule } = decision
    const look = (): MaybePromise<Reason | undefined> =>
      options.isAnybodyBlocked() ? stillRefused(options.identity, request) : undefined
    return attempt<Decision>(
      () =>
        chain(look(), (reason) => {
          if (reason === undefined) return forwarded(options, request, decision)
          return rule === undefined ? deny(reason) : { ...openly(rule, reason), rule }
        }),
      failed,
    )
  }
}

/**
 * Any credential of the request goes on, and the backend may take another than was decided on here, or look at one where
 * nobody did: so none of them may be a blocked one's, and what cannot be checked does not pass for somebody else's.
 */
function stillRefused(
  { carrier, authenticator }: ObserveOptions['identity'],
  { headers, client }: GatewayRequest,
): MaybePromise<Reason | undefined> {
  const presented = carrier.read(headers)
  if (presented === 'several') return 'several_credentials'
  const { ambient, explicit } = presented
  return chain(isBlocked(ambient), (first) =>
    chain(first || isBlocked(explicit), (either) => (either ? 'blocked' : undefined)),
  )

  function isBlocked(credential: Credential | undefined): MaybePromise<boolean> {
    if (credential === undefined) return false
    return chain(
      authenticator.authenticate(credential, client),
      (outcome) => outcome.kind === 'rejected' && outcome.rejection === 'blocked',
    )
  }
}

function forwarded(
  { hygiene, credentials }: ObserveOptions,
  request: GatewayRequest,
  observed: Denial,
): Decision {
  const { id: requestId, method, target, client, upgrade } = request
  const headers = credentials(hygiene.outgoing(request.headers, client, requestId))
  const rule = observed.rule ?? NO_RULE
  const nobody = { principal: undefined, credential: undefined }
  const permit = { requestId, method, target, headers, rule, ...nobody, client, upgrade, observed }
  return { kind: 'permit', permit: issuePermit(permit) }
}

/** `decide`, with its denials observed. */
export function observing(decide: Decide, observe: Observe): Decide {
  return (request) => chain(decide(request), (decision) => observe(request, decision))
}

/** Answers to what no rule speaks for are nobody else's. */
const NO_RULE: RouteRule = {
  template: 'none',
  methods: '*',
  requirement: { kind: 'authenticated' },
  origin: 'profile',
  conceal: false,
  socket: false,
  input: [],
  backendChecksScopes: false,
  hint: undefined,
}
