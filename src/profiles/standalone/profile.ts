import { createBasicAuthenticator } from '../../authenticators/basic.ts'
import { byKind, only } from '../../authenticators/ladder.ts'
import { userPrincipal } from '../../authenticators/memo.ts'
import { createPasswordVerifier, DECOY_HASH } from '../../authenticators/password.ts'
import { createTokenAuthenticator, tokenPrincipal } from '../../authenticators/token.ts'
import type { TokenDirectory } from '../../authenticators/token.ts'
import { Lookup } from '../../directory/lookup.ts'
import type { NamedUser } from '../../directory/records.ts'
import type { Batched } from '../../directory/revalidation.ts'
import type { Principal } from '../../identity/principal.ts'
import type { CredentialCarrier } from '../../pipeline/decision.ts'
import { rejected } from '../../pipeline/outcome.ts'
import type { Authenticator, MaybePromise } from '../../pipeline/outcome.ts'
import type { RouteRule } from '../../pipeline/rule.ts'
import type { Finding } from '../finding.ts'
import type { Profile, ProfileContext, Trouble } from '../profile.ts'
import { standaloneCarrier } from './credentials.ts'
import { openDatabase } from './database.ts'
import type { Database } from './database.ts'
import { diagnose } from './diagnose.ts'
import { standaloneSources } from './sources.ts'
import type { StandaloneSources } from './sources.ts'

export interface StandaloneOptions {
  /** Path of the database. */
  readonly database: string
  /** How its tokens begin. */
  readonly tokenPrefix: string
}

/**
 * Our own directory, for a backend that has no accounts: one SQLite file, one gateway process. Commands write into the
 * file while the gateway runs; it sees what they did within the bound that its cache keeps towards any source.
 */
export class StandaloneProfile implements Profile {
  readonly name = 'standalone'
  readonly carrier: CredentialCarrier
  readonly authenticator: Authenticator
  readonly guest = undefined
  readonly answers = { refusal: () => undefined, clearSession: undefined }
  readonly cookieNames = []
  readonly protectedPrefixes = []
  readonly ladder = [
    { mode: 'basic', checkedBy: 'the SQLite database' },
    { mode: 'token', checkedBy: 'the SQLite database' },
  ]
  readonly lookups: readonly Batched[]
  readonly #options: StandaloneOptions
  readonly #context: ProfileContext
  readonly #db: Database
  readonly #sources: StandaloneSources
  readonly #users: Users

  /** @throws PosternError `config_invalid` when the database cannot be used */
  constructor(options: StandaloneOptions, context: ProfileContext) {
    this.#options = options
    this.#context = context
    this.#db = openDatabase(options.database)
    this.carrier = standaloneCarrier(options.tokenPrefix)
    const sources = (this.#sources = standaloneSources(this.#db))
    const common = { clock: context.clock, ...context.freshness }
    const users = new Lookup({ ...common, name: 'user', source: sources.users })
    const names = new Lookup({ ...common, name: 'name', source: sources.names })
    const tokens = new Lookup({ ...common, name: 'token', source: sources.tokens })
    this.lookups = [users, names, tokens]
    this.#users = {
      token: (digest) => tokens.find(digest),
      userById: (id) => users.find(id),
      userByName: (name) => names.find(name),
    }
    this.authenticator = authenticatorOf(this.#users, context)
  }

  async look(kind: 'user' | 'token', nameOrId: string): Promise<Principal | undefined> {
    if (kind === 'user') {
      const named = await this.#users.userByName(nameOrId)
      return named?.kind === 'user' && named.user.enabled ? userPrincipal('basic', named.user) : undefined
    }
    const token = this.#sources.tokenById(nameOrId)
    const user = token && (await this.#users.userById(token.userId))
    const isOver = (token?.expiresAt ?? Infinity) <= this.#context.clock.now()
    return token && !isOver && user?.enabled === true ? tokenPrincipal(token, user) : undefined
  }

  rules(): RouteRule[] {
    return []
  }

  /** The backend knows nobody, so nothing that is asked of it changes who somebody is. */
  watch(): undefined {}

  changedByCookie(): [] {
    return []
  }

  /** One process serves the file, and what commands write into it they tell nobody. */
  forget(): void {
    this.doubt()
  }

  doubt(): void {
    for (const kept of this.lookups) kept.doubt()
  }

  troubles(): Trouble[] {
    const away = this.lookups.filter((kept) => kept.sourceAway).map((kept) => kept.name)
    return away.length === 0
      ? []
      : [{ what: `the SQLite database does not answer for: ${away.join(', ')}`, shared: false }]
  }

  diagnose(): Promise<Finding[]> {
    return diagnose(this.#db, this.#options.database)
  }

  async start(): Promise<void> {
    const { database } = this.#options
    this.#context.warn(
      `standalone: ${database} serves one gateway process on one machine; run no second one on it`,
    )
    const isEmpty = this.#db.rows('select 1 from users limit 1').length === 0
    if (isEmpty) this.#context.warn('standalone: there are no users yet: postern user add NAME')
  }

  noteVersion(): void {
    // Nothing depends on it.
  }

  async close(): Promise<void> {
    this.#db.close()
  }
}

interface Users extends TokenDirectory {
  userByName(name: string): MaybePromise<NamedUser | undefined>
}

function authenticatorOf(users: Users, { clock, freshness, attempts }: ProfileContext): Authenticator {
  const verify = createPasswordVerifier({ attempts })
  const { maxEntries } = freshness
  const none: Authenticator = { authenticate: () => rejected('wrong_type') }
  return byKind({
    basic: only('basic', createBasicAuthenticator({ users, verify, decoyHash: DECOY_HASH, maxEntries })),
    token: only('token', createTokenAuthenticator(users, clock)),
    jwt: none,
    session: none,
  })
}
