import type { Redis } from 'ioredis'
import { Lookup } from '../../directory/lookup.ts'
import type { LookupOptions } from '../../directory/lookup.ts'
import type { NamedUser, SessionRecord, Source, TokenRecord, UserRecord } from '../../directory/records.ts'
import type { Clock } from '../../identity/clock.ts'
import type { MaybePromise } from '../../pipeline/outcome.ts'
import type { RommSources } from './sources.ts'

/** How long answers count; milliseconds. */
export interface Freshness {
  readonly freshFor: number
  readonly staleIfError: number
  readonly deadline: number
  readonly maxEntries: number
}

export function lookupOptions<V extends object>(
  name: string,
  source: Source<V>,
  clock: Clock,
  freshness: Freshness,
): LookupOptions<V> {
  return {
    name,
    source,
    clock,
    ...freshness,
    maxNegative: Math.max(1_000, Math.ceil(freshness.maxEntries / 10)),
  }
}

/** Users and tokens in RomM's database. */
export class RommUsers {
  readonly users: Lookup<UserRecord>
  readonly names: Lookup<NamedUser>
  readonly tokens: Lookup<TokenRecord>

  constructor(
    sources: RommSources,
    tokens: (options: LookupOptions<TokenRecord>) => LookupOptions<TokenRecord>,
    clock: Clock,
    freshness: Freshness,
  ) {
    this.users = new Lookup(lookupOptions('user', sources.usersById, clock, freshness))
    this.names = new Lookup(lookupOptions('name', sources.usersByName, clock, freshness))
    this.tokens = new Lookup(tokens(lookupOptions('token', sources.tokens, clock, freshness)))
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

/** RomM fact: it logs in under this issuer; a session without a name is an OIDC sign-in under way. */
const ISSUER = 'romm:auth'

/** RomM's sessions, as it keeps them: `session:<id>` in its Redis, JSON. */
export function rommSessions(redis: Redis): Source<SessionRecord> {
  return {
    async load(ids) {
      const texts = await redis.mget(ids.map((id) => `session:${id}`))
      return new Map(
        ids.flatMap((id, index): [string, SessionRecord][] => {
          const text = texts[index]
          return typeof text === 'string' ? [[id, sessionOf(text)]] : []
        }),
      )
    },
  }
}

/** A session that cannot be read authenticates nobody, and is not dead either: RomM alone knows what it is. */
function sessionOf(text: string): SessionRecord {
  const nobody: SessionRecord = Object.freeze({ username: undefined, deviceId: undefined })
  try {
    const data: unknown = JSON.parse(text)
    if (typeof data !== 'object' || data === null || !('iss' in data) || data.iss !== ISSUER) return nobody
    const sub = 'sub' in data && typeof data.sub === 'string' && data.sub !== '' ? data.sub : undefined
    const deviceId = 'device_id' in data && typeof data.device_id === 'string' ? data.device_id : undefined
    return Object.freeze({ username: sub, deviceId })
  } catch {
    return nobody
  }
}
