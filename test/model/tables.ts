import type { UserRecord } from '../../src/directory/records.ts'
import { ScopeSet } from '../../src/identity/scope.ts'

export interface User {
  readonly id: string
  readonly name: string
  readonly password: string
  readonly enabled: boolean
  readonly group: string
}

export interface Token {
  readonly id: string
  readonly userId: string
  readonly digest: string
  readonly scopes: readonly string[]
  /** Milliseconds since the epoch. */
  readonly expiresAt: number | undefined
}

export interface Session {
  /** Undefined while nobody has logged in on it. */
  readonly username: string | undefined
}

/** What RomM keeps, at one moment: what every credential is worth follows from it. */
export interface Tables {
  readonly users: ReadonlyMap<string, User>
  /** By digest. */
  readonly tokens: ReadonlyMap<string, Token>
  /** By id. */
  readonly sessions: ReadonlyMap<string, Session>
  /** What a group may do. */
  readonly groups: ReadonlyMap<string, readonly string[]>
}

export const hashOf = (password: string): string => `$2 ${password}`

export function userById(tables: Tables, id: string): UserRecord | undefined {
  const user = tables.users.get(id)
  return user && recordOf(tables, user)
}

/** Names are one name in any case. */
export function userByName(tables: Tables, name: string): UserRecord | undefined {
  const folded = name.toLowerCase()
  const user = [...tables.users.values()].find((each) => each.name === folded)
  return user && recordOf(tables, user)
}

function recordOf(tables: Tables, user: User): UserRecord {
  return Object.freeze({
    id: user.id,
    username: user.name,
    role: 'user',
    enabled: user.enabled,
    passwordHash: hashOf(user.password),
    scopes: ScopeSet.of(tables.groups.get(user.group) ?? []),
  })
}

/** The rows that credentials depend on, each by a name of its own: what one question to a source is about. */
export const facts = {
  token: (digest: string): Fact<Token> => ({
    name: `token ${digest}`,
    read: (tables) => tables.tokens.get(digest),
  }),
  session: (id: string): Fact<Session> => ({
    name: `session ${id}`,
    read: (tables) => tables.sessions.get(id),
  }),
  user: (id: string): Fact<UserRecord> => ({ name: `user ${id}`, read: (tables) => userById(tables, id) }),
  name: (name: string): Fact<UserRecord> => ({
    name: `name ${name.toLowerCase()}`,
    read: (tables) => userByName(tables, name),
  }),
}

export interface Fact<V> {
  readonly name: string
  readonly read: (tables: Tables) => V | undefined
}

/** The names of the rows that differ. */
export function changedBetween(before: Tables, after: Tables): string[] {
  const all = [before, after].flatMap((tables) => {
    const users = [...tables.users.values()]
    return [
      ...[...tables.tokens.keys()].map(facts.token),
      ...[...tables.sessions.keys()].map(facts.session),
      ...users.flatMap(({ id, name }) => [facts.user(id), facts.name(name)]),
    ]
  })
  const differs = ({ read }: Fact<unknown>): boolean =>
    JSON.stringify(plain(read(before))) !== JSON.stringify(plain(read(after)))
  return [...new Set(all.filter(differs).map(({ name }) => name))]
}

function plain(row: unknown): unknown {
  return row === undefined ? null : row
}

/** Everything that RomM's tables ever were, and since when. */
export class History {
  readonly #states: { readonly at: number; readonly tables: Tables }[]

  constructor(first: Tables) {
    this.#states = [{ at: Number.NEGATIVE_INFINITY, tables: first }]
  }

  /** Of the state that stands. */
  get index(): number {
    return this.#states.length - 1
  }

  get tables(): Tables {
    const last = this.#states[this.index]
    if (last === undefined) throw new Error('never empty')
    return last.tables
  }

  add(at: number, tables: Tables): void {
    this.#states.push({ at, tables })
  }

  /** Every state that stood at some moment since `from`, and none before the one at index `floor`. */
  since(from: number, floor: number): Tables[] {
    return this.#states.flatMap(({ tables }, index) =>
      index >= floor && (this.#states[index + 1]?.at ?? Infinity) >= from ? [tables] : [],
    )
  }
}
