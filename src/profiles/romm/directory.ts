import { Lookup } from '../../directory/lookup.ts'
import type { SharedTier } from '../../directory/lookup.ts'
import type { NamedUser, SessionRecord, Source, TokenRecord, UserRecord } from '../../directory/records.ts'
import { createSharedTier } from '../../directory/shared.ts'
import type { MaybePromise } from '../../pipeline/outcome.ts'
import type { ProfileContext } from '../profile.ts'
import type { RommSources } from './sources.ts'

/** A look-up that counts answers as the context says, with a tenth of its room for names that lead nowhere. */
function lookup<V extends object>(
  context: ProfileContext,
  name: string,
  source: Source<V>,
  shared?: SharedTier<V>,
): Lookup<V> {
  const { clock, freshness } = context
  const maxNegative = Math.max(1_000, Math.ceil(freshness.maxEntries / 10))
  return new Lookup({ name, source, clock, ...freshness, maxNegative, ...(shared && { shared }) })
}

/** Users and tokens in RomM's database. */
export class RommUsers {
  readonly users: Lookup<UserRecord>
  readonly names: Lookup<NamedUser>
  readonly tokens: Lookup<TokenRecord>

  /** @param binding everything that an answer in the shared tier depends on */
  constructor(sources: RommSources, context: ProfileContext, binding: string) {
    this.users = lookup(context, 'user', sources.usersById)
    this.names = lookup(context, 'name', sources.usersByName)
    this.tokens = lookup(context, 'token', sources.tokens, sharedTokens(context, binding))
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
  readonly #users: RommUsers

  constructor(source: Source<SessionRecord>, users: RommUsers, context: ProfileContext) {
    this.sessions = lookup(context, 'session', source)
    this.#users = users
  }

  session(id: string): MaybePromise<SessionRecord | undefined> {
    return this.sessions.find(id)
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
    scopes,
    expiresAt: typeof expiresAt === 'number' ? expiresAt : undefined,
    deviceId: typeof deviceId === 'string' ? deviceId : undefined,
  })
}
