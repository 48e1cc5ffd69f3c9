import { signJwt } from '../support/romm/jwt.ts'
import type { State } from '../support/romm/state.ts'
import { readFixture } from '../support/romm/facts.ts'
import type { Romm } from './support.ts'

const { secret } = readFixture()

/** Every way to be somebody. */
export const MODES = ['session', 'basic', 'token as password', 'jwt', 'token'] as const
export type Mode = (typeof MODES)[number]

type Headers = Record<string, string>

/** Somebody with one credential of each kind; those with a token have the same one. */
export interface Person {
  readonly id: number
  readonly name: string
  readonly group: number
  readonly tokenId: number
  readonly sessionId: string
  readonly as: Readonly<Record<Mode, Headers>>
}

const ADMIN: Headers = { authorization: basic('admin', 'pw-admin-1234') }

const SCOPES = ['me.read', 'me.write', 'roms.read']
const VIEWER = { entity: 'roms', action: 'read' }

function basic(name: string, password: string): string {
  return `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
}

let admitted = 0

/** Somebody whom no gateway has seen yet, in a group of their own. */
export async function admit(romm: Romm): Promise<Person> {
  const person = await enrol(romm)
  await romm.store.save()
  return person
}

/** As many at once. */
export async function admitAll(romm: Romm, count: number): Promise<Person[]> {
  const people = await Promise.all(Array.from({ length: count }, () => enrol(romm)))
  await romm.store.save()
  return people
}

async function enrol({ standin: { state } }: Romm): Promise<Person> {
  const name = `person-${++admitted}`
  const group = Math.max(...state.groups.map(({ id }) => id)) + 1
  state.groups.push({ id: group, name: `of ${name}`, is_default: false })
  state.setGrants(group, [VIEWER])
  const { id } = state.addUser({ username: name, permission_group_id: group })
  await state.setPassword(name, `pw-${name}`)
  const token = state.addToken(name, SCOPES)
  const sessionId = state.addSession(name)
  const claims = { sub: name, iss: 'romm:oauth', type: 'access', scopes: SCOPES.join(' '), exp: 4e9 }
  const as = {
    session: { cookie: `romm_session=${sessionId}` },
    basic: { authorization: basic(name, `pw-${name}`) },
    'token as password': { authorization: basic(name, token.raw) },
    jwt: { authorization: `Bearer ${signJwt(claims, secret)}` },
    token: { authorization: `Bearer ${token.raw}` },
  }
  return { id, name, group, tokenId: token.id, sessionId, as }
}

/** A request that is sent to its end, or broken off. */
export interface Sent {
  readonly method: string
  readonly headers: Headers
  readonly body?: string
}

/** A change after which some credentials of a person are refused, and the others are not. */
export interface Death {
  readonly title: string
  readonly dead: readonly Mode[]
  /** What the dead are told. */
  readonly status: 401 | 403
  /** Behind the gateways. */
  readonly change: (state: State, person: Person) => unknown
  /** Through one of them. */
  readonly request: (person: Person, id?: string) => readonly [path: string, request: Sent]
}

const TOKENS: readonly Mode[] = ['token as password', 'token']
const JSON_BODY = { 'content-type': 'application/json' }
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

export const DEATHS = {
  'token deleted': {
    title: 'a token that its owner deletes',
    dead: TOKENS,
    status: 401,
    change: (state, { tokenId }) => state.deleteToken(tokenId),
    request: deleteToken,
  },
  'token taken': {
    title: 'a token that an admin deletes',
    dead: TOKENS,
    status: 401,
    change: (state, { tokenId }) => state.deleteToken(tokenId),
    request: ({ tokenId }, id = String(tokenId)) => [
      `/api/client-tokens/${id}/admin`,
      { method: 'DELETE', headers: ADMIN },
    ],
  },
  'token renewed': {
    title: 'a token that is made anew',
    dead: TOKENS,
    status: 401,
    change: (state, { tokenId }) =>
      Object.assign(state.tokens.get(tokenId) ?? {}, { hashed_token: `another ${tokenId}` }),
    request: ({ tokenId, as }, id = String(tokenId)) => [
      `/api/client-tokens/${id}/regenerate`,
      { method: 'PUT', headers: as.session },
    ],
  },
  'token expired': {
    title: 'a token whose time an admin ends',
    dead: TOKENS,
    status: 401,
    change: (state, { tokenId }) => Object.assign(state.tokens.get(tokenId) ?? {}, { expires_at: 1e9 }),
    // RomM has no such request: the nearest.
    request: deleteToken,
  },
  logout: {
    title: 'a session that is logged out of',
    dead: ['session'],
    status: 401,
    change: (state, { sessionId }) => state.deleteSession(sessionId),
    request: ({ as }) => ['/api/logout', { method: 'POST', headers: as.session }],
  },
  disabled: {
    title: 'a user who is disabled',
    dead: MODES,
    status: 401,
    change: (state, { name }) => state.disableUser(name),
    request: (person, id = String(person.id)) => edit(id, 'enabled=false'),
  },
  password: {
    title: 'a user with a new password',
    // RomM lets the session live; whoever changes a password wants to be rid of whoever is signed in.
    dead: ['session', 'basic'],
    status: 401,
    change: (state, { name }) => state.setPassword(name, 'another'),
    request: (person, id = String(person.id)) => edit(id, 'password=another'),
  },
  renamed: {
    title: 'a user with a new name',
    dead: ['session', 'basic', 'token as password', 'jwt'],
    status: 401,
    change: (state, { name }) => state.renameUser(name, `formerly-${name}`),
    request: ({ id, name }, spelt = String(id)) => edit(spelt, `username=formerly-${name}`),
  },
  deleted: {
    title: 'a user who is deleted',
    dead: MODES,
    status: 401,
    change: (state, { name }) => state.deleteUser(name),
    request: (person, id = String(person.id)) => [`/api/users/${id}`, { method: 'DELETE', headers: ADMIN }],
  },
  permissions: {
    title: 'a user who loses a permission',
    dead: MODES,
    status: 403,
    change: (state, { name }) => state.setOverrides(name, [{ ...VIEWER, granted: false }]),
    request: (person, id = String(person.id)) => [
      `/api/permissions/users/${id}`,
      put({ overrides: [{ ...VIEWER, granted: false }] }),
    ],
  },
  group: {
    title: 'a user whose group loses a permission',
    dead: MODES,
    status: 403,
    change: (state, { group }) => state.setGrants(group, []),
    request: ({ group }, id = String(group)) => [`/api/permissions/groups/${id}`, put({ grants: [] })],
  },
} as const satisfies Record<string, Death>

export const ALL_DEATHS: readonly Death[] = Object.values(DEATHS)

function deleteToken({ tokenId, as }: Person, id = String(tokenId)): readonly [string, Sent] {
  return [`/api/client-tokens/${id}`, { method: 'DELETE', headers: as.jwt }]
}

function edit(id: string, body: string): readonly [string, Sent] {
  return [`/api/users/${id}`, { method: 'PUT', headers: { ...ADMIN, ...FORM }, body }]
}

function put(fields: object): Sent {
  return { method: 'PUT', headers: { ...ADMIN, ...JSON_BODY }, body: JSON.stringify(fields) }
}

/** Who exchanges a code has no credential of his own: the code is in the body. */
export function exchange(code: string): readonly [string, Sent] {
  return [
    '/api/client-tokens/exchange',
    { method: 'POST', headers: JSON_BODY, body: JSON.stringify({ code }) },
  ]
}

/** RomM fact: all of these are the same number. */
export function spellingsOf(id: number): string[] {
  return [`0${id}`, `+${id}`, `%20${id}`, `${id}.0`, `0_${id}`]
}
