import { sha256 } from '../../src/directory/digest.ts'
import type { UserRecord } from '../../src/directory/records.ts'
import type { Credential } from '../../src/identity/credential.ts'
import type { Principal } from '../../src/identity/principal.ts'
import { claimsOf } from './credentials.ts'
import { FRESH, STALE } from './replica.ts'
import { facts, hashOf, History, userByName } from './tables.ts'
import type { Fact, Tables, Token } from './tables.ts'

export const REFUSED = 'refused'

/** Who passes, with everything that it may do. */
export function passing({ owner, grant }: Pick<Principal, 'owner' | 'grant'>): string {
  const scopes = grant.kind === 'known' ? grant.scopes.names : ['deferred']
  return `${owner?.subject} ${owner?.username} may ${scopes.join(' ')}`
}

/**
 * From which of the states on a replica may speak of a row: the state in which a change left it that was answered through it,
 * or that it acknowledged.
 */
export class Floors {
  readonly #rows: Map<string, number>
  #all: number

  constructor(rows: ReadonlyMap<string, number> = new Map(), all = 0) {
    this.#rows = new Map(rows)
    this.#all = all
  }

  copy(): Floors {
    return new Floors(this.#rows, this.#all)
  }

  raise(rows: readonly string[], index: number): void {
    for (const row of rows) this.#rows.set(row, Math.max(index, this.of(row)))
  }

  raiseAll(index: number): void {
    this.#all = Math.max(this.#all, index)
  }

  of(row: string): number {
    return Math.max(this.#all, this.#rows.get(row) ?? 0)
  }
}

/** The moments that a use's answer may speak of. */
export interface Span {
  /** Monotonic milliseconds at which the use began. */
  readonly began: number
  /** Milliseconds before that for which an answer counts. */
  readonly bound: number
  /** As they stood when it began. */
  readonly floors: Floors
  /** As they stood when it ended: what is looked up last, with nothing to wait for after it, is as new as that. */
  readonly lastFloors: Floors
  /** Milliseconds since the epoch, when it began and when it ended. */
  readonly between: readonly [number, number]
}

/** What a credential is worth, by what its rows were at moments within a span: more than one answer while something changes. */
export class Judge {
  readonly #history: History

  constructor(history: History) {
    this.#history = history
  }

  /** Every answer that is right. */
  answers(credential: Credential, span: Span): ReadonlySet<string> {
    switch (credential.kind) {
      case 'token':
        return new Set(
          this.#values(facts.token(sha256(credential.token)), span).flatMap((token) =>
            token === undefined ? [REFUSED] : this.#ofToken(token, credential.ownerName, span),
          ),
        )
      case 'session':
        return new Set(
          this.#values(facts.session(credential.id), span).flatMap((session) =>
            session?.username === undefined
              ? [REFUSED]
              : this.#values(facts.name(session.username), span).map((user) => worth(user)),
          ),
        )
      case 'basic':
        return new Set(
          this.#values(facts.name(credential.username), span).map((user) =>
            user?.passwordHash === hashOf(credential.password) ? worth(user) : REFUSED,
          ),
        )
      case 'jwt':
        return new Set(this.#ofJwt(credential.token, span))
      case 'malformed':
        return new Set([REFUSED])
    }
  }

  /**
   * Whether a name may still be known to lead to somebody else, who lost it behind us: a change of whoever has it now
   * says nothing about that, and only the bound does.
   */
  isContested(row: string, now: number, floors: Floors): boolean {
    const [kind, name = ''] = row.split(' ')
    const ids = this.#history
      .since(now - FRESH - STALE, floors.of(row))
      .flatMap((tables) => userByName(tables, name)?.id ?? [])
    return kind === 'name' && new Set(ids).size > 1
  }

  #ofToken(token: Token, ownerName: string | undefined, span: Span): string[] {
    const owner = facts.user(token.userId)
    const users = ownerName === undefined ? this.#last(owner, span) : this.#values(owner, span)
    return users.flatMap((user) => {
      const named = ownerName === undefined ? [user] : this.#last(facts.name(ownerName), span)
      return named.flatMap((each) =>
        each?.id === user?.id ? untilExpiry(worth(user, token.scopes), token.expiresAt, span) : [REFUSED],
      )
    })
  }

  #ofJwt(token: string, span: Span): string[] {
    const { username, scopes, expiresAt } = claimsOf(token)
    return this.#values(facts.name(username), span).flatMap((user) =>
      untilExpiry(worth(user, scopes), expiresAt, span),
    )
  }

  #last<V>(fact: Fact<V>, span: Span): (V | undefined)[] {
    return this.#values(fact, { ...span, floors: span.lastFloors })
  }

  /** Every row that stood there within the span. That there is none counts no longer than `FRESH`, whatever is away. */
  #values<V>({ name, read }: Fact<V>, { began, bound, floors }: Span): (V | undefined)[] {
    const floor = floors.of(name)
    const present = this.#history.since(began - bound, floor).map(read)
    const lately = bound === FRESH ? present : this.#history.since(began - FRESH, floor).map(read)
    const isAbsent = lately.includes(undefined)
    const rows = present.filter((row) => row !== undefined)
    return isAbsent ? [...rows, undefined] : rows
  }
}

function worth(user: UserRecord | undefined, within?: readonly string[]): string {
  if (user?.enabled !== true) return REFUSED
  const scopes = within === undefined ? user.scopes : user.scopes.intersect(within)
  return passing({
    owner: { subject: user.id, username: user.username, role: user.role },
    grant: { kind: 'known', scopes },
  })
}

function untilExpiry(answer: string, expiresAt: number | undefined, { between }: Span): string[] {
  if (expiresAt === undefined) return [answer]
  const [began, ended] = between
  return [...(began < expiresAt ? [answer] : []), ...(ended >= expiresAt ? [REFUSED] : [])]
}

/** Those of `credentials` that are worth something else after than before, `now` in milliseconds since the epoch. */
export function differing(
  credentials: readonly Credential[],
  before: Tables,
  after: Tables,
  now: number,
): readonly Credential[] {
  const floors = new Floors()
  const span: Span = { began: 0, bound: 0, floors, lastFloors: floors, between: [now, now] }
  const [old, young] = [new Judge(new History(before)), new Judge(new History(after))]
  const worthOf = (judge: Judge, credential: Credential): string =>
    [...judge.answers(credential, span)].join()
  return credentials.filter((each) => worthOf(old, each) !== worthOf(young, each))
}
