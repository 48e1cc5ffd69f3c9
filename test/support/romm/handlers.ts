import { hash, randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type Caller, checkPassword, clearSession, readBasic } from './auth.ts'
import type { GrantRow, OverrideRow, SessionData, UserRow } from './facts.ts'
import { readJwt, signJwt } from './jwt.ts'
import { readInteger } from './python.ts'
import { detail, json, NO_CONTENT, type Reply } from './reply.ts'
import { newToken, type State, type TokenRow } from './state.ts'

/** One request that came past RomM's authentication, and what handlers may use. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly params: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly caller: Caller | undefined
  /** Written back with the answer. */
  readonly session: SessionData
  readonly state: State
  readonly secret: string
  readonly version: string
  readonly setupWizard: boolean | undefined
  /** Milliseconds since the epoch. */
  readonly now: number
}

type Handler = (exchange: Exchange) => Reply | Promise<Reply>

/** The routes whose answer matters to a gateway; all others echo. */
export const HANDLERS: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ['GET /api/heartbeat', heartbeat],
  ['POST /api/login', login],
  ['POST /api/logout', logout],
  ['POST /api/token', token],
  ['GET /api/users/me', ({ state, caller }) => json(200, caller && userJson(state, caller.user))],
  ['POST /api/users', createUser],
  ['PUT /api/users/{id}', updateUser],
  ['DELETE /api/users/{id}', deleteUser],
  ['GET /api/client-tokens', listTokens],
  ['POST /api/client-tokens', createToken],
  ['PUT /api/client-tokens/{token_id}/regenerate', regenerateToken],
  ['POST /api/client-tokens/{token_id}/pair', pairToken],
  ['POST /api/client-tokens/exchange', exchangeCode],
  ['DELETE /api/client-tokens/{token_id}', (exchange) => dropToken(exchange, true)],
  ['DELETE /api/client-tokens/{token_id}/admin', (exchange) => dropToken(exchange, false)],
  ['PUT /api/permissions/users/{user_id}', updatePermissions],
  ['PUT /api/permissions/groups/{id}', updateGroup],
])

/** RomM fact: once there is an admin these four ask for a scope, and answer 403 (never 401) without. */
const FIRST_RUN: Readonly<Record<string, string>> = {
  'GET /api/setup/library': 'platforms.read',
  'POST /api/setup/platforms': 'platforms.write',
  'POST /api/users': 'users.write',
  'POST /api/users/invite-link': 'users.write',
}

/** RomM fact: here a scope is not enough, the handler wants an admin. */
const ADMIN_ONLY = /^\w+ \/api\/permissions\/(?!me$)|^(?:GET|DELETE) \/api\/streaming\/sessions$/

/** What the handler itself refuses, whatever the declared scopes say. */
export function refusal(route: string, state: State, caller: Caller | undefined): Reply | undefined {
  const scope = FIRST_RUN[route]
  if (scope !== undefined && state.hasAdmin() && caller?.scopes.includes(scope) !== true) {
    return detail(403, 'Forbidden')
  }
  const wantsAdmin = ADMIN_ONLY.test(route) && caller?.user.role !== 'admin'
  return wantsAdmin ? detail(403, 'Administrator privileges required') : undefined
}

function heartbeat({ state, version, setupWizard }: Exchange): Reply {
  return json(200, {
    SYSTEM: { VERSION: version, SHOW_SETUP_WIZARD: setupWizard ?? !state.hasAdmin() },
    FRONTEND: { DISABLE_USERPASS_LOGIN: false },
    OIDC: { ENABLED: false },
  })
}

function userJson(state: State, user: UserRow): object {
  const { hashed_password: _, ...shown } = user
  return { ...shown, oauth_scopes: state.scopesOf(user) }
}

async function login({ request, state, session }: Exchange): Promise<Reply> {
  const pair = readBasic(request.headers.authorization)
  if (pair === undefined) {
    return json(401, { detail: 'Not authenticated' }, [['www-authenticate', 'Basic']])
  }
  const user = await checkPassword(state, pair.name, pair.password)
  if (user === undefined) return detail(401, 'Incorrect username or password')
  if (!user.enabled) return detail(401, 'Disabled user')
  Object.assign(session, { iss: 'romm:auth', sub: user.username, device_id: null })
  return json(200, null)
}

function logout({ session }: Exchange): Reply {
  clearSession(session)
  return json(200, null)
}

const ACCESS_SECONDS = 1800
const REFRESH_SECONDS = 604_800

async function token(exchange: Exchange): Promise<Reply> {
  const form = await readFields(exchange)
  if (form['grant_type'] === 'password') return passwordGrant(exchange, form)
  if (form['grant_type'] === 'refresh_token') return refreshGrant(exchange, form['refresh_token'])
  return detail(400, 'Invalid or unsupported grant type')
}

async function passwordGrant(exchange: Exchange, form: Fields): Promise<Reply> {
  const { username, password, scope = '' } = form
  if (username === undefined || password === undefined) return detail(400, 'Missing username or password')
  const user = await checkPassword(exchange.state, username, password)
  if (user === undefined) return detail(401, 'Invalid username or password')
  if (!user.enabled) return detail(403, 'User account is disabled')
  const held = exchange.state.scopesOf(user)
  const asked = scope.split(' ').filter((name) => name !== '')
  if (!asked.every((name) => held.includes(name))) return detail(403, 'Insufficient scope')
  return tokenPair(exchange, user.username, scope)
}

/** RomM fact: a refresh token works once, and its scopes are copied unchecked. */
function refreshGrant(exchange: Exchange, jwt: string | undefined): Reply {
  const claims = readJwt(jwt ?? '', exchange.secret, exchange.now / 1000)
  const { sub, jti, scopes, type } = claims ?? {}
  if (typeof jti !== 'string' || type !== 'refresh' || !exchange.state.refreshIds.delete(jti)) {
    return json(401, { detail: 'Could not validate credentials' }, [['www-authenticate', 'Bearer']])
  }
  return tokenPair(exchange, String(sub), String(scopes))
}

function tokenPair({ state, secret, now }: Exchange, sub: string, scopes: string): Reply {
  const jti = randomUUID()
  state.refreshIds.add(jti)
  const claims = (type: string, seconds: number): object => ({
    sub,
    iss: 'romm:oauth',
    scopes,
    type,
    exp: Math.floor(now / 1000) + seconds,
  })
  return json(200, {
    access_token: signJwt({ ...claims('access', ACCESS_SECONDS) }, secret),
    refresh_token: signJwt({ ...claims('refresh', REFRESH_SECONDS), jti }, secret),
    token_type: 'bearer',
    expires: ACCESS_SECONDS,
    refresh_expires: REFRESH_SECONDS,
  })
}

async function createUser(exchange: Exchange): Promise<Reply> {
  const { username, password, email, role } = await readFields(exchange)
  if (username === undefined || password === undefined) return detail(422, 'Field required')
  if (exchange.state.findUser(username) !== undefined) return detail(400, 'Username already exists')
  const name = username.toLowerCase()
  const user = exchange.state.addUser({
    username: name,
    email: email ?? null,
    role: role === 'admin' ? 'admin' : 'user',
  })
  await exchange.state.setPassword(name, password)
  return json(201, userJson(exchange.state, user))
}

/** RomM fact: only the session that made the change ends; other sessions, JWTs and tokens live on. */
async function updateUser(exchange: Exchange): Promise<Reply> {
  const { state, caller, params, session } = exchange
  const user = state.users.get(readInteger(params['id']))
  if (user === undefined) return detail(404, 'User not found')
  const own = user.id === caller?.user.id
  const byAdmin = caller?.user.role === 'admin'
  if (!own && !byAdmin) return detail(403, 'Insufficient permissions')
  const { username, password, enabled, role } = await readFields(exchange)
  if (password !== undefined) await state.setPassword(user.username, password)
  if (username !== undefined) user.username = username.toLowerCase()
  if (byAdmin && enabled !== undefined) user.enabled = enabled === 'true'
  if (byAdmin && (role === 'admin' || role === 'user')) user.role = role
  if (own && (password ?? username) !== undefined) clearSession(session)
  return json(200, userJson(state, user))
}

function deleteUser({ state, params }: Exchange): Reply {
  const user = state.users.get(readInteger(params['id']))
  if (user === undefined) return detail(404, 'User not found')
  state.deleteUser(user.username)
  return NO_CONTENT
}

async function updatePermissions(exchange: Exchange): Promise<Reply> {
  const { state, params, body } = exchange
  const user = state.users.get(readInteger(params['user_id']))
  if (user === undefined) return detail(404, 'User not found')
  // Sent by our own tests: either field may be missing.
  const change = JSON.parse(body.toString()) as {
    readonly permission_group_id?: number | null
    readonly overrides?: readonly Omit<OverrideRow, 'user_id'>[]
  }
  if (change.permission_group_id !== undefined) user.permission_group_id = change.permission_group_id
  if (change.overrides !== undefined) state.setOverrides(user.username, change.overrides)
  return json(200, userJson(state, user))
}

function updateGroup({ state, params, body }: Exchange): Reply {
  const id = readInteger(params['id'])
  if (!state.groups.some((group) => group.id === id)) return detail(404, 'Group not found')
  // Sent by our own tests.
  const { grants } = JSON.parse(body.toString()) as { readonly grants: readonly Omit<GrantRow, 'group_id'>[] }
  state.setGrants(id, grants)
  return json(200, { id, grants })
}

function shownToken({ id, user_id, name, scopes, expires_at }: TokenRow): object {
  return { id, user_id, name, scopes, expires_at }
}

function listTokens({ state, caller }: Exchange): Reply {
  const own = [...state.tokens.values()].filter(({ user_id }) => user_id === caller?.user.id)
  return json(200, own.map(shownToken))
}

const LIFETIMES: Readonly<Record<string, number>> = { '30d': 30, '90d': 90, '1y': 365 }

/** RomM fact: the scopes asked for are held against the user's, not against the credential's. */
function createToken({ state, caller, body, now }: Exchange): Reply {
  // The table has made sure that there is a body; a wrong field shows as 403 or 422.
  const asked = JSON.parse(body.toString()) as { name?: string; scopes?: string[]; expires_in?: string }
  const { name = '', scopes = [], expires_in: lifetime = 'never' } = asked
  const days = LIFETIMES[lifetime]
  if (caller === undefined || (days === undefined && lifetime !== 'never')) return detail(422, 'expires_in')
  const held = state.scopesOf(caller.user)
  if (!scopes.every((scope) => held.includes(scope))) return detail(403, 'Insufficient scope')
  const expiry = days === undefined ? {} : { expiresAt: now + days * 86_400_000 }
  const { id, raw } = state.addToken(caller.user.username, scopes, { label: name, ...expiry })
  return json(201, { id, user_id: caller.user.id, name, scopes, raw_token: raw })
}

/** RomM fact: who has the code within a minute may have the token, once. */
function pairToken({ state, caller, params }: Exchange): Reply {
  const row = state.tokens.get(readInteger(params['token_id']))
  if (row === undefined || row.user_id !== caller?.user.id) return detail(404, 'Token not found')
  const code = randomUUID().slice(0, 8).toUpperCase()
  state.pairings.set(code, row.id)
  return json(201, { code, expires_in: 60 })
}

/** RomM fact: the token is another one from then on. */
function exchangeCode({ state, body }: Exchange): Reply {
  const { code = '' } = JSON.parse(body.toString()) as { readonly code?: string }
  const row = state.tokens.get(state.pairings.get(code) ?? 0)
  state.pairings.delete(code)
  if (row === undefined) return detail(404, 'Invalid or expired code')
  return json(200, { ...shownToken(row), raw_token: renewed(row) })
}

function renewed(row: TokenRow): string {
  const raw = newToken()
  row.hashed_token = hash('sha256', raw)
  return raw
}

function regenerateToken({ state, caller, params }: Exchange): Reply {
  const row = state.tokens.get(readInteger(params['token_id']))
  if (row === undefined || row.user_id !== caller?.user.id) return detail(404, 'Token not found')
  return json(200, { ...shownToken(row), raw_token: renewed(row) })
}

function dropToken({ state, caller, params }: Exchange, ownOnly: boolean): Reply {
  const row = state.tokens.get(readInteger(params['token_id']))
  if (row === undefined || (ownOnly && row.user_id !== caller?.user.id)) return detail(404, 'Token not found')
  state.deleteToken(row.id)
  return NO_CONTENT
}

type Fields = Readonly<Record<string, string | undefined>>

/** The body's fields as text, whether it came as JSON or as a form of either kind. */
async function readFields({ request, body }: Exchange): Promise<Fields> {
  const type = request.headers['content-type'] ?? ''
  if (body.length === 0) return {}
  const entries = type.includes('json')
    ? Object.entries(JSON.parse(body.toString()) as object)
    : [
        ...(
          await new Response(new Uint8Array(body), { headers: { 'content-type': type } }).formData()
        ).entries(),
      ]
  return Object.fromEntries(entries.map(([name, value]) => [name, String(value)]))
}
