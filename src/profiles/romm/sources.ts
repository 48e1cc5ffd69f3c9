import { PosternError } from '../../errors.ts'
import type { NamedUser, Source, TokenRecord, UserRecord } from '../../directory/records.ts'
import type { ScopeSet } from '../../identity/scope.ts'
import { faultOf } from './database.ts'
import type { QueryFault, RommDatabase } from './database.ts'
import { generationOf, permissionsOf, tokensBy, usersByIds, usersByNames } from './queries.ts'
import type { Generation, PermissionRows, UserRow } from './queries.ts'
import { scopesOfGrants, scopesOfRole } from './scopes.ts'
import type { RommBehaviour } from './version.ts'

/** RomM fact: the width of the column. */
const LONGEST_NAME = 255
/** RomM fact: every hash begins so; an OIDC user has a UUID in its place, which no password matches. */
const BCRYPT = '$2'

const EXPLAINED: Readonly<Record<QueryFault, string>> = {
  missing_right:
    "the database user may not read a table or column of RomM's; docs/romm.md has the GRANT to run",
  wrong_login: 'the database refuses the user, its password or the database name',
  other_schema: "the database does not hold RomM's tables",
  impossible_name: 'the name cannot be compared',
  away: 'the database does not answer',
}

export interface SourceOptions {
  readonly db: RommDatabase
  readonly kiosk: boolean
  readonly behaviour: () => RommBehaviour
}

/**
 * RomM's users and tokens, read from its database. A look-up reads everything that its answer depends on, so the answer
 * is as old as its question and no older.
 */
export class RommSources {
  readonly #options: SourceOptions

  constructor(options: SourceOptions) {
    this.#options = options
  }

  readonly usersById: Source<UserRecord> = {
    load: (ids) =>
      this.#read(async (db, generation) => {
        const users = await this.#records(generation, await usersByIds(db, generation, ids.map(Number)))
        return new Map(users.map((user) => [user.id, user]))
      }),
  }

  readonly usersByName: Source<NamedUser> = {
    load: (names) => this.#named(names.filter(isPossibleName)),
  }

  readonly tokens: Source<TokenRecord> = {
    load: (digests, known) =>
      this.#read(async (db, generation) => {
        const ids: number[] = []
        const unknown: string[] = []
        for (const digest of digests) {
          const token = known.get(digest)
          if (token === undefined) unknown.push(digest)
          else ids.push(Number(token.id))
        }
        const tokens = await tokensBy(db, generation, ids, unknown)
        return new Map(tokens.map((token) => [token.digest, token]))
      }),
  }

  /** A token by its own id, for a person who asks about it. */
  tokenById(id: number): Promise<TokenRecord | undefined> {
    return this.#read(async (db, generation) => (await tokensBy(db, generation, [id], []))[0])
  }

  /**
   * Finds out which schema it is and whether everything that will be needed may be read.
   * @throws PosternError `could_not_check` whose message says what to do
   */
  async probe(): Promise<Generation> {
    await this.usersById.load(['0'], new Map())
    await this.tokens.load(['none'], new Map())
    return this.#read(async (db, generation) => {
      if (generation === 'groups') await permissionsOf(db, [NOBODY])
      return generation
    })
  }

  async #named(names: readonly string[]): Promise<ReadonlyMap<string, NamedUser>> {
    try {
      return await this.#read(async (db, generation) => {
        const found = await usersByNames(db, generation, names)
        const users = await this.#records(generation, [...found.values()].flat())
        const byId = new Map(users.map((user) => [user.id, user]))
        return new Map([...found].map(([name, rows]) => [name, namedUser(rows, byId)]))
      })
    } catch (error) {
      if (!isImpossible(error)) throw error
      // It is nobody's, and the others that came with it are not to blame.
      if (names.length === 1) return new Map()
      const half = names.length >> 1
      const parts = [names.slice(0, half), names.slice(half)].map((part) => this.#named(part))
      return new Map((await Promise.all(parts)).flatMap((found) => [...found]))
    }
  }

  /** The schema is looked at every time: after an upgrade of RomM the same columns mean something else. */
  async #read<T>(look: (db: RommDatabase, generation: Generation) => Promise<T>): Promise<T> {
    const { db } = this.#options
    try {
      return await look(db, await generationOf(db))
    } catch (error) {
      throw new PosternError('could_not_check', EXPLAINED[faultOf(error)], { cause: error })
    }
  }

  async #records(generation: Generation, rows: readonly UserRow[]): Promise<UserRecord[]> {
    if (rows.length === 0) return []
    const permissions = generation === 'groups' ? await permissionsOf(this.#options.db, rows) : undefined
    const scopesOf = this.#scopes(permissions)
    return rows.map((row) => userRecord(row, scopesOf(row)))
  }

  /** What users hold. Most are in one of few groups and have nothing of their own: those hold the same. */
  #scopes(permissions: PermissionRows | undefined): (row: UserRow) => ScopeSet {
    const { kiosk, behaviour } = this.#options
    if (permissions === undefined) return ({ role }) => scopesOfRole(role, kiosk)
    const { defaultGroup, grants, overrides } = permissions
    const shared = new Map<string, ScopeSet>()
    return (row) => {
      const role = row.role.toLowerCase()
      const group = row.permission_group_id ?? defaultGroup
      const own = overrides.get(row.id)
      const key = `${group} ${role}`
      const known = own === undefined ? shared.get(key) : undefined
      if (known !== undefined) return known
      const granted = group === undefined ? [] : (grants.get(group) ?? [])
      const scopes = scopesOfGrants(role, granted, own ?? [], kiosk, behaviour())
      if (own === undefined) shared.set(key, scopes)
      return scopes
    }
  }
}

function userRecord(row: UserRow, scopes: ScopeSet): UserRecord {
  return Object.freeze({
    id: String(row.id),
    username: row.username,
    role: row.role.toLowerCase(),
    enabled: Boolean(row.enabled),
    passwordHash: row.hashed_password?.startsWith(BCRYPT) ? row.hashed_password : undefined,
    scopes,
  })
}

const NOBODY: UserRow = {
  id: 0,
  username: '',
  hashed_password: null,
  enabled: false,
  role: '',
  permission_group_id: null,
}

/** What a client made up must not count as trouble of the database. */
function isPossibleName(name: string): boolean {
  return name !== '' && name.length <= LONGEST_NAME && !name.includes('\0')
}

/** A name that the column's character set cannot hold. */
function isImpossible(error: unknown): boolean {
  return error instanceof PosternError && faultOf(error.cause) === 'impossible_name'
}

function namedUser(rows: readonly UserRow[], users: ReadonlyMap<string, UserRecord>): NamedUser {
  const [row, ...others] = rows
  const user = row === undefined ? undefined : users.get(String(row.id))
  return others.length > 0 || user === undefined
    ? { kind: 'ambiguous' }
    : Object.freeze({ kind: 'user', user })
}
