import type { NamedUser, SessionRecord, TokenRecord, UserRecord } from '../../src/directory/records.ts'
import { Ties } from '../../src/directory/ties.ts'
import { ScopeSet } from '../../src/identity/scope.ts'
import type { Principal } from '../../src/identity/principal.ts'
import type { MaybePromise, Outcome } from '../../src/pipeline/outcome.ts'
import type { ClientInfo } from '../../src/request/request.ts'

export const client: ClientInfo = {
  address: '192.0.2.1',
  peer: '192.0.2.1',
  scheme: 'http',
  host: 'example.test',
  forwardedFor: '192.0.2.1',
}

export function user(username: string, changes: Partial<UserRecord> = {}): UserRecord {
  return Object.freeze({
    id: `id of ${username}`,
    username,
    role: 'user',
    enabled: true,
    passwordHash: undefined,
    scopes: ScopeSet.of(['notes.read', 'notes.write', 'me.read']),
    ...changes,
  })
}

/** A directory that is as a test wrote it: names compared without case. */
export class People {
  readonly users: UserRecord[] = []
  readonly tokens = new Map<string, TokenRecord>()
  readonly sessions = new Map<string, SessionRecord>()
  /** Thrown by whatever is asked. */
  broken: Error | undefined

  constructor(...users: UserRecord[]) {
    this.users.push(...users)
  }

  /** What changed is another record, as from a look-up. */
  change(username: string, changes: Partial<UserRecord>): void {
    const index = this.users.findIndex((one) => one.username === username)
    this.users[index] = user(username, { ...this.users[index], ...changes })
  }

  userByName(name: string): NamedUser | undefined {
    const [found, ...others] = this.#working().users.filter(
      (one) => one.username.toLowerCase() === name.toLowerCase(),
    )
    if (found === undefined) return undefined
    return others.length > 0 ? { kind: 'ambiguous' } : { kind: 'user', user: found }
  }

  userById(id: string): UserRecord | undefined {
    return this.#working().users.find((one) => one.id === id)
  }

  token(digest: string): TokenRecord | undefined {
    return this.#working().tokens.get(digest)
  }

  session(id: string): SessionRecord | undefined {
    return this.#working().sessions.get(id)
  }

  #working(): this {
    if (this.broken !== undefined) throw this.broken
    return this
  }
}

/** Ties of this process alone. */
export function tiesTo(people: People, tieOf: (user: UserRecord) => string): Ties {
  return new Ties({ maxEntries: 100, tieOf, anew: async (name) => people.userByName(name), store: undefined })
}

/** The principal, or the word for why there is none. */
export async function told(outcome: MaybePromise<Outcome>): Promise<Principal | string> {
  const given = await outcome
  switch (given.kind) {
    case 'authenticated':
      return given.principal
    case 'rejected':
      return given.rejection
    case 'abstained':
      return given.kind
  }
}

/** What a principal may do, in order; undefined while only the backend knows. */
export function scopesOf(principal: Principal | string): readonly string[] | undefined {
  if (typeof principal === 'string' || principal.grant.kind === 'deferred') return undefined
  return principal.grant.scopes.names.toSorted()
}
