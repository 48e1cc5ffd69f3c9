import type { Hygiene } from '../request/headers.ts'
import type { GatewayRequest, RawHeaders } from '../request/request.ts'
import type { Decide, Decision } from './decision.ts'
import { attempt, chain } from './maybe.ts'
import { issuePermit } from './permit.ts'
import type { Reason } from './reason.ts'
import { failed } from './refuse.ts'
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
}

/** What a decision becomes while it does not count. */
export type Observe = (request: GatewayRequest, decision: Decision) => Decision

/**
 * Makes a denial a permit that is marked as one. It says nothing of who is asking: nobody here has vouched for them, so there is
 * neither assertion nor identity header, and whatever the client says in their names is deleted as ever.
 */
export function createObserve({ hygiene, credentials }: ObserveOptions): Observe {
  return (request, decision) => {
    if (decision.kind === 'permit' || !FORWARDED[decision.reason]) return decision
    const { id: requestId, method, target, client, upgrade } = request
    const headers = credentials(hygiene.outgoing(request.headers, client, requestId))
    const rule = decision.rule ?? NO_RULE
    const nobody = { principal: undefined, credential: undefined }
    const permit = {
      requestId,
      method,
      target,
      headers,
      rule,
      ...nobody,
      client,
      upgrade,
      observed: decision,
    }
    return { kind: 'permit', permit: issuePermit(permit) }
  }
}

/** `decide`, with its denials observed. */
export function observing(decide: Decide, observe: Observe): Decide {
  return (request) =>
    chain(decide(request), (decision) => attempt<Decision>(() => observe(request, decision), failed))
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
