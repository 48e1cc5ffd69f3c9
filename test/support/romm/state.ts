import { hash, randomBytes, randomUUID } from 'node:crypto'
import { hash as bcrypt } from '@node-rs/bcrypt'
import type { Fixture, GrantRow, GroupRow, OverrideRow, SessionData, UserRow } from './facts.ts'
import { ALWAYS_ON, EDIT, type Generation, READ, scopeOfGrant, WRITE } from './scopes.ts'

export interface TokenRow {
  readonly id: number
  readonly user_id: number
  readonly name: string
  hashed_token: string
  readonly scopes: readonly string[]
  /** Milliseconds since the epoch. */
  expires_at: number | null
}

/** RomM fact: the anonymous visitor in kiosk mode is this user, of which there is no row. */
export const GUEST: UserRow = {
  id: -1,
  username: 'kiosk',
  hashed_password: null,
  email: null,
  enabled: true,
  role: 'user',
  permission_group_id: null,
}

const EDITORS = 2
const UNITS = { hour: 3_600_000, year: 365 * 86_400_000 }

/** What RomM keeps in its database and in Redis, and the changes that happen to it. */
export class State {
  readonly users = new Map<number, UserRow>()
  readonly tokens = new Map<number, TokenRow>()
  readonly sessions = new Map<string, SessionData>()
  /** `jti` of the refresh tokens that were not used yet. */
  readonly refreshIds = new Set<string>()
  /** Tokens by the code for which they are handed out. */
  readonly pairings = new Map<string, number>()
  groups: GroupRow[] = []
  grants: readonly GrantRow[] = []
  overrides: readonly OverrideRow[] = []
  /** Databases give no number twice. */
  #lastUser = 0
  #lastToken = 0
  readonly #generation: Generation
  readonly #kiosk: boolean

  constructor(generation: Generation, kiosk: boolean) {
    this.#generation = generation
    this.#kiosk = kiosk
  }

  /** @param withUsers false leaves the tables as at a first run @param now milliseconds: `expires` counts from here */
  load(fixture: Fixture, withUsers: boolean, now: number): void {
    for (const table of [this.users, this.tokens, this.sessions, this.refreshIds, this.pairings])
      table.clear()
    this.groups = fixture.permission_groups.map((group) => ({ ...group }))
    this.grants = fixture.permission_group_grants
    this.overrides = withUsers ? fixture.user_permission_overrides : []
    if (!withUsers) return
    for (const { password: _, ...user } of fixture.users) this.users.set(user.id, user)
    for (const { raw: _, expires, ...token } of fixture.client_tokens) {
      const expiresAt = expires === null ? null : now + durationOf(expires)
      const scopes = token.scopes.split(' ')
      this.tokens.set(token.id, { ...token, name: `token ${token.id}`, scopes, expires_at: expiresAt })
    }
    for (const { id, data } of fixture.sessions) this.sessions.set(id, { ...data })
  }

  /** RomM fact: `lower(username) = lower(:name)` everywhere, JWTs and sessions included. */
  findUser(name: string): UserRow | undefined {
    const wanted = name.toLowerCase()
    return [...this.users.values()].find((user) => user.username.toLowerCase() === wanted)
  }

  /** @throws if there is none: a test misspelt the name */
  user(name: string): UserRow {
    const user = this.findUser(name)
    if (user === undefined) throw new Error(`the stand-in has no user ${name}`)
    return user
  }

  findToken(raw: string): TokenRow | undefined {
    const digest = hash('sha256', raw)
    return [...this.tokens.values()].find((token) => token.hashed_token === digest)
  }

  hasAdmin(): boolean {
    return [...this.users.values()].some((user) => user.role === 'admin')
  }

  /** What a user may do now, in RomM's order. */
  scopesOf(user: UserRow): string[] {
    const held = new Set(this.#rights(user))
    const capped = this.#kiosk && this.#isCapped(user)
    return this.#generation.scopes.filter((scope) => held.has(scope) && (!capped || READ.includes(scope)))
  }

  #isCapped(user: UserRow): boolean {
    if (user.id === GUEST.id) return true
    if (user.role === 'admin' || this.#generation.kioskCaps === 'nobody') return false
    return this.#generation.kioskCaps === 'users' || user.permission_group_id !== EDITORS
  }

  #rights(user: UserRow): readonly string[] {
    if (user.role === 'admin') return this.#generation.scopes
    if (user.id === GUEST.id) return READ
    if (this.#generation.rights === 'roles') return user.permission_group_id === EDITORS ? EDIT : WRITE
    const group = user.permission_group_id ?? this.groups.find(({ is_default }) => is_default)?.id
    const overrides = this.overrides.filter(({ user_id }) => user_id === user.id)
    const removed = new Set(overrides.filter(({ granted }) => !granted).map(scopeOfGrant))
    const granted = [
      ...this.grants.filter(({ group_id }) => group_id === group),
      ...overrides.filter((override) => override.granted),
    ].map(scopeOfGrant)
    return [
      ...ALWAYS_ON,
      ...granted.flatMap((scope) => (scope === undefined || removed.has(scope) ? [] : [scope])),
    ]
  }

  addUser(row: Partial<UserRow> & { readonly username: string }): UserRow {
    const id = (this.#lastUser = Math.max(this.#lastUser, ...this.users.keys()) + 1)
    const user: UserRow = { ...GUEST, ...row, id }
    this.users.set(id, user)
    return user
  }

  /** RomM fact: tokens and overrides go with the user; sessions and JWTs are only dead for want of one. */
  deleteUser(name: string): void {
    const { id } = this.user(name)
    this.users.delete(id)
    for (const token of this.tokens.values()) if (token.user_id === id) this.tokens.delete(token.id)
    this.overrides = this.overrides.filter(({ user_id }) => user_id !== id)
  }

  disableUser(name: string): void {
    this.user(name).enabled = false
  }

  enableUser(name: string): void {
    this.user(name).enabled = true
  }

  renameUser(name: string, to: string): void {
    this.user(name).username = to
  }

  setRole(name: string, role: UserRow['role']): void {
    this.user(name).role = role
  }

  /** @param group null is the default group */
  setGroup(name: string, group: number | null): void {
    this.user(name).permission_group_id = group
  }

  setOverrides(name: string, overrides: readonly Omit<OverrideRow, 'user_id'>[]): void {
    const { id } = this.user(name)
    const own = overrides.map((override) => ({ ...override, user_id: id }))
    this.overrides = [...this.overrides.filter(({ user_id }) => user_id !== id), ...own]
  }

  setGrants(group: number, grants: readonly Omit<GrantRow, 'group_id'>[]): void {
    const own = grants.map((grant) => ({ ...grant, group_id: group }))
    this.grants = [...this.grants.filter(({ group_id }) => group_id !== group), ...own]
  }

  async setPassword(name: string, password: string): Promise<void> {
    this.user(name).hashed_password = await bcrypt(password, 4)
  }

  /** @returns the row's number, and the token as its owner sees it once */
  addToken(
    name: string,
    scopes: readonly string[],
    options: { readonly label?: string; readonly expiresAt?: number } = {},
  ): { readonly id: number; readonly raw: string } {
    const id = (this.#lastToken = Math.max(this.#lastToken, ...this.tokens.keys()) + 1)
    const raw = newToken()
    const row = { id, user_id: this.user(name).id, name: options.label ?? `token ${id}`, scopes: [...scopes] }
    this.tokens.set(id, { ...row, hashed_token: hash('sha256', raw), expires_at: options.expiresAt ?? null })
    return { id, raw }
  }

  deleteToken(id: number): boolean {
    return this.tokens.delete(id)
  }

  /** @returns the value of the `romm_session` cookie */
  addSession(name: string): string {
    const id = randomUUID()
    this.sessions.set(id, { iss: 'romm:auth', sub: name })
    return id
  }

  deleteSession(id: string): boolean {
    return this.sessions.delete(id)
  }
}

export function newToken(): string {
  return `rmm_${randomBytes(32).toString('hex')}`
}

function durationOf(text: string): number {
  const [, count, unit] = /^(-?\d+) (hour|year)s?$/.exec(text) ?? []
  if (unit !== 'hour' && unit !== 'year') throw new Error(`not a duration of the fixture: ${text}`)
  return Number(count) * UNITS[unit]
}
