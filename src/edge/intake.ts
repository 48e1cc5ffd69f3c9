import { TLSSocket } from 'node:tls'
import type { Reason } from '../pipeline/reason.ts'
import type { ClientResolver } from '../request/client.ts'
import type { IncomingRequest } from '../request/exchange.ts'
import { announcesBody, hostOf, plainFraming, valuesOf } from '../request/headers.ts'
import type { GatewayRequest } from '../request/request.ts'
import { parseTarget } from '../request/target.ts'
import type { TargetFault } from '../request/target.ts'

/** What came in on a socket: a request that can be decided on, or why it cannot be. */
export type Intake =
  | { readonly ok: true; readonly request: GatewayRequest }
  | { readonly ok: false; readonly id: string; readonly reason: Reason; readonly fault?: TargetFault }

export interface IntakeOptions {
  readonly clients: ClientResolver
  /** Unguessable, for `X-Request-Id`. */
  readonly newId: () => string
  readonly maxHeaders: number
}

/** Tunnels and echoes of the request: nothing that a backend's API uses (RFC 9110 §9.3.6, §9.3.8). */
export const REFUSED_METHODS: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK'])

/** The parser lets some requests through that two readers would understand differently; they end here. */
export function takeIn(req: IncomingRequest, upgrade: boolean, options: IntakeOptions): Intake {
  const id = options.newId()
  const method = req.method ?? ''
  const { rawHeaders: headers, httpVersion } = req
  if (headers.length > 2 * options.maxHeaders) return { ok: false, id, reason: 'headers_too_large' }
  if ((httpVersion !== '1.1' && httpVersion !== '1.0') || REFUSED_METHODS.has(method)) {
    return { ok: false, id, reason: 'malformed_request' }
  }
  const host = hostOf(headers)
  if (host === undefined) return { ok: false, id, reason: 'several_hosts' }
  if (!plainFraming(headers, httpVersion)) return { ok: false, id, reason: 'malformed_request' }
  // A handshake with a body would have the backend wait for it, or take it for the socket's first bytes.
  if (upgrade && announcesBody(headers)) return { ok: false, id, reason: 'malformed_request' }
  const parsed = parseTarget(req.url ?? '', method, host)
  if (!parsed.ok) {
    return { ok: false, id, reason: reasonOfFault(parsed.fault), fault: parsed.fault }
  }
  const { remoteAddress } = req.socket
  const encrypted = req.socket instanceof TLSSocket
  const client = options.clients.resolve({ remoteAddress, encrypted }, headers, host)
  return { ok: true, request: { id, method, target: parsed.target, headers, client, upgrade } }
}

export function reasonOfFault(fault: TargetFault): 'foreign_target' | 'ambiguous_target' {
  return fault === 'foreign_authority' ? 'foreign_target' : 'ambiguous_target'
}

/** `Upgrade: websocket` and nothing else: `h2c`, which Java clients offer by default, is served as plain HTTP (RFC 6455 §4.1). */
export function asksForWebSocket(req: IncomingRequest): boolean {
  if (req.method !== 'GET' || req.httpVersion !== '1.1') return false
  const upgrades = valuesOf(req.rawHeaders, 'upgrade')
  return upgrades.length === 1 && upgrades[0]?.toLowerCase() === 'websocket'
}
