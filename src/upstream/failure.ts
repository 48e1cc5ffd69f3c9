/** Why an exchange with the upstream came to nothing; both are reasons of the closed list, with 502 and 504. */
export type UpstreamFailure = 'upstream_unreachable' | 'upstream_timeout'

const TIMEOUTS: ReadonlySet<unknown> = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'ETIMEDOUT',
])

// How it looks when the upstream closed an idle connection just as we sent on it.
const STALE: ReadonlySet<unknown> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'])

// RFC 9110 §9.2.1: safe methods, so sending one twice does no harm.
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

export function failureOf(error: unknown): UpstreamFailure {
  return TIMEOUTS.has(codeOf(error)) ? 'upstream_timeout' : 'upstream_unreachable'
}

/** Whether the request may be sent once more: RFC 9110 §9.2.2, and only if nothing of an answer came. */
export function isStaleConnection(error: unknown, method: string): boolean {
  return SAFE.has(method) && isBroken(error)
}

/** Whether the connection broke, or was closed. */
export function isBroken(error: unknown): boolean {
  return STALE.has(codeOf(error))
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

/** The upstream closed the connection before its answer was over. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost'
  readonly code = 'ECONNRESET'

  constructor() {
    super('the upstream closed the connection')
  }
}

/** It would still be waited for. */
export class TookTooLong extends Error {
  override readonly name = 'TookTooLong'
  readonly code = 'ETIMEDOUT'

  constructor(what: string) {
    super(`${what} took too long`)
  }
}

/** The client went away: nobody is left to answer, and nobody is to blame. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone'
}
