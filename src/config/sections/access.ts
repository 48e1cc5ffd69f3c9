/** Settings of the decision: routes, rules, credentials, cache, questions. */
import { DIALECTS } from '../../routes/openapi.ts'
import {
  choice,
  count,
  entry,
  flag,
  list,
  listOf,
  optional,
  scopeMap,
  secret,
  section,
  written,
} from '../setting.ts'

export const openapi = section(
  "Which routes the backend has and what each requires, from the backend's own OpenAPI document.",
  {
    document: written('documentPlace', {
      description:
        'A path at the upstream, a URL, a file (`./…` or `file:…`), or `none` to go by `rules` alone.',
      defaultBy: { setting: 'profile', values: { romm: '/openapi.json', standalone: 'none' } },
    }),
    dialect: choice(DIALECTS, {
      description:
        'How `security` is read: as OpenAPI says, or as FastAPI means it, where every scope of an operation is required in every mode.',
      defaultBy: { setting: 'profile', values: { romm: 'fastapi-all', standalone: 'standard' } },
    }),
    undeclared: choice(['authenticated', 'public'], {
      description: 'What an operation requires of which the document says nothing.',
      defaultBy: { setting: 'profile', values: { romm: 'public', standalone: 'authenticated' } },
    }),
    refresh: written('duration', {
      description: 'How often the document is read again.',
      default: '5m',
      atLeast: '1s',
    }),
    cache: written('pathOrOff', {
      description: 'Folder for the last good copy, for a start while the backend is away; `off` keeps none.',
      default: './data/openapi',
    }),
  },
  { shorthand: 'document' },
)

const rule = entry({
  path: written('routePath', {
    description:
      'Path or template: `{name}` and `*` stand for one segment, `**` at the end for all that follow.',
  }),
  methods: optional(
    list('method', { description: 'Methods it speaks for; every method unless given.', minItems: 1 }),
  ),
  public: optional(flag({ description: 'Anybody may pass.' })),
  authenticated: optional(flag({ description: 'Any good credential may pass.' })),
  scopes: optional(list('scope', { description: 'All of these scopes are required.', minItems: 1 })),
  scopesByMethod: optional(
    scopeMap('method', {
      description: 'Methods, and for each of them the scopes required; other methods are 405.',
    }),
  ),
  closed: optional(flag({ description: 'Nobody may pass: it answers as if the route did not exist.' })),
  dangerouslyPublic: optional(
    flag({
      description: 'Anybody may pass, though a wildcard of it covers routes that the backend protects.',
    }),
  ),
  conceal: optional(flag({ description: 'Answer 404 where 401 or 403 would be due.' })),
  socket: optional(flag({ description: 'WebSocket upgrades are let through.' })),
})

export const rules = listOf(rule, {
  description: 'Your own rules; they come before the profile and the document.',
  default: [],
})

export const scopes = section('What scopes mean.', {
  implies: scopeMap('scope', {
    description:
      'Scopes that bring others with them, such as `users.write: [users.read]`; none unless named.',
    default: {},
  }),
})

export const conflict = choice(['resolve', 'reject'], {
  description: 'A session and an `Authorization` in one request: go by one of them, or answer 400.',
  default: 'resolve',
})

export const enforcement = choice(['enforce', 'observe', 'dangerouslyObserveOnly'], {
  description:
    'Whether refusals count: `observe` logs them as `would_deny` and forwards all the same, for a backend that authenticates for itself; before one that does not, everybody would get in, and it is called `dangerouslyObserveOnly`.',
  default: 'enforce',
})

export const cache = section('How long a checked credential counts, and how fast a change is noticed.', {
  revalidate: written('duration', {
    description:
      'How often what is in use is confirmed at its source; a change made elsewhere is noticed within this and one second more.',
    default: '2s',
    atLeast: '100ms',
    atMost: '5m',
  }),
  staleIfError: written('duration', {
    description:
      'How long a confirmed credential still counts while its source is away; after that it is asked elsewhere or answered with 503.',
    default: '30s',
    atMost: '1h',
  }),
  revokeWait: written('duration', {
    description:
      'How long the answer to a request that changed somebody waits for the other replicas to have taken it in.',
    default: '100ms',
    atMost: '10s',
  }),
  entries: count({
    description:
      'How many credentials are kept in the process: about 1 kB each, 2.5 kB with the assertion of one that is used.',
    default: 100_000,
    minimum: 1,
  }),
  secret: optional(
    secret({
      description:
        'Signs what is kept in Redis, the same for every replica; needed to keep lookups there at all.',
    }),
  ),
})

export const ask = section(
  'Asking the backend whether a credential is good, where no source of its own is given.',
  {
    concurrency: count({ description: 'Questions under way at once, in all.', default: 4, minimum: 1 }),
    rate: count({
      description: 'New questions per second, in all; beyond it new credentials get 503.',
      default: 50,
      minimum: 1,
    }),
    ratePerAddress: count({
      description: 'New questions per second and client address.',
      default: 20,
      minimum: 1,
    }),
    ttl: written('duration', {
      description: "How long an answer counts; a revocation made at the backend's back is noticed within it.",
      default: '30s',
      atLeast: '1s',
      atMost: '10m',
    }),
    timeout: written('duration', {
      description: 'How long a question may take.',
      default: '5s',
      atLeast: '1ms',
      atMost: '1m',
    }),
  },
)

export const attempts = section(
  'How often credentials may fail. What is known to be good is never refused; docs/limits.md says what holds.',
  {
    window: written('duration', {
      description: 'How long a failure counts; a repetition of the same one does not count again.',
      default: '15m',
      atLeast: '1s',
      atMost: '1d',
    }),
    perUserAndAddress: count({
      description: 'Wrong passwords for one user from one address (IPv6: /64) within the window.',
      default: 10,
      minimum: 1,
    }),
    perUser: count({
      description:
        'Wrong passwords for one user from all the addresses at which that user has not succeeded lately.',
      default: 100,
      minimum: 1,
    }),
    perAddress: count({
      description:
        'Bad credentials of all kinds from one address; twenty times as many from a proxy that is not in `trustedProxies`.',
      default: 100,
      minimum: 1,
    }),
    pace: written('duration', {
      description: 'Beyond these limits one password is still looked at in this time; the others get 429.',
      default: '20s',
      atLeast: '1s',
      atMost: '1h',
    }),
  },
)
