import type { NamedUser, Source, TokenRecord, UserRecord } from '../../directory/records.ts'
import { ScopeSet } from '../../identity/scope.ts'
import type { Database } from './database.ts'
import type { TokenRow, UserRow } from './schema.ts'
import { isUsername, scopesOf } from './text.ts'

/** However many keys are asked for, they are bound as one value: the JSON of their list. */
const USERS_BY_ID = 'select users.* from json_each(?) asked join users on users.id = asked.value'
// The column stands on the left of `=`: its collation is the one that counts.
const USERS_BY_NAME =
  'select users.*, asked.value as asked from json_each(?) asked join users on users.username = asked.value'
const TOKENS = 'select tokens.* from json_each(?) asked join tokens on tokens.digest = asked.value'

export interface StandaloneSources {
  readonly users: Source<UserRecord>
  readonly names: Source<NamedUser>
  readonly tokens: Source<TokenRecord>
  /** A token by its own id, for a person who asks about it. */
  tokenById(id: string): TokenRecord | undefined
}

/** Users and tokens as they are in the file at this moment. */
export function standaloneSources(db: Database): StandaloneSources {
  return {
    users: {
      load: async (ids) => {
        const rows = db.rows<UserRow>(USERS_BY_ID, JSON.stringify(ids.map(Number)))
        return new Map(rows.map((row) => [String(row.id), userOf(row)]))
      },
    },
    names: {
      load: async (names) => {
        const asked = JSON.stringify(names.filter(isUsername))
        const rows = db.rows<UserRow & { readonly asked: string }>(USERS_BY_NAME, asked)
        return new Map(rows.map((row) => [row.asked, Object.freeze({ kind: 'user', user: userOf(row) })]))
      },
    },
    tokens: {
      load: async (digests) => {
        const rows = db.rows<TokenRow>(TOKENS, JSON.stringify(digests))
        return new Map(rows.map((row) => [row.digest, tokenOf(row)]))
      },
    },
    tokenById: (id) => db.rows<TokenRow>('select * from tokens where id = ?', id).map(tokenOf)[0],
  }
}

function userOf(row: UserRow): UserRecord {
  return Object.freeze({
    id: String(row.id),
    username: row.username,
    role: row.role ?? undefined,
    enabled: row.enabled === 1,
    passwordHash: row.password_hash,
    scopes: ScopeSet.of(scopesOf(row.scopes)),
  })
}

function tokenOf(row: TokenRow): TokenRecord {
  return Object.freeze({
    id: String(row.id),
    userId: String(row.user_id),
    digest: row.digest,
    scopes: scopesOf(row.scopes),
    expiresAt: row.expires_at ?? undefined,
    deviceId: undefined,
  })
}
