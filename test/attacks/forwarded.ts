/** What clients say of their request in the place of a proxy, and of themselves in ours. */

/** What proxies and frameworks read instead of the request line. */
export const ELSEWHERE = [
  ...['X-Forwarded-Uri', 'X-Forwarded-Path', 'X-Original-URL', 'X-Original-URI', 'X-Rewrite-URL'],
  ...['X-Envoy-Original-Path', 'X_Forwarded_Uri', 'x-forwarded-URI'],
].map((name) => `${name}: /api/heartbeat`)

export const OTHERWISE = [
  ...['X-Forwarded-Method: OPTIONS', 'X-Original-Method: OPTIONS', 'X-HTTP-Method-Override: OPTIONS'],
  ...['X-Forwarded-Host: localhost', 'X-Forwarded-Server: localhost', 'X-Original-Host: localhost'],
  ...['X-Host: localhost', 'X-Forwarded-Prefix: /api/heartbeat', 'X-Forwarded-Port: 8091'],
  ...['X-Forwarded-Proto: https', 'X-Forwarded-Ssl: on'],
]

/** Names that only we, or a proxy, may say. */
export const OURS = [
  ...['X-Postern-Assertion', 'x-postern-assertion', 'X_Postern_Assertion', 'X-Postern_Assertion'],
  ...['X.Postern.Assertion', 'Postern-Reason', 'X-Forwarded-User', 'X_Forwarded_User', 'X-Forwarded-Groups'],
  ...['X-Forwarded-Scopes', 'Remote-User', 'REMOTE_USER', 'X-Remote-User', 'X-Request_Id', 'Forwarded'],
  ...[
    'X-Original-URL',
    'X-Rewrite-URL',
    'X-HTTP-Method-Override',
    'X-Forwarded-Prefix',
    'X-Client-IP',
    'Proxy',
  ],
]

/** Entries of `X-Forwarded-For` that are no addresses. */
export const NO_ADDRESSES = [
  ...[
    '',
    ',',
    ', ,',
    'unknown',
    '"203.0.113.9"',
    '203.0.113.9.1',
    '999.1.1.1',
    '[::1',
    '::1]',
    '0x7f.1',
    '127.1',
  ],
  ...['203.0.113.9, x', '203.0.113.9, 10.0.0.999', '127.0.0.1%eth0', 'a'.repeat(4_000)],
]

/** Values of `Forwarded`, which nobody reads (CVE-2026-57210). */
export const FORWARDED = [
  'for=203.0.113.9;proto=https;host=evil',
  'for="203.0.113.9, 198.51.100.7"',
  'for="[::1]:80"',
]

/** Who is let in unasked elsewhere (CVE-2026-34457). */
export const HEALTH_CHECKS = [
  ...['kube-probe/1.31', 'GoogleHC/1.0', 'ELB-HealthChecker/2.0', 'Prometheus/3.0', 'curl/8', ''],
]
