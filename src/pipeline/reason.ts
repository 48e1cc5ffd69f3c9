/**
 * Why a request was not served: the closed list that `Postern-Reason`, the log and the metrics share.
 * One row a reason; `docs/reasons.md` is written from this table.
 */
export const REASONS = {
  malformed_request: { status: 400, detail: 'The request is malformed.' },
  ambiguous_target: { status: 400, detail: 'The request target is ambiguous.' },
  foreign_target: { status: 400, detail: 'The request target names another host.' },
  several_hosts: { status: 400, detail: 'The request has several Host headers, or none that is valid.' },
  several_credentials: { status: 400, detail: 'The request has several Authorization headers.' },
  conflicting_credentials: { status: 400, detail: 'The request carries two credentials.' },
  polling_disabled: { status: 400, detail: 'This transport is not available; use WebSocket.' },
  needs_rewriting: {
    status: 400,
    detail: 'The request would have to be changed, and the proxy that asks sends it on unchanged.',
  },
  unclear_question: { status: 400, detail: 'The proxy does not say what was asked for, or says it twice.' },
  no_credential: { status: 401, detail: 'Not authenticated' },
  invalid_credential: { status: 401, detail: 'Not authenticated' },
  insufficient_scope: { status: 403, detail: 'Forbidden' },
  untrusted_caller: { status: 403, detail: 'This address may not ask for decisions.' },
  foreign_origin: { status: 403, detail: 'This origin may not open a socket.' },
  no_route: { status: 404, detail: 'Not Found' },
  concealed: { status: 404, detail: 'Not Found' },
  method_not_allowed: { status: 405, detail: 'Method Not Allowed' },
  request_timeout: { status: 408, detail: 'The request did not arrive in time.' },
  content_too_large: { status: 413, detail: 'The request body is too large.' },
  expectation_failed: { status: 417, detail: 'The only expectation that can be met is 100-continue.' },
  too_much_at_once: { status: 429, detail: 'This client has too much under way at once.' },
  too_many_attempts: { status: 429, detail: 'Too many attempts failed; try again later.' },
  headers_too_large: { status: 431, detail: 'The request headers are too large.' },
  upstream_unreachable: { status: 502, detail: 'The backend could not be reached.' },
  could_not_check: { status: 503, detail: 'The credential could not be checked just now.' },
  route_table_unavailable: { status: 503, detail: 'The routes of the backend could not be read just now.' },
  internal_error: { status: 503, detail: 'The gateway could not decide.' },
  overloaded: { status: 503, detail: 'Too much is under way just now.' },
  upstream_timeout: { status: 504, detail: 'The backend did not answer in time.' },
} as const satisfies Record<string, { status: number; detail: string }>

export type Reason = keyof typeof REASONS
