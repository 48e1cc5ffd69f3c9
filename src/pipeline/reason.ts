/**
 * Why a request was not served: the closed list that `Postern-Reason`, the log and the metrics share.
 * One row a reason; `docs/reasons.md` is written from this table. `hint`: what to do about it, where that is known.
 */
export const REASONS = {
  malformed_request: {
    status: 400,
    detail: 'The request is malformed.',
    hint: "Send it as RFC 9112 has it; the gateway's log names what is wrong with it.",
  },
  ambiguous_target: {
    status: 400,
    detail: 'The request target is ambiguous.',
    hint: 'Encode each path segment once; no dot segments, backslashes or encoded slashes.',
  },
  foreign_target: {
    status: 400,
    detail: 'The request target names another host.',
    hint: 'Send the path alone, or the host that Host names.',
  },
  several_hosts: {
    status: 400,
    detail: 'The request has several Host headers, or none that is valid.',
    hint: 'Send one Host header.',
  },
  several_credentials: {
    status: 400,
    detail: 'The request has several Authorization headers.',
    hint: 'Send one Authorization header.',
  },
  conflicting_credentials: {
    status: 400,
    detail: 'The request carries two credentials.',
    hint: 'Send the session cookie or Authorization, not both.',
  },
  polling_disabled: {
    status: 400,
    detail: 'This transport is not available; use WebSocket.',
    hint: "Open the socket with the WebSocket transport alone (socket.io: transports: ['websocket']).",
  },
  needs_rewriting: {
    status: 400,
    detail: 'The request would have to be changed, and the proxy that asks sends it on unchanged.',
    hint: 'Send one credential in its plain form, and no header that only a proxy writes.',
  },
  unclear_question: {
    status: 400,
    detail: 'The proxy does not say what was asked for, or says it twice.',
    hint: 'For the operator: docs/decision-api.md has the configuration of each proxy.',
  },
  no_credential: {
    status: 401,
    detail: 'Not authenticated',
    hint: 'Sign in, or send the credential with this very request.',
  },
  invalid_credential: {
    status: 401,
    detail: 'Not authenticated',
    hint: 'It is unknown, expired or revoked: get a new one, and do not repeat this one.',
  },
  blocked: {
    status: 403,
    detail: 'Forbidden',
    hint: 'The operator has blocked this for a while; signing in again does not help.',
  },
  insufficient_scope: {
    status: 403,
    detail: 'Forbidden',
    hint: 'Get a credential that has what is missing.',
  },
  untrusted_caller: {
    status: 403,
    detail: 'This address may not ask for decisions.',
    hint: "For the operator: name the proxy's address in decision.callers.",
  },
  foreign_origin: {
    status: 403,
    detail: 'This origin may not open a socket.',
    hint: "For the operator: name the page's origin in sockets.origins.",
  },
  no_route: { status: 404, detail: 'Not Found', hint: undefined },
  concealed: { status: 404, detail: 'Not Found', hint: undefined },
  method_not_allowed: {
    status: 405,
    detail: 'Method Not Allowed',
    hint: 'Allow names the methods that there are.',
  },
  request_timeout: {
    status: 408,
    detail: 'The request did not arrive in time.',
    hint: 'Send the whole request without long pauses.',
  },
  content_too_large: {
    status: 413,
    detail: 'The request body is too large.',
    hint: 'Send fewer bytes, and chunks without extensions.',
  },
  expectation_failed: {
    status: 417,
    detail: 'The only expectation that can be met is 100-continue.',
    hint: 'Send Expect: 100-continue, or none.',
  },
  too_much_at_once: {
    status: 429,
    detail: 'This client has too much under way at once.',
    hint: 'Let earlier requests end first; ask again after Retry-After seconds.',
  },
  too_many_attempts: {
    status: 429,
    detail: 'Too many attempts failed; try again later.',
    hint: 'Ask again after Retry-After seconds, and not with a credential that was refused.',
  },
  headers_too_large: {
    status: 431,
    detail: 'The request headers are too large.',
    hint: 'Send fewer and shorter headers.',
  },
  upstream_unreachable: {
    status: 502,
    detail: 'The backend could not be reached.',
    hint: 'Ask again later: this says nothing about the credential.',
  },
  could_not_check: {
    status: 503,
    detail: 'The credential could not be checked just now.',
    hint: 'Ask again after Retry-After seconds with the same credential: it was not found bad.',
  },
  route_table_unavailable: {
    status: 503,
    detail: 'The routes of the backend could not be read just now.',
    hint: 'Ask again after Retry-After seconds: this says nothing about the credential.',
  },
  internal_error: {
    status: 503,
    detail: 'The gateway could not decide.',
    hint: 'Ask again after Retry-After seconds: this says nothing about the credential.',
  },
  overloaded: {
    status: 503,
    detail: 'Too much is under way just now.',
    hint: 'Ask again after Retry-After seconds: this says nothing about the credential.',
  },
  upstream_timeout: {
    status: 504,
    detail: 'The backend did not answer in time.',
    hint: 'Ask again later: this says nothing about the credential.',
  },
} as const satisfies Record<string, { status: number; detail: string; hint: string | undefined }>

export type Reason = keyof typeof REASONS
