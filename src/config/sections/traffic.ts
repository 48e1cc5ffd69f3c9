/** Settings of the way in and the way on: listeners, proxies in front, the upstream, limits. */
import { DIALECTS } from '../../edge/decision/dialect.ts'
import { choice, count, flag, list, optional, optionalSection, section, secret, written } from '../setting.ts'

export const listen = section(
  'Where Postern listens. An address is `host:port`, `[v6]:port` or `unix:/path`.',
  {
    edge: written('listen', {
      description:
        'The proxied backend; every interface, since the proxy in front is usually another container.',
      default: '0.0.0.0:8090',
    }),
    probes: written('optionalListen', {
      description: 'Liveness, readiness and metrics.',
      default: '0.0.0.0:8091',
    }),
    admin: written('optionalListen', {
      description:
        'What `status`, `who`, `tail`, `explain` and `block` ask, on loopback or a Unix socket (mode 0600); whoever reaches it is believed. May be the address of `probes`.',
      default: '127.0.0.1:8092',
    }),
    dangerouslyExposeAdmin: flag({
      description:
        'Let `admin` listen beyond loopback: everybody who reaches it sees who does what, and may block anybody.',
      default: false,
    }),
  },
)

export const decision = section(
  'The decision API, for a proxy that keeps the data path and asks Postern whether a request may pass; see docs/decision-api.md.',
  {
    listen: written('optionalListen', {
      description: 'Where it listens, `host:port`; for proxies alone, and nobody asks unless it is given.',
      default: 'off',
    }),
    dialect: optional(
      choice(DIALECTS, {
        description:
          'Which proxy asks: what it says of a request is read from no other headers than its own.',
      }),
    ),
    callers: list('proxyRange', {
      description:
        'Who may ask: CIDRs, IP addresses, host names or `private`; each is believed whatever it says of a request, so name the proxy and nobody else.',
      default: [],
    }),
  },
)

export const trustedProxies = list('proxyRange', {
  description:
    'The proxies in front whose `X-Forwarded-*` is believed: CIDRs, IP addresses, host names, or `private` for all private and loopback addresses; nobody unless named.',
  default: [],
})

export const dangerouslyTrustAllProxies = flag({
  description: 'Believe `X-Forwarded-*` from anybody: every client can then pretend to be at any address.',
  default: false,
})

export const publicUrl = optional(
  written('origin', {
    description:
      "The origin at which browsers reach the backend; without it the request's own host counts as ours.",
  }),
)

export const upstream = section(
  'The backend behind Postern.',
  {
    url: written('origin', {
      description: 'Scheme, host and port of the backend; the one setting that must be given.',
    }),
    credentials: choice(['pass', 'strip', 'translate'], {
      description:
        "What becomes of the client's credential on its way on: `pass` it in its plain form, `strip` it, or `translate` Basic into a short-lived token of the backend.",
      defaultBy: { setting: 'profile', values: { romm: 'pass', standalone: 'strip' } },
    }),
    connections: count({
      description: 'How many requests may be under way to the backend at once, each on a connection.',
      default: 256,
      minimum: 1,
    }),
    connectionsPerClient: count({
      description:
        'How many of them one client may have: one address (of IPv6, one /64 network), and one user from wherever.',
      default: 64,
      minimum: 1,
    }),
    queue: count({
      description: 'How many requests may wait for a connection; beyond that the answer is 503.',
      default: 1_024,
    }),
    queuePerClient: count({
      description: 'How many of them one client may have waiting; beyond that the answer is 429 or 503.',
      default: 256,
    }),
    queueTimeout: written('duration', {
      description: 'How long a request waits for a connection before the answer is 429 or 503.',
      default: '5s',
      atLeast: '1ms',
    }),
    connectTimeout: written('duration', {
      description: 'How long opening a connection may take; short, since both usually stand on one network.',
      default: '5s',
      atLeast: '1ms',
    }),
    headersTimeout: written('duration', {
      description:
        'How long the backend may take to begin its answer; as long as the web server of RomM allows.',
      default: '300s',
      atLeast: '1ms',
    }),
    bodyTimeout: written('duration', {
      description: "How long the backend's answer may pause; a body that keeps flowing has no limit.",
      default: '300s',
      atLeast: '1ms',
    }),
    keepAliveTimeout: written('duration', {
      description:
        'How long an idle connection is kept; shorter than backends keep theirs, or a request may meet a closing one.',
      default: '4s',
      atLeast: '1ms',
    }),
    headerBytes: written('size', {
      description:
        "The largest header block of the backend's answer; more than clients may send, since it is trusted more.",
      default: '64KiB',
      atLeast: '1KiB',
      atMost: '1MiB',
    }),
    handshakeTimeout: written('duration', {
      description: 'How long the backend may take to answer a WebSocket handshake.',
      default: '10s',
      atLeast: '1ms',
    }),
  },
  { shorthand: 'url' },
)

export const limits = section('Bounds on what a client may send, how much of it at once, and how slowly.', {
  connections: count({
    description: 'How many client connections may be open at once; one more is closed unanswered.',
    default: 4_096,
    minimum: 1,
  }),
  connectionsPerAddress: count({
    description:
      'How many of them one address may have (of IPv6, one /64 network); trusted proxies may have any number.',
    default: 1_024,
    minimum: 1,
  }),
  headers: count({
    description: 'How many headers a request may have; more are answered with 431.',
    default: 100,
    minimum: 10,
    maximum: 1_000,
  }),
  headerBytes: written('size', {
    description: 'The largest request line and headers together; more is answered with 431.',
    default: '16KiB',
    atLeast: '1KiB',
    atMost: '1MiB',
  }),
  headersTimeout: written('duration', {
    description: 'How long the headers of a request may take to arrive; the slow ones are answered with 408.',
    default: '20s',
    atLeast: '1ms',
  }),
  keepAliveTimeout: written('duration', {
    description:
      'How long an idle client connection is kept; longer than proxies in front keep theirs (nginx: 60 s).',
    default: '75s',
    atLeast: '1ms',
  }),
  idleTimeout: written('duration', {
    description:
      'How long a connection with a request under way may be silent in both directions; an upload that pauses longer is answered with 408.',
    default: '300s',
    atLeast: '1ms',
  }),
})

export const sockets = section('WebSockets and the engine.io transport.', {
  max: count({
    description: 'How many sockets may be open at once; one more is answered with 503.',
    default: 1_024,
    minimum: 1,
  }),
  perClient: count({
    description:
      'How many of them one client may have, one address or one user from wherever; one more is answered with 429.',
    default: 64,
    minimum: 1,
  }),
  origins: list('origin', {
    description: 'Origins besides our own whose pages may open a socket with a session cookie.',
    default: [],
  }),
})

export const cors = section(
  'The CORS headers of the answers that Postern itself gives.',
  {
    mode: choice(['upstream', 'own', 'off'], {
      description:
        'Send what the backend would send (`upstream`), what this section says (`own`), or none (`off`).',
      default: 'upstream',
    }),
    origins: list('text', {
      description: 'Origins that may read our answers, or `*` for all; for `own` only.',
      default: [],
    }),
    credentials: flag({
      description:
        'Whether those pages may send cookies (`Access-Control-Allow-Credentials`); for `own` only.',
      default: false,
    }),
    headers: list('headerName', {
      description: 'Request headers that a preflight allows; for `own` only.',
      default: ['Authorization', 'Content-Type'],
    }),
    maxAge: written('duration', {
      description: 'How long a browser may remember a preflight (`Access-Control-Max-Age`); for `own` only.',
      default: '10m',
    }),
  },
  { shorthand: 'mode' },
)

/** How to reach one Redis, alone or through Sentinel; all of it optional, `loadConfig` sees that it makes sense. */
const redisSettings = {
  url: optional(
    secret(
      { description: 'All in one: `redis[s]://user:password@host:port/db`; instead of the settings below.' },
      'redisUrl',
    ),
  ),
  host: optional(written('host', { description: 'Host name or IP address.' })),
  port: count({ description: 'TCP port.', default: 6379, minimum: 1, maximum: 65_535 }),
  username: optional(written('text', { description: 'ACL user; none unless given.' })),
  password: optional(secret({ description: 'Password; none unless given.' })),
  db: count({ description: 'Number of the database.', default: 0 }),
  tls: flag({
    description: 'Speak TLS and verify the certificate (own authorities: NODE_EXTRA_CA_CERTS).',
    default: false,
  }),
}

export const redis = optionalSection(
  'The Redis or Valkey that replicas share, for revocations and cached lookups; not needed by one replica alone.',
  {
    ...redisSettings,
    sentinels: optional(
      list('hostPort', { description: 'Sentinels as `host:port`, instead of `host`.', minItems: 1 }),
    ),
    sentinelName: optional(written('text', { description: 'Name of the master that the sentinels watch.' })),
  },
  { shorthand: 'url' },
)

export const rommRedis = optionalSection(
  "RomM's own Redis or Valkey, read-only, for checking sessions here.",
  redisSettings,
  { shorthand: 'url' },
)
