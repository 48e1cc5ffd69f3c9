import { verify as bcryptVerify } from '@node-rs/bcrypt'
import type { SessionData, UserRow } from './facts.ts'
import { readJwt } from './jwt.ts'
import { decodeBase64, splitWords } from './python.ts'
import { GUEST, type State } from './state.ts'

/** Who is asking, and what this credential lets them do. */
export interface Caller {
  readonly user: UserRow
  readonly scopes: readonly string[]
  /** Whether the session did it: only then does a change of the password end it. */
  readonly bySession: boolean
}

/**
 * RomM fact: an exception raised while a credential is read is handled by nobody, so that the answer is
 * 500 text/plain on any route, public ones included, without cookies.
 */
export class Crash extends Error {
  override readonly name = 'Crash'
}

export interface Authentication {
  readonly state: State
  readonly secret: string
  readonly kiosk: boolean
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/**
 * RomM's order: session, then `Authorization`, then the kiosk guest. Ends a session whose user is gone or
 * disabled, and goes on with the next credential.
 *
 * @param session changed in place: an emptied one is deleted with the answer
 * @returns undefined for an anonymous visitor
 * @throws Crash where RomM answers 500
 */
export async function authenticate(
  { state, secret, kiosk, now }: Authentication,
  session: SessionData,
  authorization: string | undefined,
): Promise<Caller | undefined> {
  const user = sessionUser(state, session)
  if (user !== undefined) return { user, scopes: state.scopesOf(user), bySession: true }
  const guest = kiosk ? { user: GUEST, scopes: state.scopesOf(GUEST), bySession: false } : undefined
  if (authorization === undefined) return guest
  const words = splitWords(authorization)
  const [scheme = '', value = ''] = words
  if (words.length !== 2) return undefined
  switch (scheme.toLowerCase()) {
    case 'basic':
      return limited(state, await basicUser(state, authorization))
    case 'bearer':
      return value.startsWith('rmm_')
        ? tokenCaller(state, value, now())
        : jwtCaller(state, value, secret, now())
    default:
      return guest
  }
}

function sessionUser(state: State, session: SessionData): UserRow | undefined {
  const { iss, sub } = session
  if (iss !== 'romm:auth' || typeof sub !== 'string' || sub === '') return undefined
  const user = state.findUser(sub)
  if (user?.enabled === true) return user
  clearSession(session)
  return undefined
}

export function clearSession(session: SessionData): void {
  for (const key of Object.keys(session)) delete session[key]
}

function limited(state: State, user: UserRow | undefined, carried?: readonly string[]): Caller | undefined {
  if (user === undefined) return undefined
  const scopes = state.scopesOf(user).filter((scope) => carried?.includes(scope) ?? true)
  return { user, scopes, bySession: false }
}

async function basicUser(state: State, authorization: string): Promise<UserRow | undefined> {
  const pair = readBasic(authorization)
  if (pair === undefined) throw new Crash('malformed Basic')
  const user = await checkPassword(state, pair.name, pair.password)
  return user?.enabled === true ? user : undefined
}

/**
 * RomM fact: only a plain space ends the scheme here, the rest is ASCII in base64, and the first colon
 * ends the name.
 * @returns undefined for what FastAPI's HTTPBasic refuses
 */
export function readBasic(
  authorization: string | undefined,
): { readonly name: string; readonly password: string } | undefined {
  const [, encoded] = /^basic (.*)$/i.exec(authorization ?? '') ?? []
  const text = encoded === undefined ? undefined : decodeBase64(encoded)?.toString('latin1')
  const colon = text?.indexOf(':') ?? -1
  if (text === undefined || colon < 0 || /[^\0-\x7f]/.test(text)) return undefined
  return { name: text.slice(0, colon), password: text.slice(colon + 1) }
}

/** bcrypt takes 60 ms on purpose; a test run asks the same few questions thousands of times. */
const verified = new Map<string, Promise<boolean>>()

/**
 * The user, disabled or not, if this is their password.
 * @throws Crash for NUL and for what is no bcrypt hash (RomM fact: users made by OIDC hold a uuid there)
 */
export async function checkPassword(
  state: State,
  name: string,
  password: string,
): Promise<UserRow | undefined> {
  if (name.includes('\0')) throw new Crash('NUL in the name')
  const user = state.findUser(name)
  const hash = user?.hashed_password ?? null
  if (hash === null) return undefined
  if (!/^\$2[aby]\$/.test(hash) || password.includes('\0')) throw new Crash('the password cannot be checked')
  const question = `${hash}\0${password}`
  const answer = verified.get(question) ?? bcryptVerify(password, hash)
  verified.set(question, answer)
  return (await answer) ? user : undefined
}

function tokenCaller(state: State, raw: string, now: number): Caller | undefined {
  const token = state.findToken(raw)
  if (token === undefined || (token.expires_at !== null && token.expires_at < now)) return undefined
  const user = state.users.get(token.user_id)
  return user?.enabled === true ? limited(state, user, token.scopes) : undefined
}

function jwtCaller(state: State, jwt: string, secret: string, now: number): Caller | undefined {
  const claims = readJwt(jwt, secret, now / 1000)
  if (claims === undefined) throw new Crash('bad JWT')
  if (claims['iss'] !== 'romm:oauth' || claims['type'] !== 'access') return undefined
  const { sub, scopes } = claims
  const user = typeof sub === 'string' ? state.findUser(sub) : undefined
  if (user?.enabled !== true || typeof scopes !== 'string') throw new Crash('JWT of nobody')
  return limited(state, user, scopes.split(' '))
}
