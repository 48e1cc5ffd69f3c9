import { readFileSync } from 'node:fs'

/**
 * What was recorded of a running RomM 5.2, as data in `test/parity/facts/`: its users and credentials
 * (`fixture.json`), its routes and its OpenAPI document reduced to facts.
 */
const FOLDER = new URL('../../parity/facts/', import.meta.url)

export interface UserRow {
  readonly id: number
  username: string
  hashed_password: string | null
  email: string | null
  enabled: boolean
  role: 'admin' | 'user'
  permission_group_id: number | null
}

export interface GroupRow {
  readonly id: number
  readonly name: string
  is_default: boolean
}

export interface GrantRow {
  readonly group_id: number
  readonly entity: string
  readonly action: string
}

export interface OverrideRow {
  readonly user_id: number
  readonly entity: string
  readonly action: string
  readonly granted: boolean
}

/** `iss` and `sub` of a login, and whatever else RomM or its OIDC library put there. */
export type SessionData = Record<string, unknown>

export interface Fixture {
  readonly secret: string
  readonly users: readonly (UserRow & { readonly password: string | null })[]
  readonly permission_groups: readonly GroupRow[]
  readonly permission_group_grants: readonly GrantRow[]
  readonly user_permission_overrides: readonly OverrideRow[]
  readonly client_tokens: readonly {
    readonly id: number
    readonly user_id: number
    readonly raw: string
    readonly hashed_token: string
    readonly scopes: string
    /** Relative to loading: `-1 hour`, `10 years`; null never expires. */
    readonly expires: string | null
  }[]
  readonly sessions: readonly { readonly id: string; readonly data: SessionData }[]
  readonly credentials: Readonly<Record<string, WireCredential>>
}

/** A credential as it goes on the wire. */
export interface WireCredential {
  readonly authorization: string | null
  readonly cookie: string | null
}

export interface RouteFact {
  readonly method: string
  readonly path: string
  readonly scopes: readonly string[]
  readonly scopes_when: { readonly scopes_when_true: readonly string[] } | null
  readonly public: boolean
  readonly params: readonly { readonly name: string; readonly type: string }[]
  readonly body: readonly string[]
  readonly tags: readonly string[]
}

export interface Operation {
  security?: Record<string, readonly string[]>[]
  readonly parameters?: readonly { readonly name: string; readonly in: string }[]
}

export interface OpenApi {
  readonly info: { version: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

/** The text of one recorded file. @throws if it is missing */
export function factText(name: string): string {
  return readFileSync(new URL(name, FOLDER), 'utf8')
}

// The files are ours and part of the repository: their shapes are the types above.
export const readFixture = (): Fixture => JSON.parse(factText('fixture.json')) as Fixture
export const readOpenApi = (): OpenApi => JSON.parse(factText('openapi.json')) as OpenApi
export const readRoutes = (): readonly RouteFact[] =>
  (JSON.parse(factText('routes.json')) as { readonly routes: readonly RouteFact[] }).routes
