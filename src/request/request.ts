import type { CanonicalTarget } from './target.ts'

/** Names and values in turn, as they came or will go on the wire: `[name, value, name, value, …]`. */
export type RawHeaders = readonly string[]

/** Where a request came from, as far as the trusted proxies let us know. */
export interface ClientInfo {
  /** IP address of the client: the nearest hop that is not a trusted proxy. */
  readonly address: string
  /** IP address of the connection's other end. */
  readonly peer: string
  /** The peer forwards for others and nobody trusts it: whoever stands behind it has this address. */
  readonly shared?: boolean
  readonly scheme: 'http' | 'https'
  /** The `Host` that goes upstream, port included where the client named one. */
  readonly host: string
  /** The chain for `X-Forwarded-For`: client first, peer last. */
  readonly forwardedFor: string
}

/** What the gateway may know of a request before its body. */
export interface GatewayRequest {
  /** Unguessable, ours: also the `X-Request-Id`. */
  readonly id: string
  /** Case-sensitive (RFC 9110 §9.1), as sent. */
  readonly method: string
  readonly target: CanonicalTarget
  readonly headers: RawHeaders
  readonly client: ClientInfo
  /** A WebSocket upgrade is asked for (RFC 6455 §4.1). */
  readonly upgrade: boolean
}
