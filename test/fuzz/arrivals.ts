import { createPublicKey, verify, type webcrypto } from 'node:crypto'
import { type Authentication, authenticate, type Caller } from '../support/romm/auth.ts'
import { readFixture, readOpenApi, readRoutes } from '../support/romm/facts.ts'
import { parseCookies, unquote } from '../support/romm/python.ts'
import { matchRoute, readTable, type Route } from '../support/romm/routes.ts'
import { generationOf } from '../support/romm/scopes.ts'
import type { Received } from '../support/romm/standin.ts'
import { State } from '../support/romm/state.ts'
import { FORGED } from './oddities.ts'

/** Of the gateway, as its JWKS has it. */
export type PublicKey = webcrypto.JsonWebKey & { readonly kid: string }

/** What is wrong with a request that reached the backend; empty when nothing is. */
export type Judge = (received: Received) => Promise<string[]>

/** RomM fact: public in its document, and their handlers ask for these scopes once there is an admin. */
const GUARDED: Readonly<Record<string, string>> = {
  'GET /api/setup/library': 'platforms.read',
  'POST /api/setup/platforms': 'platforms.write',
  'POST /api/users': 'users.write',
  'POST /api/users/invite-link': 'users.write',
}
/** They take a credential as their input, which RomM judges. */
const INPUT = new Set([
  'POST /api/login',
  'POST /api/logout',
  'GET /api/login/openid',
  'GET /api/oauth/openid',
])
const CLOSED = /^\/(?:assets\/romm\/(?:assets|resources\/tmp\/uploads)|library|cache|decode)(?:\/|$)/
const BACKEND = /^\/(?:api|ws|netplay)/
const PAGES = /^\/api\/(?:docs|redoc)\/?$/

/**
 * Judges as RomM itself would, from what was recorded of it and from what arrived alone: the gateway's own opinion of
 * the request is not asked for.
 */
export function createJudge(keys: readonly PublicKey[]): Judge {
  const fixture = readFixture()
  const state = new State(generationOf('5.2.0'), false)
  state.load(fixture, true, Date.now())
  const { secret } = fixture
  const authentication: Authentication = { state, secret, kiosk: false, now: Date.now }
  const table = readTable(readRoutes(), readOpenApi(), false)
  const publicKeys = new Map(keys.map((key) => [key.kid, createPublicKey({ key, format: 'jwk' })]))

  const callerOf = async ({ headers }: Received): Promise<Caller | 'broken' | undefined> => {
    const id = parseCookies(headers.cookie).get('romm_session') ?? ''
    try {
      return await authenticate(authentication, { ...state.sessions.get(id) }, headers.authorization)
    } catch {
      return 'broken'
    }
  }
  const claimsOf = (assertion: string): Claims | undefined => {
    const [head = '', claims = '', signature = ''] = assertion.split('.')
    const { kid } = JSON.parse(decoded(head)) as { readonly kid: string }
    const key = publicKeys.get(kid)
    const signed = Buffer.from(`${head}.${claims}`)
    if (key === undefined || !verify(null, signed, key, Buffer.from(signature, 'base64url'))) return undefined
    return JSON.parse(decoded(claims)) as Claims
  }

  return async (received) => {
    const faults = faultsOfHeaders(received)
    const needs = neededFor(received, table)
    if (needs === 'never') return [...faults, 'a request that is for nobody']
    if (needs === 'input') return faults
    const caller = await callerOf(received)
    // RomM answers what it cannot read with 500, on any route: such a credential goes nowhere.
    if (caller === 'broken') return [...faults, 'a credential that breaks RomM']
    const [assertion] = named(received, 'x-postern-assertion')
    const claims = assertion === undefined ? undefined : claimsOf(assertion)
    if (assertion !== undefined) faults.push(...faultsOfClaims(claims, caller))
    if (caller === undefined) return needs === 'nothing' ? faults : [...faults, 'no good credential']
    // Where RomM had to be asked, it alone knows what a client token carries: then no scope is asserted.
    const isDeferred =
      claims?.scope === undefined && /^bearer rmm_/i.test(received.headers.authorization ?? '')
    if (typeof needs === 'string' || isDeferred) return faults
    const missing = needs.filter((scope) => !caller.scopes.includes(scope))
    return missing.length === 0 ? faults : [...faults, `a credential without ${missing.join(' ')}`]
  }
}

/** Of an assertion. */
interface Claims {
  readonly sub: string
  readonly exp: number
  readonly scope?: string
}

function faultsOfClaims(claims: Claims | undefined, caller: Caller | undefined): string[] {
  if (claims === undefined) return ['an assertion that the gateway did not sign']
  const { sub, exp, scope } = claims
  const faults = exp * 1_000 < Date.now() - CLOCK_MARGIN ? ['an assertion that is over'] : []
  if (sub !== String(caller?.user.id)) return [...faults, `the assertion of ${sub} with another's credential`]
  const more = scope?.split(' ').filter((one) => one !== '' && caller?.scopes.includes(one) !== true) ?? []
  return more.length === 0
    ? faults
    : [...faults, `an assertion of ${more.join(' ')}, which the credential does not give`]
}

/** Milliseconds that a request may be under way. */
const CLOCK_MARGIN = 30_000

/** What RomM and its web server ask of who sends this: scopes, somebody, nothing; `never` is never sent on. */
function neededFor({ method, target, headers, upgrade }: Received, table: readonly Route[]) {
  const path = unquote(target.replace(/\?.*/s, ''))
  if (/^\/-\/postern(?:\/|$)/.test(path)) return 'never'
  if (method === 'OPTIONS')
    return headers['access-control-request-method'] === undefined ? 'somebody' : 'nothing'
  if (CLOSED.test(path)) return 'never'
  if (!BACKEND.test(path)) return method === 'GET' || method === 'HEAD' ? 'nothing' : 'never'
  const match = matchRoute(table, method === 'HEAD' ? 'GET' : method, path)
  if (match.kind !== 'route') {
    if (/^\/(?:ws|netplay)(?:\/|$)/.test(path)) return 'somebody'
    return PAGES.test(path) ? 'nothing' : 'never'
  }
  if (upgrade) return 'never'
  const { name, scopes } = match.route
  if (INPUT.has(name)) return 'input'
  const guarded = GUARDED[name]
  if (guarded !== undefined) return [guarded]
  return scopes.length === 0 ? 'nothing' : scopes
}

/** What only the gateway may say, however a client spells it. */
const OURS = new RegExp(
  [
    ...[
      'x-postern-',
      'postern-',
      'x-forwarded-',
      'x-forwarded$',
      'forwarded$',
      'x-real-ip$',
      'x-request-id$',
    ],
    ...[
      'x-original-(?:url|uri|method|host|forwarded-for)$',
      'x-rewrite-url$',
      'x-(?:http-)?method-override$',
    ],
    ...['true-client-ip$', 'remote-user$', 'proxy(?:-authorization)?$'],
  ]
    .map((name) => `^${name}`)
    .join('|'),
)
const ONCE = ['host', 'x-request-id', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-real-ip']
const AT_MOST_ONCE = ['authorization', 'cookie', 'x-postern-assertion', 'content-length', 'transfer-encoding']

function faultsOfHeaders(received: Received): string[] {
  const faults: string[] = []
  for (const name of ONCE) if (named(received, name).length !== 1) faults.push(`not one ${name}`)
  for (const name of AT_MOST_ONCE) if (named(received, name).length > 1) faults.push(`more than one ${name}`)
  if (named(received, 'content-length').length + named(received, 'transfer-encoding').length > 1)
    faults.push('two framings')
  const cookies = parseCookies(received.headers.cookie)
  if (cookies.has('romm_session') && received.headers.authorization !== undefined)
    faults.push('two credentials')
  const { rawHeaders } = received
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = folded(rawHeaders[i] ?? '')
    if (OURS.test(name) && rawHeaders[i + 1]?.includes(FORGED) === true) faults.push(`a forged ${name}`)
  }
  return faults
}

/** Every value under a name, in whatever spelling a backend may read as the same. */
function named({ rawHeaders }: Received, name: string): string[] {
  return rawHeaders.filter((_, i) => i % 2 === 1 && folded(rawHeaders[i - 1] ?? '') === name)
}

function folded(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, '-')
}

function decoded(part: string): string {
  return Buffer.from(part, 'base64url').toString()
}
