import { createGate } from '../../authenticators/gate.ts'
import type { Ask, Verdict } from '../../authenticators/asked.ts'
import { networkOf } from '../../request/network.ts'
import { createRateLimit } from '../../authenticators/rate.ts'
import { PosternError } from '../../errors.ts'
import type { Credential } from '../../identity/credential.ts'
import { ScopeSet } from '../../identity/scope.ts'
import type { AskUpstream } from '../profile.ts'
import { rommCarrier, SESSION_COOKIE } from './credentials.ts'

const QUESTION = '/api/users/me'
const HEARTBEAT = '/api/heartbeat'
const JSON_PLEASE = { Accept: 'application/json' }
/** RomM fact: the id of whom an anonymous visitor, or a bad session, becomes in kiosk mode. */
const KIOSK_GUEST = -1
/** Questions that may wait for their turn; more are refused. */
const QUEUE = 64
/** Nothing that RomM hands out comes near; its web server would refuse such a header in a way that looks like trouble. */
const LONGEST_CREDENTIAL = 8_192

export interface AskLimits {
  /** Questions at once. */
  readonly concurrency: number
  /** Questions a second, in all and for one client address. */
  readonly rate: number
  readonly ratePerAddress: number
}

export interface AskOptions {
  readonly upstream: AskUpstream
  readonly limits: AskLimits
}

/** What RomM says of a request without credential, and of itself. */
export interface InstanceState {
  /** RomM fact: 401 since 5.2; 403 before, which then says nothing about a credential. */
  readonly anonymousStatus: 401 | 403
  readonly kiosk: boolean
}

/** Asks RomM whom a credential belongs to: the ladder's first step, and the last resort of every other. */
export function createAsk(options: AskOptions, instance: () => InstanceState | undefined): Ask {
  const { concurrency, rate, ratePerAddress } = options.limits
  const gate = createGate({ what: 'questions to the backend', atOnce: concurrency, waiting: QUEUE })
  const limit = createRateLimit('questions to the backend', rate, ratePerAddress)
  return async (credential, client, wasGood = false) => {
    const headers = questionHeaders(credential)
    if (Object.values(headers).some((value) => value.length > LONGEST_CREDENTIAL)) return undefined
    const network = networkOf(client.address)
    // What was good is asked about once in its time to live, and ahead of what nobody knows.
    if (!wasGood) await limit(network)
    const question = async (): Promise<Verdict | undefined> => {
      const answer = await options.upstream(QUESTION, headers)
      return judge(answer, credential, instance()?.anonymousStatus, options.upstream)
    }
    return gate(network, question, wasGood)
  }
}

type Answer = Awaited<ReturnType<AskUpstream>>

async function judge(
  answer: Answer,
  credential: Credential,
  anonymousStatus: InstanceState['anonymousStatus'] | undefined,
  upstream: AskUpstream,
): Promise<Verdict | undefined> {
  const isBearer = credential.kind === 'jwt' || credential.kind === 'token'
  switch (answer.status) {
    case 200:
      return userOf(answer.body) ?? refused(answer, credential)
    case 401:
      return refused(answer, credential)
    case 403:
      // Nobody, or a bearer without `me.read`: what a request without credential is told says which.
      if (!isBearer || anonymousStatus === 403) return refused(answer, credential)
      if (anonymousStatus === undefined) throw couldNotAsk(answer)
      return Object.freeze({ kind: 'good' })
    case 500:
      // RomM fact: a bad JWT or password crashes its authentication. So does other trouble: then the heartbeat fails too.
      if (credential.kind !== 'jwt' && credential.kind !== 'basic') throw couldNotAsk(answer)
      if ((await upstream(HEARTBEAT, JSON_PLEASE)).status === 200) return undefined
      throw couldNotAsk(answer)
    default:
      throw couldNotAsk(answer)
  }
}

/** RomM fact: a session that is gone is cleared by the very answer; one before its login is not. */
function refused(answer: Answer, credential: Credential): Verdict | undefined {
  if (credential.kind !== 'session') return undefined
  const cleared = answer.setCookies.some((cookie) => cookie.startsWith(`${SESSION_COOKIE}=null`))
  return cleared ? undefined : Object.freeze({ kind: 'pending' })
}

/**
 * @returns undefined for the kiosk's guest, who is not somebody
 * @throws PosternError `could_not_check` for anything but RomM's own answer: a login page of another proxy is 200 too
 */
function userOf(body: string): Verdict | undefined {
  const user = parse(body)
  const { id, username, enabled, role, oauth_scopes: scopes } = user
  const isUser =
    typeof id === 'number' &&
    Number.isInteger(id) &&
    typeof username === 'string' &&
    typeof enabled === 'boolean' &&
    Array.isArray(scopes)
  if (!isUser) throw new PosternError('could_not_check', `${QUESTION}: the answer is not a user of RomM`)
  if (id < 1 || !enabled) return undefined
  return Object.freeze({
    kind: 'user',
    owner: { subject: String(id), username, role: typeof role === 'string' ? role : undefined },
    scopes: ScopeSet.of(scopes.filter((scope) => typeof scope === 'string')),
  })
}

function parse(body: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body)
    if (typeof value === 'object' && value !== null) return { ...value }
  } catch (error) {
    throw new PosternError('could_not_check', `${QUESTION}: the answer is not JSON`, { cause: error })
  }
  throw new PosternError('could_not_check', `${QUESTION}: the answer is not an object`)
}

/** Exactly one credential and nothing else of the client. */
function questionHeaders(credential: Credential): Record<string, string> {
  const written = rommCarrier.rewrite([], credential)
  return { ...JSON_PLEASE, ...Object.fromEntries(pairs(written)) }
}

function pairs(headers: readonly string[]): [string, string][] {
  return headers.flatMap((name, i): [string, string][] => (i % 2 === 0 ? [[name, headers[i + 1] ?? '']] : []))
}

function couldNotAsk(answer: Answer): PosternError {
  return new PosternError('could_not_check', `${QUESTION}: the backend answered ${answer.status}`)
}

/**
 * What RomM says to nobody: what its 403 means, and whether kiosk mode is on.
 * @throws PosternError `could_not_check`
 */
export async function askAnonymously(upstream: AskUpstream): Promise<InstanceState> {
  const answer = await upstream(QUESTION, JSON_PLEASE)
  if (answer.status === 401 || answer.status === 403) return { anonymousStatus: answer.status, kiosk: false }
  if (answer.status !== 200 || parse(answer.body)['id'] !== KIOSK_GUEST) throw couldNotAsk(answer)
  // RomM fact: who sends an Authorization that is none is nobody, in kiosk mode too.
  const nobody = await upstream(QUESTION, { ...JSON_PLEASE, Authorization: 'Bearer' })
  if (nobody.status !== 401 && nobody.status !== 403) throw couldNotAsk(nobody)
  return { anonymousStatus: nobody.status, kiosk: true }
}

/** What `GET /api/heartbeat` says to a stranger. */
export interface Heartbeat {
  readonly version: string | undefined
  /** RomM shows its setup wizard: it has no admin. */
  readonly awaitsFirstAdmin: boolean
  readonly setCookies: readonly string[]
}

/** @throws PosternError `could_not_check`, `upstream_unreachable`, `upstream_timeout` */
export async function askHeartbeat(upstream: AskUpstream): Promise<Heartbeat> {
  const { status, setCookies, body } = await upstream(HEARTBEAT, JSON_PLEASE)
  if (status !== 200)
    throw new PosternError('could_not_check', `${HEARTBEAT}: the backend answered ${status}`)
  const system = parse(body)['SYSTEM']
  if (typeof system !== 'object' || system === null) {
    return { version: undefined, awaitsFirstAdmin: false, setCookies }
  }
  const version = 'VERSION' in system && typeof system.VERSION === 'string' ? system.VERSION : undefined
  const awaitsFirstAdmin = 'SHOW_SETUP_WIZARD' in system && system.SHOW_SETUP_WIZARD === true
  return { version, awaitsFirstAdmin, setCookies }
}
