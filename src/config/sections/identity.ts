/** Settings of what Postern says of a principal, and of the profiles that know principals. */
import { ALGORITHMS } from '../../assertion/algorithm.ts'
import { choice, count, flag, optional, optionalSection, secret, section, written } from '../setting.ts'
import { rommRedis } from './traffic.ts'

export const assertion = section('The signed header that tells the backend who the request is from.', {
  enabled: flag({ description: 'Whether the header is sent.', default: true }),
  header: written('headerName', { description: 'Name of the header.', default: 'X-Postern-Assertion' }),
  algorithm: choice(ALGORITHMS, {
    description:
      'Signature algorithm; EdDSA is the fastest to sign, the others are for verifiers that lack it.',
    default: 'EdDSA',
  }),
  issuer: written('text', { description: 'The claim `iss`.', default: 'postern' }),
  audience: written('text', {
    description: 'The claim `aud`, which the backend must compare.',
    defaultBy: { setting: 'profile', values: { romm: 'romm', standalone: 'backend' } },
  }),
  lifetime: written('duration', {
    description: 'How long an assertion is good; a minute, since a new one costs little.',
    default: '60s',
    atLeast: '1s',
    atMost: '60s',
  }),
  bindRequest: flag({
    description:
      'Bind it to the method and URL of the request (`htm`, `htu`); one signature per request then.',
    default: false,
  }),
  plainHeaders: flag({
    description:
      'Also send `X-Forwarded-User`, `-Groups` and `-Scopes`, for backends that cannot verify a signature.',
    default: false,
  }),
})

export const keys = section('The keys that sign assertions.', {
  folder: written('path', {
    description: 'Where they are kept; replicas share it.',
    default: './data/keys',
  }),
  publishFor: written('duration', {
    description:
      'How long a new key is published before it signs, so that whoever caches the key set knows it by then.',
    default: '10m',
  }),
})

const database = optionalSection("RomM's database, through a user that may only read.", {
  driver: choice(['mariadb', 'mysql', 'postgresql'], {
    description: 'Which database it is.',
    default: 'mariadb',
  }),
  host: optional(written('host', { description: 'Host name or IP address.' })),
  port: count({
    description: 'TCP port.',
    defaultBy: { setting: 'romm.database.driver', values: { mariadb: 3306, mysql: 3306, postgresql: 5432 } },
    minimum: 1,
    maximum: 65_535,
  }),
  user: optional(written('text', { description: 'Name of the user.' })),
  password: optional(secret({ description: 'Password of the user; none unless given.' })),
  name: written('text', { description: 'Name of the database.', default: 'romm' }),
  poolSize: count({
    description: 'Connections open at once; few, since most lookups are answered from memory.',
    default: 4,
    minimum: 1,
  }),
  tls: flag({
    description: 'Speak TLS and verify the certificate (own authorities: NODE_EXTRA_CA_CERTS).',
    default: false,
  }),
})

export const romm = section(
  "What Postern is given of RomM; each part makes it faster or stricter. RomM's own variable names are read too.",
  {
    secret: optional(
      secret({
        description: "RomM's ROMM_AUTH_SECRET_KEY, for checking the signatures of its access tokens here.",
      }),
    ),
    database,
    redis: rommRedis,
    kiosk: flag({
      description: 'RomM runs with KIOSK_MODE: requests without a credential may read.',
      default: false,
    }),
    firstRun: choice(['closed', 'open'], {
      description: 'Setup and the first admin: closed to strangers, or open for as long as no admin exists.',
      default: 'closed',
    }),
    resources: choice(['public', 'closed'], {
      description:
        'Covers and manuals: as open as at RomM, which apps rely on, or for signed-in people alone.',
      default: 'public',
    }),
    version: optional(
      written('version', { description: 'Version of RomM, if it is not to be detected from its heartbeat.' }),
    ),
  },
)

export const standalone = section(
  'Our own directory of people and tokens, for a backend that has no accounts.',
  {
    database: written('path', {
      description: 'File of the SQLite database.',
      default: './data/postern.sqlite',
    }),
    tokenPrefix: written('tokenPrefix', {
      description: 'How its tokens begin, so that secret scanners and people know them.',
      default: 'pst_',
    }),
  },
)

export const log = section('What is logged, as JSON lines on the standard output.', {
  level: choice(['debug', 'info', 'warn', 'error', 'silent'], {
    description: 'From which weight on messages are logged.',
    default: 'info',
  }),
  decisions: choice(['all', 'denied', 'off'], {
    description: 'Which decisions get their one line.',
    default: 'all',
  }),
})

export const shutdown = section('How Postern stops.', {
  grace: written('duration', {
    description: 'How long requests under way may take to end after SIGTERM; as long as Kubernetes waits.',
    default: '30s',
  }),
})
