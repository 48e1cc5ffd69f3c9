import type { Redis } from 'ioredis'
import { limitGuesses } from '../../authenticators/asked.ts'
import { userPrincipal } from '../../authenticators/memo.ts'
import { tokenPrincipal } from '../../authenticators/token.ts'
import type { Change } from '../../directory/change.ts'
import { digestOf, sessionDigest } from '../../directory/digest.ts'
import { connectRedis, settled } from '../../directory/redis.ts'
import type { RedisAddress } from '../../directory/redis.ts'
import type { Batched } from '../../directory/revalidation.ts'
import { asPosternError } from '../../errors.ts'
import type { Credential } from '../../identity/credential.ts'
import type { Principal } from '../../identity/principal.ts'
import type { Authenticator, MaybePromise } from '../../pipeline/outcome.ts'
import type { Permit } from '../../pipeline/permit.ts'
import type { Reason } from '../../pipeline/reason.ts'
import type { RouteRule } from '../../pipeline/rule.ts'
import type { LadderStep, Profile, ProfileContext, Trouble } from '../profile.ts'
import { createAsk } from './ask.ts'
import type { AskLimits } from './ask.ts'
import { listenForPermissions } from './broadcast.ts'
import { changesBy, isLogout } from './changes.ts'
import { rommCarrier, SESSION_COOKIE } from './credentials.ts'
import { openDatabase } from './database.ts'
import type { DatabaseAddress, RommDatabase } from './database.ts'
import { RommSessions, RommUsers } from './directory.ts'
import { SessionEndings } from './endings.ts'
import { doubtAll, forget } from './forgetting.ts'
import type { Known } from './forgetting.ts'
import { rommGuesses } from './guesses.ts'
import { Instance } from './instance.ts'
import { buildLadder } from './ladder.ts'
import { PROTECTED_PREFIXES, rommRules } from './routes.ts'
import { READ_SCOPES } from './scopes.ts'
import { RommSessionStore } from './sessions.ts'
import { RommSources } from './sources.ts'
import { isCut, rommTies } from './ties.ts'
import { createTranslation } from './translate.ts'
import { passwordVerdicts, sharedVerdicts } from './verdicts.ts'
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

/** Milliseconds until a database that could not be used is tried again. */
const PROBE_AGAIN = 10_000

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
  readonly #db: RommDatabase | undefined
  readonly #redis: Redis | undefined
  readonly #listener: Redis | undefined
  readonly #sources: RommSources | undefined
  readonly #users: RommUsers | undefined
  readonly #known: Known
  readonly lookups: readonly Batched[]
  readonly #endings: SessionEndings
  #databaseTrouble: string | undefined
  #cancelProbe: (() => void) | undefined
  #redisAway = false
  #closed = false
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
    this.#db = options.database && openDatabase(options.database)
    this.#redis =
      options.redis && connectRedis(options.redis, 'postern-sessions', (state) => this.#noteRedis(state))
    this.#listener = options.redis && connectRedis(options.redis, 'postern-permissions', () => undefined)
    if (this.#listener) listenForPermissions(this.#listener, context.changed)
    this.#sources =
      this.#db &&
      new RommSources({ db: this.#db, kiosk: options.kiosk, behaviour: () => this.#instance.behaviour })
    const users = (this.#users = this.#sources && new RommUsers(this.#sources, context, this.#binding()))
    const sessions =
      this.#redis && users && new RommSessions(new RommSessionStore(this.#redis), users, context)
    const ties = users && rommTies(users, context, this.#binding())
    this.isRevoked = (credential) => ties !== undefined && isCut(ties, credential)
    const verdicts = sharedVerdicts(context, options.ask, this.#binding())
    const passwords = passwordVerdicts(context, options.ask)
    this.#known = { users, sessions, verdicts, passwordVerdicts: passwords }
    const ask = createAsk({ upstream: context.ask, limits: options.ask }, () => this.#instance.state)
    const guesses = rommGuesses(users)
    this.guess = guesses.guess
    const { authenticator, steps } = buildLadder({
      ask: limitGuesses(this.#endings.guard(ask), context.attempts, guesses.userKey),
      attempts: context.attempts,
      verdicts,
      passwordVerdicts: passwords,
      secret: options.secret,
      confirmSecret: () => this.#instance.confirmSecret(),
      users,
      sessions,
      ties,
      clock: context.clock,
      maxEntries: context.freshness.maxEntries,
    })
    this.authenticator = authenticator
    this.ladder = steps
    this.lookups = [
      ...(users === undefined ? [] : [users.users, users.names, users.tokens]),
      ...(sessions === undefined ? [] : [sessions.sessions]),
    ]
  }

  async look(kind: 'user' | 'token', nameOrId: string): Promise<Principal | undefined> {
    if (this.#sources === undefined || this.#users === undefined) return undefined
    if (kind === 'user') {
      const named = await this.#users.userByName(nameOrId)
      return named?.kind === 'user' && named.user.enabled ? userPrincipal('session', named.user) : undefined
    }
    const token = /^\d{1,9}$/.test(nameOrId) ? await this.#sources.tokenById(Number(nameOrId)) : undefined
    const user = token && (await this.#users.userById(token.userId))
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
    const away = this.lookups.filter((lookup) => lookup.sourceAway).map((lookup) => lookup.name)
    return [
      ...secretTrouble(this.#instance.secret),
      ...(this.#databaseTrouble === undefined ? [] : [{ what: this.#databaseTrouble, shared: true }]),
      ...(this.#redisAway
        ? [{ what: "RomM's Redis is away; sessions are asked of RomM", shared: true }]
        : []),
      ...(away.length === 0
        ? []
        : [{ what: `no answer from the source of: ${away.join(', ')}`, shared: true }]),
    ]
  }

  async start(onRules: () => void): Promise<void> {
    this.#onRules = onRules
    await Promise.all([this.#instance.start(), this.#probe(), this.#redis && settled(this.#redis)])
    for (const { what } of secretTrouble(this.#instance.secret)) this.#context.warn(what)
    const kiosk = this.#instance.state?.kiosk
    if (kiosk !== undefined && kiosk !== this.#options.kiosk) {
      this.#context.warn(`RomM runs with kiosk mode ${onOff(kiosk)}: set romm.kiosk to ${String(kiosk)}`)
    }
  }

  noteVersion(version: string | undefined): void {
    this.#instance.noteVersion(version)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#instance.stop()
    this.#cancelProbe?.()
    this.#redis?.disconnect()
    this.#listener?.disconnect()
    await this.#db?.destroy()
  }

  async #probe(): Promise<void> {
    try {
      await this.#sources?.probe()
      this.#databaseTrouble = undefined
    } catch (error) {
      if (this.#closed) return
      const trouble = asPosternError(error).message
      if (trouble !== this.#databaseTrouble) this.#context.warn(`romm.database: ${trouble}`)
      this.#databaseTrouble = trouble
      this.#cancelProbe = this.#context.clock.after(PROBE_AGAIN, () => void this.#probe())
    }
  }

  #noteRedis(state: 'ready' | 'away'): void {
    const away = state === 'away'
    if (away && !this.#redisAway)
      this.#context.warn("romm.redis: RomM's Redis is away; sessions are asked of RomM")
    // What is there when it comes back may be older than what it was before, or another one.
    if (this.#redisAway && !away) this.#known.sessions?.sessions.doubt()
    this.#redisAway = away
  }

  #refusal(reason: Reason): { status: number; detail: string } | undefined {
    const isAnonymous = reason === 'no_credential' || reason === 'invalid_credential'
    // RomM fact: until 5.1 its own client takes a 403 for signed out.
    return isAnonymous && this.#instance.behaviour.anonymousStatus === 403
      ? { status: 403, detail: 'Forbidden' }
      : undefined
  }

  /** Answers are shared only with replicas for which they would be the same. */
  #binding(): string {
    const { upstream, database, kiosk } = this.#options
    const source =
      database === undefined ? '' : `${database.driver} ${database.host}:${database.port}/${database.name}`
    return digestOf('romm', upstream, source, String(kiosk)).slice(0, 16)
  }
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

function onOff(on: boolean): string {
  return on ? 'on' : 'off'
}
