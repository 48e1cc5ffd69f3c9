import { countQuestions, limitGuesses } from '../../authenticators/asked.ts'
import type { Ask } from '../../authenticators/asked.ts'
import { userPrincipal } from '../../authenticators/memo.ts'
import { tokenPrincipal } from '../../authenticators/token.ts'
import type { Change } from '../../directory/change.ts'
import { digestOf, sessionDigest } from '../../directory/digest.ts'
import type { RedisAddress } from '../../directory/redis.ts'
import type { Batched } from '../../directory/revalidation.ts'
import type { Credential } from '../../identity/credential.ts'
import type { Principal } from '../../identity/principal.ts'
import type { Authenticator, MaybePromise } from '../../pipeline/outcome.ts'
import type { Permit } from '../../pipeline/permit.ts'
import type { Reason } from '../../pipeline/reason.ts'
import type { RouteRule } from '../../pipeline/rule.ts'
import type { Finding } from '../finding.ts'
import type { Diagnosing, LadderStep, Profile, ProfileContext, Trouble } from '../profile.ts'
import { createAsk } from './ask.ts'
import type { AskLimits } from './ask.ts'
import { changesBy, isLogout } from './changes.ts'
import { rommCarrier, SESSION_COOKIE } from './credentials.ts'
import type { DatabaseAddress } from './database.ts'
import { SessionEndings } from './endings.ts'
import { diagnose } from './doctor/diagnose.ts'
import { doubtAll, forget } from './forgetting.ts'
import type { Known } from './forgetting.ts'
import { rommGuesses } from './guesses.ts'
import { Instance } from './instance.ts'
import { buildLadder } from './ladder.ts'
import { PROTECTED_PREFIXES, rommRules } from './routes.ts'
import { READ_SCOPES } from './scopes.ts'
import { RommStores } from './stores.ts'
import { isCut } from './ties.ts'
import { createTranslation } from './translate.ts'
import { createPasswordVerdicts, sharedVerdicts } from './verdicts.ts'
import type { VerdictTiming } from './verdicts.ts'

export interface RommOptions {
  /** RomM's ROMM_AUTH_SECRET_KEY. */
  readonly secret: string | undefined
  readonly database: DatabaseAddress | undefined
  /** RomM's own, where its sessions are. */
  readonly redis: RedisAddress | undefined
  readonly kiosk: boolean
  readonly firstRun: 'closed' | 'open'
  readonly resources: 'public' | 'closed'
  readonly version: string | undefined
  /** URL of the upstream, to which shared answers are bound. */
  readonly upstream: string
  readonly ask: AskLimits & VerdictTiming
}

/** RomM fact: how it takes a session that is gone from the browser. */
const CLEAR_SESSION = `${SESSION_COOKIE}=null; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; httponly; samesite=strict`

const GUEST: Principal = Object.freeze({
  mode: 'guest',
  owner: Object.freeze({ subject: '-1', username: 'kiosk', role: 'user' }),
  grant: Object.freeze({ kind: 'known', scopes: READ_SCOPES }),
  expiresAt: undefined,
  tokenId: undefined,
  deviceId: undefined,
})

export class RommProfile implements Profile {
  readonly name = 'romm'
  readonly carrier = rommCarrier
  readonly cookieNames = [SESSION_COOKIE]
  readonly protectedPrefixes = PROTECTED_PREFIXES
  readonly questions = { asked: 0, refused: 0 }
  readonly guest: Principal | undefined
  readonly authenticator: Authenticator
  readonly ladder: readonly LadderStep[]
  readonly answers = {
    refusal: (reason: Reason) => this.#refusal(reason),
    clearSession: CLEAR_SESSION,
  }
  readonly guess: NonNullable<Profile['guess']>
  readonly isRevoked: (credential: Credential) => MaybePromise<boolean>
  readonly translate: (principal: Principal) => Credential | undefined
  readonly #options: RommOptions
  readonly #context: ProfileContext
  readonly #instance: Instance
  readonly #stores: RommStores
  readonly #known: Known
  readonly #endings: SessionEndings
  readonly #ask: Ask
  #onRules: () => void = () => undefined

  constructor(options: RommOptions, context: ProfileContext) {
    this.#options = options
    this.#context = context
    this.#endings = new SessionEndings()
    this.guest = options.kiosk ? GUEST : undefined
    const mint = options.secret === undefined ? undefined : createTranslation(options.secret, context.clock)
    // What is signed with another key than RomM's would be refused there.
    this.translate = (principal) => (this.#instance.secret === 'right' ? mint?.(principal) : undefined)
    this.#instance = new Instance({
      ...options,
      ask: context.ask,
      clock: context.clock,
      onRules: () => this.#onRules(),
      onScopes: () => this.doubt(),
    })
    const binding = bindingOf(options)
    const stores = (this.#stores = new RommStores(
      { ...options, binding, behaviour: () => this.#instance.behaviour },
      context,
    ))
    const { users, sessions, ties } = stores
    this.isRevoked = (credential) => ties !== undefined && isCut(ties, credential)
    const verdicts = sharedVerdicts(context, options.ask, binding)
    const passwordVerdicts = createPasswordVerdicts(context, options.ask)
    this.#known = { users, sessions, ties, verdicts, passwordVerdicts }
    const asking = createAsk({ upstream: context.ask, limits: options.ask }, () => this.#instance.state)
    const ask = (this.#ask = countQuestions(asking, this.questions))
    const guesses = rommGuesses(users)
    this.guess = guesses.guess
    const { authenticator, steps } = buildLadder({
      ask: limitGuesses(this.#endings.guard(ask), context.attempts, guesses.userKey),
      attempts: context.attempts,
      ...this.#known,
      secret: options.secret,
      confirmSecret: () => this.#instance.confirmSecret(),
      clock: context.clock,
      maxEntries: context.freshness.maxEntries,
    })
    this.authenticator = authenticator
    this.ladder = steps
  }

  get lookups(): readonly Batched[] {
    return this.#stores.lookups
  }

  async look(kind: 'user' | 'token', nameOrId: string): Promise<Principal | undefined> {
    const { users } = this.#stores
    if (kind === 'user') {
      const named = await users?.userByName(nameOrId)
      return named?.kind === 'user' && named.user.enabled ? userPrincipal('session', named.user) : undefined
    }
    const token = await this.#stores.tokenById(nameOrId)
    const user = token && (await users?.userById(token.userId))
    return token && user?.enabled === true ? tokenPrincipal(token, user) : undefined
  }

  rules(): RouteRule[] {
    return rommRules({ firstRunOpen: this.#instance.firstRunOpen, resources: this.#options.resources })
  }

  /** A change counts unless RomM says that it refused: also when its answer is lost, or says that it failed. */
  watch(permit: Permit): ((ended: number | 'lost') => readonly Change[]) | undefined {
    const changes = changesBy(permit)
    if (changes === undefined) return undefined
    const { credential } = permit
    const isEnding = credential?.kind === 'session' && isLogout(permit)
    const over = isEnding ? this.#endings.begin(sessionDigest(credential.id)) : undefined
    return (ended) => {
      const refused = ended !== 'lost' && ended >= 400 && ended < 500
      over?.()
      if (!refused && this.#instance.firstRunOpen) void this.#instance.lookAnew()
      return refused ? [] : changes
    }
  }

  /** RomM fact: a session that is gone is answered with its cookie cleared; one that lives, with the same id again. */
  changedByCookie({ credential, principal }: Permit, setCookie: string): readonly Change[] {
    // Only who was let in with it: a made-up id would be answered so as well, and change nobody.
    if (credential?.kind !== 'session' || principal === undefined) return []
    return setCookie.startsWith(`${SESSION_COOKIE}=${credential.id}`)
      ? []
      : [{ kind: 'session', digest: sessionDigest(credential.id) }]
  }

  forget(changes: readonly Change[]): void {
    for (const change of changes) forget(this.#known, change)
  }

  doubt(): void {
    doubtAll(this.#known)
  }

  troubles(): Trouble[] {
    return [...secretTrouble(this.#instance.secret), ...this.#stores.troubles()]
  }

  diagnose(how: Diagnosing): Promise<Finding[]> {
    const { opened } = this.#stores
    const patient = {
      options: this.#options,
      context: this.#context,
      instance: this.#instance,
      ask: this.#ask,
    }
    return diagnose({ ...patient, opened }, how)
  }

  async start(onRules: () => void): Promise<void> {
    this.#onRules = onRules
    await Promise.all([this.#instance.start(), this.#stores.start()])
  }

  noteVersion(version: string | undefined): void {
    this.#instance.noteVersion(version)
  }

  async close(): Promise<void> {
    this.#instance.stop()
    await this.#stores.close()
  }

  #refusal(reason: Reason): { status: number; detail: string } | undefined {
    const isAnonymous = reason === 'no_credential' || reason === 'invalid_credential'
    // RomM fact: until 5.1 its own client takes a 403 for signed out.
    return isAnonymous && this.#instance.behaviour.anonymousStatus === 403
      ? { status: 403, detail: 'Forbidden' }
      : undefined
  }
}

/** Answers are shared only with replicas for which they would be the same. */
function bindingOf({ upstream, database, kiosk }: RommOptions): string {
  const source =
    database === undefined ? '' : `${database.driver} ${database.host}:${database.port}/${database.name}`
  return digestOf('romm', upstream, source, String(kiosk)).slice(0, 16)
}

/** A wrong secret may be this replica's alone; one that RomM changed is everybody's. */
function secretTrouble(proof: Instance['secret']): Trouble[] {
  switch (proof) {
    case 'wrong':
      return [
        {
          what: "romm.secret is not RomM's ROMM_AUTH_SECRET_KEY; access tokens are asked of RomM",
          shared: false,
        },
      ]
    case 'changed':
      return [{ what: 'RomM changed its secret: set ROMM_AUTH_SECRET_KEY there and here', shared: true }]
    case 'right':
    case 'unproven':
    case undefined:
      return []
  }
}
