import type { Credential } from '../identity/credential.ts'
import { valuesOf } from '../request/headers.ts'
import type { GatewayRequest } from '../request/request.ts'
import type { Reason } from './reason.ts'

export interface SocketPolicy {
  /** Origins other than our own from which a browser may open a socket with its cookie; `https://host[:port]`, lower case. */
  readonly origins: ReadonlySet<string>
}

/**
 * What forbids this socket, or this request to a socket's path.
 *
 * A browser sends cookies with a socket that any page opens, and no CORS check stops it: so a socket that rides on a
 * cookie must come from our own pages, or listed ones; `null` and sibling hosts are neither. Apps send no `Origin` at all.
 */
export function checkSocket(
  policy: SocketPolicy,
  request: GatewayRequest,
  credential: Credential | undefined,
): Extract<Reason, 'foreign_origin' | 'polling_disabled'> | undefined {
  // engine.io identifies a poll by `sid` alone, so whoever knows it continues somebody else's connection.
  if (new URLSearchParams(request.target.search).has('sid')) return 'polling_disabled'
  if (!request.upgrade || credential?.kind !== 'session') return undefined
  const origins = valuesOf(request.headers, 'origin')
  const own = `${request.client.scheme}://${request.client.host}`.toLowerCase()
  const isOurs = origins.every(
    (origin) => origin.toLowerCase() === own || policy.origins.has(origin.toLowerCase()),
  )
  return isOurs && origins.length <= 1 ? undefined : 'foreign_origin'
}
