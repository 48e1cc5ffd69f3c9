import { randomBytes } from 'node:crypto'
import { hash } from '@node-rs/bcrypt'
import { sha256 } from '../../directory/digest.ts'
import { PosternError } from '../../errors.ts'
import type { Clock } from '../../identity/clock.ts'
import { openDatabase } from './database.ts'
import type { Database } from './database.ts'
import type { TokenRow, UserRow } from './schema.ts'
import {
  hasControl,
  isScope,
  isUsername,
  isWhole,
  LONGEST_PASSWORD,
  normalPassword,
  scopesOf,
  SHORTEST_PASSWORD,
} from './text.ts'

/** Cost of bcrypt: a quarter of a second, and each password is verified once while it is in use. */
const COST = 12

export interface StoreOptions {
  /** Path of the database. */
  readonly file: string
  readonly tokenPrefix: string
  readonly clock: Pick<Clock, 'now'>
}

/** A user as people see one. Instants in milliseconds since the epoch. */
export interface ListedUser {
  readonly id: string
  readonly username: string
  readonly enabled: boolean
  readonly role: string | undefined
  readonly scopes: readonly string[]
  readonly createdAt: number
}

export interface ListedToken {
  readonly id: string
  readonly username: string
  readonly name: string
  readonly scopes: readonly string[]
  readonly expiresAt: number | undefined
  readonly createdAt: number
}

/**
 * The writing half of the directory, for commands. A running gateway sees each change as soon as its cache asks again.
 * Whatever cannot be done throws PosternError `usage` with a sentence for whoever typed it.
 */
export class StandaloneStore {
  readonly #db: Database
  readonly #options: StoreOptions

  /** @throws PosternError `config_invalid` when the database cannot be used */
  constructor(options: StoreOptions) {
    this.#db = openDatabase(options.file)
    this.#options = options
  }

  async addUser(
    username: string,
    password: string,
    { role, scopes }: { readonly role?: string | undefined; readonly scopes: readonly string[] },
  ): Promise<void> {
    check(isUsername(username), `'${username}' cannot be a name: 1 to 64 letters, digits or . _ @ -`)
    check(role === undefined || (role !== '' && !hasControl(role)), 'A role is a line of text.')
    const written = writtenScopes(scopes)
    const passwordHash = await hashed(password)
    const { changes } = this.#db.run(
      `insert into users (username, password_hash, role, scopes, created_at) values (?, ?, ?, ?, ?)
       on conflict do nothing`,
      username,
      passwordHash,
      role ?? null,
      written,
      this.#options.clock.now(),
    )
    check(changes === 1, `There is a user '${username}' already.`)
  }

  /** Tokens of the user stay good: they are revoked one by one. */
  async setPassword(username: string, password: string): Promise<void> {
    const { id } = this.#user(username)
    this.#db.run('update users set password_hash = ? where id = ?', await hashed(password), id)
  }

  /** A disabled user's password and tokens are refused, and good again once enabled. */
  setEnabled(username: string, enabled: boolean): void {
    this.#db.run('update users set enabled = ? where id = ?', enabled ? 1 : 0, this.#user(username).id)
  }

  /** With all tokens. */
  removeUser(username: string): void {
    this.#db.run('delete from users where id = ?', this.#user(username).id)
  }

  listUsers(): ListedUser[] {
    return this.#db.rows<UserRow>('select * from users order by username').map((row) => ({
      id: String(row.id),
      username: row.username,
      enabled: row.enabled === 1,
      role: row.role ?? undefined,
      scopes: scopesOf(row.scopes),
      createdAt: row.created_at,
    }))
  }

  /**
   * @param name what it is for, as people will know it later
   * @param scopes all that the user has, unless given; what the user loses the token loses
   * @param expiresAt milliseconds since the epoch
   * @returns the token itself, which is kept nowhere and cannot be shown again
   */
  addToken(
    username: string,
    name: string,
    {
      scopes,
      expiresAt,
    }: { readonly scopes?: readonly string[] | undefined; readonly expiresAt?: number | undefined } = {},
  ): { readonly id: string; readonly token: string } {
    const user = this.#user(username)
    const held = scopesOf(user.scopes)
    const lacking = (scopes ?? []).filter((scope) => !held.includes(scope))
    check(lacking.length === 0, `${user.username} does not have ${lacking.join(', ')} to give.`)
    check(name !== '' && !hasControl(name), 'The name of a token is a line of text.')
    const now = this.#options.clock.now()
    check(expiresAt === undefined || expiresAt > now, 'The token would have expired already.')
    const token = `${this.#options.tokenPrefix}${randomBytes(32).toString('hex')}`
    const { lastId } = this.#db.run(
      'insert into tokens (user_id, name, digest, scopes, expires_at, created_at) values (?, ?, ?, ?, ?, ?)',
      user.id,
      name,
      sha256(token),
      writtenScopes(scopes ?? held),
      expiresAt ?? null,
      now,
    )
    return { id: String(lastId), token }
  }

  /** @param username all users' unless given */
  listTokens(username?: string): ListedToken[] {
    const owner = username === undefined ? null : this.#user(username).id
    const rows = this.#db.rows<TokenRow & { readonly username: string }>(
      `select tokens.*, users.username from tokens join users on users.id = tokens.user_id
       where ?1 is null or users.id = ?1 order by tokens.id`,
      owner,
    )
    return rows.map((row) => ({
      id: String(row.id),
      username: row.username,
      name: row.name,
      scopes: scopesOf(row.scopes),
      expiresAt: row.expires_at ?? undefined,
      createdAt: row.created_at,
    }))
  }

  revokeToken(id: string): void {
    const { changes } = this.#db.run(
      'delete from tokens where id = ?',
      /^\d{1,15}$/.test(id) ? Number(id) : -1,
    )
    check(changes === 1, `There is no token ${id}.`)
  }

  close(): void {
    this.#db.close()
  }

  #user(username: string): UserRow {
    const [user] = this.#db.rows<UserRow>('select * from users where username = ?', username)
    if (user === undefined) throw new PosternError('usage', `There is no user '${username}'.`)
    return user
  }
}

function writtenScopes(scopes: readonly string[]): string {
  for (const scope of scopes) check(isScope(scope), `'${scope}' cannot be a scope (RFC 6749 §3.3).`)
  return [...new Set(scopes)].join(' ')
}

async function hashed(text: string): Promise<string> {
  const password = normalPassword(text)
  check(
    Array.from(password).length >= SHORTEST_PASSWORD,
    `A password has at least ${SHORTEST_PASSWORD} characters.`,
  )
  check(
    isWhole(password),
    `A password has at most ${LONGEST_PASSWORD} bytes in UTF-8: bcrypt reads no further.`,
  )
  check(!hasControl(password), 'A password has no control characters: Basic could not carry them.')
  return hash(password, COST)
}

function check(holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new PosternError('usage', sentence)
}
