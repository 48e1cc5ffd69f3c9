/** How one kind of proxy asks, and what it makes of an answer. All names in lower case. */
export interface Dialect {
  /** Headers that say what the original request was; undefined where the question itself is the original's twin. */
  readonly original: { readonly method: string; readonly uri: string } | undefined
  readonly host: string
  /** The client's `Upgrade`, where the proxy tells of it. */
  readonly upgrade: string
  /** What the proxy writes itself, over whatever a client sent under the name; everything else is the client's. */
  readonly own: readonly string[]
  /** Where not every status reaches the client: what to say instead. The true one is in `Postern-Status`. */
  readonly status: ((status: number) => number) | undefined
}

/** Without these every client would have the proxy's address, or come in plain text. */
export const FORWARDED = ['x-forwarded-for', 'x-forwarded-proto']
const FORWARDED_ORIGINAL = { method: 'x-forwarded-method', uri: 'x-forwarded-uri' }

export const DIALECTS = ['caddy', 'nginx', 'traefik', 'envoy'] as const

/**
 * What each of them sends. None of it may be read from a request of another dialect: what one proxy writes, another
 * passes on as its client made it up (CVE-2026-40575, CVE-2026-33495).
 */
export const dialects: Readonly<Record<(typeof DIALECTS)[number], Dialect>> = {
  /**
   * `forward_auth` asks with GET and the client's headers, sets X-Forwarded-Method and -Uri, and writes the others anew
   * unless the client is itself a trusted proxy (caddyserver.com/docs/caddyfile/directives/forward_auth). Hop-by-hop
   * headers are gone but for a handshake's `Upgrade`.
   */
  caddy: {
    original: FORWARDED_ORIGINAL,
    host: 'x-forwarded-host',
    upgrade: 'upgrade',
    own: [...FORWARDED],
    status: undefined,
  },

  /**
   * `auth_request` sends a subrequest with GET; what it says of the original is up to its configuration, and
   * X-Original-URI (nginx.org/en/docs/http/ngx_http_auth_request_module.html) is a custom, not a standard. The other names
   * are those of deploy/nginx/auth_request.conf; `proxy_set_header` replaces the client's. 401 and 403 reach the client,
   * anything else but 2xx becomes 500: so whatever is neither an outage nor 401 is answered with 403.
   */
  nginx: {
    original: { method: 'x-original-method', uri: 'x-original-uri' },
    host: 'x-original-host',
    upgrade: 'x-original-upgrade',
    own: [...FORWARDED],
    status: (status) => (status === 401 || status >= 500 ? status : 403),
  },

  /**
   * `forwardAuth` asks with GET and the client's headers less hop-by-hop ones, a handshake's `Upgrade` included
   * (doc.traefik.io/traefik/middlewares/http/forwardauth). It writes these five; its entry point writes the rest and
   * deletes what untrusted clients sent of them. `trustForwardHeader` must be off: it would believe the client's.
   */
  traefik: {
    original: FORWARDED_ORIGINAL,
    host: 'x-forwarded-host',
    upgrade: 'upgrade',
    own: [...FORWARDED, 'x-forwarded-port', 'x-forwarded-server', 'x-real-ip'],
    status: undefined,
  },

  /**
   * `ext_authz` over HTTP asks with the original's method, path and Host, and with those headers that `allowed_headers`
   * matches (envoyproxy.io: api-v3/extensions/filters/http/ext_authz/v3/ext_authz.proto). At the edge Envoy writes or deletes
   * these itself (configuration/http/http_conn_man/headers). Only 200 is a permit.
   */
  envoy: {
    original: undefined,
    host: 'host',
    upgrade: 'upgrade',
    own: [
      ...FORWARDED,
      ...['x-request-id', 'x-envoy-internal', 'x-envoy-external-address', 'x-envoy-expected-rq-timeout-ms'],
    ],
    status: undefined,
  },
}
