import type { CredentialKind } from '../../identity/credential.ts'
import { ScopeSet } from '../../identity/scope.ts'
import type { Requirement, RouteRule } from '../../pipeline/rule.ts'

/** RomM fact: its web server passes these prefixes to the backend as strings, `/apix` included. */
export const PROTECTED_PREFIXES = ['/api', '/ws', '/netplay'] as const

export interface RommRouteOptions {
  /** The doors of an installation without an admin stand open. */
  readonly firstRunOpen: boolean
  /** Covers, screenshots and manuals, which RomM serves to everybody. */
  readonly resources: 'public' | 'closed'
}

interface Row {
  readonly path: string
  readonly methods: readonly string[]
  readonly requirement: Requirement
  readonly socket?: boolean
  readonly input?: readonly CredentialKind[]
  readonly hint?: string
}

const everybody: Requirement = { kind: 'public' }
const nobody: Requirement = { kind: 'nobody' }
/** Whoever RomM knows, the kiosk's guest included. */
const somebody: Requirement = { kind: 'authenticated', guests: true }

const FIRST_RUN_HINT =
  'Setting up RomM is closed here until an admin signs in; `romm.firstRun: open` opens it while there is no admin.'

/** What the document does not say, or says less strictly than the handlers behind it. */
export function rommRules(options: RommRouteOptions): RouteRule[] {
  return [
    ...credentialRoutes,
    ...firstRunRoutes(options.firstRunOpen),
    ...socketRoutes,
    ...staticRoutes(options),
  ].map(ruleOf)
}

/** Routes that take a credential as their input: checked by RomM, in the very act that the route is for. */
const credentialRoutes: readonly Row[] = [
  { path: '/api/login', methods: ['POST'], requirement: everybody, input: ['basic'] },
  { path: '/api/logout', methods: ['POST'], requirement: everybody, input: ['session'] },
  // The session of an OIDC sign-in under way is not a login yet, and is what the sign-in hangs on.
  { path: '/api/login/openid', methods: ['GET'], requirement: everybody, input: ['session'] },
  { path: '/api/oauth/openid', methods: ['GET'], requirement: everybody, input: ['session'] },
]

/** RomM fact: public in its document; their handlers ask for these scopes as soon as an admin exists. */
function firstRunRoutes(open: boolean): Row[] {
  const rows = [
    { path: '/api/setup/library', methods: ['GET'], scope: 'platforms.read' },
    { path: '/api/setup/platforms', methods: ['POST'], scope: 'platforms.write' },
    { path: '/api/users', methods: ['POST'], scope: 'users.write' },
    { path: '/api/users/invite-link', methods: ['POST'], scope: 'users.write' },
  ]
  return rows.map(({ path, methods, scope }) => ({
    path,
    methods,
    requirement: open ? everybody : { kind: 'scopes', scopes: ScopeSet.of([scope]) },
    ...(!open && { hint: FIRST_RUN_HINT }),
  }))
}

/** RomM fact: it accepts anybody here and sends everybody's broadcasts to all. */
const socketRoutes: readonly Row[] = ['/ws/**', '/netplay/**'].map((path) => ({
  path,
  methods: ['GET', 'POST'],
  requirement: somebody,
  socket: true,
}))

function staticRoutes(options: RommRouteOptions): Row[] {
  const closed = [
    '/assets/romm/resources/tmp/uploads/**',
    '/assets/romm/assets/**',
    '/library/**',
    '/cache/**',
    '/decode/**',
  ]
  return [
    ...closed.map((path) => ({ path, methods: ['GET'], requirement: nobody })),
    {
      path: '/assets/romm/resources/**',
      methods: ['GET'],
      requirement: options.resources === 'public' ? everybody : somebody,
    },
    ...['/api/docs', '/api/redoc'].map((path) => ({ path, methods: ['GET'], requirement: everybody })),
    // The web client: whatever is not a file is its start page.
    { path: '/**', methods: ['GET'], requirement: everybody },
  ]
}

function ruleOf(row: Row): RouteRule {
  return Object.freeze({
    template: row.path,
    methods: row.methods,
    requirement: row.requirement,
    origin: 'profile',
    conceal: false,
    socket: row.socket ?? false,
    input: row.input ?? [],
    backendChecksScopes: row.requirement.kind === 'scopes',
    hint: row.hint,
  })
}
