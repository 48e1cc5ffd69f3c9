import { sha256 } from '../../src/directory/digest.ts'
import type { Credential, SessionCredential } from '../../src/identity/credential.ts'
import type { Issued } from './credentials.ts'
import { at, jwtOf } from './credentials.ts'
import type { Session, Tables, Token, User } from './tables.ts'

/** A request that changes somebody, or the same done behind us. */
export interface Plan {
  readonly request: string
  /** That comes along, where the request is about it. */
  readonly session?: Credential | undefined
  /** Nobody has logged in to make it. */
  readonly anonymous?: boolean
  readonly apply: (tables: Tables) => Tables
  /** A session that nobody knows of before the answer. */
  readonly yields?: Credential
}

export interface Planning {
  readonly tables: Tables
  readonly issued: Issued
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Picks what it is about. */
  readonly nth: number
}

const NAMES = ['ann', 'bob', 'eve', 'kim'] as const
const GROUPS = ['readers', 'writers'] as const
const SCOPES = ['roms.read', 'roms.write', 'me.read']
/** Milliseconds for which a short-lived token lives. */
const SHORT = 4_000
/** Longer than any run takes. */
const LONG = 1e9

export const FIRST: Tables = {
  users: new Map(),
  tokens: new Map(),
  sessions: new Map(),
  groups: new Map([
    ['readers', ['roms.read', 'me.read']],
    ['writers', SCOPES],
  ]),
}

const plans = {
  'create user': ({ issued, nth }) => {
    const id = String(issued.next())
    const name = at(NAMES, nth)
    const user = { id, name, password: `p${id}`, enabled: true, group: at(GROUPS, nth) }
    issued.add(passwordOf(name, user.password))
    return {
      request: nth % 2 === 0 ? 'POST /api/users' : 'POST /api/users/register',
      anonymous: nth % 2 === 1,
      apply: (tables) => (isTaken(tables, name) ? tables : withUser(tables, user)),
    }
  },
  'delete user': (about) =>
    ofUser(about, 'DELETE', (tables, { id }) => ({
      ...tables,
      users: without(tables.users, id),
      tokens: new Map([...tables.tokens].filter(([, token]) => token.userId !== id)),
    })),
  rename: (about) => {
    const name = at(NAMES, about.issued.next())
    return ofUser(about, 'PUT', (tables, user) => {
      about.issued.add(passwordOf(name, user.password))
      return isTaken(tables, name) ? tables : withUser(tables, { ...user, name })
    })
  },
  password: (about) => {
    const password = `p${about.issued.next()}`
    return ofUser(about, 'PUT', (tables, user) => {
      about.issued.add(passwordOf(user.name, password))
      return withUser(tables, { ...user, password })
    })
  },
  'forgotten password': ({ tables, issued, nth }) => {
    const password = `p${issued.next()}`
    const user = pickUser(tables, nth)
    issued.add(passwordOf(user.name, password))
    return {
      request: 'POST /api/reset-password',
      anonymous: true,
      apply: (current) => changeUser(current, user.id, (each) => withUser(current, { ...each, password })),
    }
  },
  disable: (about) => ofUser(about, 'PUT', (tables, user) => withUser(tables, { ...user, enabled: false })),
  enable: (about) => ofUser(about, 'PUT', (tables, user) => withUser(tables, { ...user, enabled: true })),
  'change group': (about) =>
    ofUser(
      about,
      'PUT',
      (tables, user) =>
        withUser(tables, { ...user, group: user.group === 'readers' ? 'writers' : 'readers' }),
      'permissions/users',
    ),
  'change what a group may do': ({ nth }) => ({
    request: 'PUT /api/permissions/groups/1',
    apply: (tables) => {
      const group = at(GROUPS, nth)
      const scopes = SCOPES.filter((_, i) => ((nth >> 1) & (1 << i)) !== 0)
      return { ...tables, groups: new Map([...tables.groups, [group, scopes]]) }
    },
  }),
  'create token': ({ tables, issued, nth, now }) => {
    const id = String(issued.next())
    const user = pickUser(tables, nth)
    const token: Token = {
      id,
      userId: user.id,
      digest: issueToken(issued, user.name),
      scopes: nth % 2 === 0 ? SCOPES : ['roms.read'],
      expiresAt: nth % 3 === 0 ? now + SHORT : undefined,
    }
    return {
      request: 'POST /api/client-tokens',
      apply: (current) => (current.users.has(user.id) ? withToken(current, token) : current),
    }
  },
  'revoke token': ({ tables, nth }) => {
    const token = pickToken(tables, nth)
    return {
      request: `DELETE /api/client-tokens/${token?.id ?? '1'}`,
      apply: (current) =>
        token === undefined
          ? current
          : { ...current, tokens: new Map([...current.tokens].filter(([, { id }]) => id !== token.id)) },
    }
  },
  'rotate token': ({ tables, issued, nth }) => {
    const token = pickToken(tables, nth)
    const digest = issueToken(issued, undefined)
    return {
      request: `PUT /api/client-tokens/${token?.id ?? '1'}/regenerate`,
      apply: (current) => {
        const old = [...current.tokens.values()].find(({ id }) => id === token?.id)
        return old === undefined
          ? current
          : withToken({ ...current, tokens: without(current.tokens, old.digest) }, { ...old, digest })
      },
    }
  },
  'log in': ({ tables, issued, nth, now }) => {
    const session = newSession(issued)
    const user = pickUser(tables, nth)
    issued.add(
      jwtOf({ username: user.name, scopes: SCOPES, expiresAt: now + (nth % 2 === 0 ? LONG : SHORT) }),
    )
    return {
      request: 'POST /api/login',
      anonymous: true,
      apply: (current) => withSession(current, session.id, { username: user.name }),
      yields: session,
    }
  },
  'log in over': ({ tables, nth }) => {
    const id = pickSession(tables, nth)
    const user = pickUser(tables, nth >> 2)
    return {
      request: 'POST /api/login',
      session: { kind: 'session', id },
      anonymous: nth % 2 === 0,
      apply: (current) => withSession(current, id, { username: user.name }),
    }
  },
  'begin a sign-in': ({ issued }) => {
    const session = newSession(issued)
    return {
      request: 'GET /api/login/openid',
      anonymous: true,
      apply: (current) => withSession(current, session.id, { username: undefined }),
      yields: session,
    }
  },
  'end a sign-in': ({ tables, nth }) => {
    const id = pickSession(tables, nth)
    const user = pickUser(tables, nth >> 2)
    return {
      request: 'GET /api/oauth/openid',
      session: { kind: 'session', id },
      anonymous: true,
      apply: (current) =>
        withSession(
          changeUser(current, user.id, (each) => withUser(current, { ...each, group: 'writers' })),
          id,
          { username: user.name },
        ),
    }
  },
  'log out': ({ tables, nth }) => {
    const id = pickSession(tables, nth)
    return {
      request: 'POST /api/logout',
      session: { kind: 'session', id },
      apply: (current) => ({ ...current, sessions: without(current.sessions, id) }),
    }
  },
} satisfies Readonly<Record<string, (about: Planning) => Plan>>

export type Deed = keyof typeof plans
export const DEEDS = Object.keys(plans) as Deed[]

export function plan(deed: Deed, about: Planning): Plan {
  return plans[deed](about)
}

/** A request about one user that names them in its path. */
function ofUser(
  { tables, nth }: Planning,
  method: string,
  change: (tables: Tables, user: User) => Tables,
  where = 'users',
): Plan {
  const { id } = pickUser(tables, nth)
  return {
    request: `${method} /api/${where}/${id}`,
    apply: (current) => changeUser(current, id, (user) => change(current, user)),
  }
}

function changeUser(tables: Tables, id: string, change: (user: User) => Tables): Tables {
  const user = tables.users.get(id)
  return user === undefined ? tables : change(user)
}

const NOBODY: User = { id: '999', name: 'nobody', password: '', enabled: false, group: 'readers' }

function pickUser({ users }: Tables, nth: number): User {
  return users.size === 0 ? NOBODY : at([...users.values()], nth)
}

function pickToken({ tokens }: Tables, nth: number): Token | undefined {
  return tokens.size === 0 ? undefined : at([...tokens.values()], nth)
}

function pickSession({ sessions }: Tables, nth: number): string {
  return sessions.size === 0 ? 'none' : at([...sessions.keys()], nth)
}

function isTaken({ users }: Tables, name: string): boolean {
  return [...users.values()].some((user) => user.name === name)
}

function issueToken(issued: Issued, ownerName: string | undefined): string {
  const token = `rmm_${issued.next()}`
  issued.add(
    { kind: 'token', token, ...(ownerName !== undefined && { ownerName }) },
    { kind: 'token', token },
  )
  return sha256(token)
}

function newSession(issued: Issued): SessionCredential {
  return { kind: 'session', id: `session${issued.next()}` }
}

function passwordOf(username: string, password: string): Credential {
  return { kind: 'basic', username: password.length % 2 === 0 ? username : username.toUpperCase(), password }
}

function withUser(tables: Tables, user: User): Tables {
  return { ...tables, users: new Map([...tables.users, [user.id, user]]) }
}

function withToken(tables: Tables, token: Token): Tables {
  return { ...tables, tokens: new Map([...tables.tokens, [token.digest, token]]) }
}

function withSession(tables: Tables, id: string, session: Session): Tables {
  return { ...tables, sessions: new Map([...tables.sessions, [id, session]]) }
}

function without<V>(rows: ReadonlyMap<string, V>, key: string): ReadonlyMap<string, V> {
  return new Map([...rows].filter(([each]) => each !== key))
}
