import { Lookup } from '../../directory/lookup.ts'
import type { SharedTier } from '../../directory/shared.ts'
import { sessionDigest } from '../../directory/digest.ts'
import type { NamedUser, SessionRecord, TokenRecord, UserRecord } from '../../directory/records.ts'
import { scopeList } from '../../directory/scope-list.ts'
import { createSharedTier } from '../../directory/shared.ts'
import type { MaybePromise } from '../../pipeline/outcome.ts'
import type { ProfileContext } from '../profile.ts'
import type { RommSessionStore } from './sessions.ts'
import type { RommSources } from './sources.ts'

/** Users and tokens in RomM's database. */
export class RommUsers {
  readonly users: Lookup<UserRecord>
  readonly names: Lookup<NamedUser>
  readonly tokens: Lookup<TokenRecord>

  /** @param binding everything that an answer in the shared tier depends on */
  constructor(
    sources: Pick<RommSources, 'usersById' | 'usersByName' | 'tokens'>,
    context: ProfileContext,
    binding: string,
  ) {
    const common = { clock: context.clock, ...context.freshness }
    this.users = new Lookup({ ...common, name: 'user', source: sources.usersById })
    this.names = new Lookup({ ...common, name: 'name', source: sources.usersByName })
    this.tokens = new Lookup({
      ...common,
      name: 'token',
      source: sources.tokens,
      shared: sharedTokens(context, binding),
    })
  }

  token(digest: string): MaybePromise<TokenRecord | undefined> {
    return this.tokens.find(digest)
  }

  userById(id: string): MaybePromise<UserRecord | undefined> {
    return this.users.find(id)
  }

  userByName(name: string): MaybePromise<NamedUser | undefined> {
    return this.names.find(name)
  }
}

/** Sessions in RomM's Redis, of users in its database. */
export class RommSessions {
  readonly sessions: Lookup<SessionRecord>
  readonly #store: RommSessionStore
  readonly #users: RommUsers

  constructor(store: RommSessionStore, users: RommUsers, context: ProfileContext) {
    this.sessions = new Lookup({ clock: context.clock, ...context.freshness, name: 'session', source: store })
    this.#store = store
    this.#users = users
  }

  session(id: string): MaybePromise<SessionRecord | undefined> {
    return this.sessions.find(sessionDigest(id), () => this.#store.byId(id))
  }

  userByName(name: string): MaybePromise<NamedUser | undefined> {
    return this.#users.userByName(name)
  }
}

function sharedTokens(
  { shared, clock, freshness }: ProfileContext,
  binding: string,
): SharedTier<TokenRecord> | undefined {
  if (shared === undefined) return undefined
  return createSharedTier({
    ...shared,
    clock,
    freshFor: freshness.freshFor,
    prefix: `postern:token:${binding}:`,
    serialize: (token) => token,
    parse: tokenOf,
  })
}

/** What another replica wrote; its signature says that it is one of ours, its shape that it is of our release. */
function tokenOf(json: unknown): TokenRecord | undefined {
  if (typeof json !== 'object' || json === null) return undefined
  const { id, userId, digest, scopes, expiresAt, deviceId } = { ...json } as Readonly<Record<string, unknown>>
  if (typeof id !== 'string' || typeof userId !== 'string' || typeof digest !== 'string') return undefined
  if (!Array.isArray(scopes) || !scopes.every((scope) => typeof scope === 'string')) return undefined
  return Object.freeze({
    id,
    userId,
    digest,
    scopes: scopeList(scopes.join(' ')),
    expiresAt: typeof expiresAt === 'number' ? expiresAt : undefined,
    deviceId: typeof deviceId === 'string' ? deviceId : undefined,
  })
}
