import t from 'tap'
import { createSessionAuthenticator } from '../../src/authenticators/session.ts'
import { createTokenAuthenticator } from '../../src/authenticators/token.ts'
import { sha256 } from '../../src/directory/digest.ts'
import type { TokenRecord } from '../../src/directory/records.ts'
import type { Ties } from '../../src/directory/ties.ts'
import { ScopeSet } from '../../src/identity/scope.ts'
import { virtualClock } from '../support/clock.ts'
import { client, People, scopesOf, told, user, tiesTo } from './people.ts'

const TOKEN = 'tok_secret'

function tokenOf(userId: string, changes: Partial<TokenRecord> = {}): TokenRecord {
  const digest = sha256(TOKEN)
  const scopes = ['notes.read', 'users.write']
  return Object.freeze({
    ...{ id: '7', userId, digest, scopes, expiresAt: undefined, deviceId: 'd1' },
    ...changes,
  })
}

function tokens(changes: Partial<TokenRecord> = {}) {
  const people = new People(user('vera'), user('Anna'), user('anna'))
  people.tokens.set(sha256(TOKEN), tokenOf('id of vera', changes))
  const clock = virtualClock()
  const authenticator = createTokenAuthenticator(people, clock)
  const present = (token = TOKEN, ownerName?: string) =>
    told(
      authenticator.authenticate(
        { kind: 'token', token, ...(ownerName !== undefined && { ownerName }) },
        client,
      ),
    )
  return { people, clock, authenticator, present }
}

t.test('a token may do what it carries and its user still may', async (t) => {
  const { present, people } = tokens()
  const principal = await present()
  t.match(principal, {
    mode: 'token',
    owner: { subject: 'id of vera', username: 'vera', role: 'user' },
    tokenId: '7',
    deviceId: 'd1',
    expiresAt: undefined,
  })
  t.same(scopesOf(principal), ['notes.read'])
  t.ok(Object.isFrozen(principal))
  people.change('vera', { scopes: ScopeSet.of(['users.write']) })
  t.same(scopesOf(await present()), ['users.write'])
  people.change('vera', { enabled: false })
  t.equal(await present(), 'disabled_user')
  people.users.length = 0
  t.equal(await present(), 'unknown_user')
  t.equal(await present('tok_other'), 'unknown')
})

t.test('a token is dead from the very millisecond on that it names', async (t) => {
  const { clock, present } = tokens({ expiresAt: virtualClock().now() + 1_000 })
  t.match(await present(), { expiresAt: clock.now() + 1_000 })
  clock.jump(999)
  t.match(await present(), { mode: 'token' })
  clock.jump(1)
  t.equal(await present(), 'expired')
})

t.test('a token beside a name belongs to that name', async (t) => {
  const { people, present } = tokens()
  t.match(await present(TOKEN, 'VERA'), { owner: { username: 'vera' } })
  t.equal(await present(TOKEN, 'bob'), 'wrong_owner')
  t.equal(await present(TOKEN, ''), 'wrong_owner')
  people.tokens.set(sha256(TOKEN), tokenOf('id of anna'))
  t.equal(await present(TOKEN, 'anna'), 'wrong_owner', 'a name that is two people’s is nobody’s')
})

t.test('one principal for as long as neither token nor user changes', async (t) => {
  const { people, present } = tokens()
  const principal = await present()
  t.equal(await present(), principal)
  people.change('vera', { role: 'admin' })
  const changed = await present()
  t.not(changed, principal)
  t.match(changed, { owner: { role: 'admin' } })
  people.tokens.set(sha256(TOKEN), tokenOf('id of vera', { scopes: [] }))
  t.same(scopesOf(await present()), [])
})

t.test('a warm token crosses no promise, and a directory that fails is no refusal', (t) => {
  const { people, authenticator } = tokens()
  t.match(authenticator.authenticate({ kind: 'token', token: TOKEN }, client), { kind: 'authenticated' })
  people.broken = new Error('away')
  t.throws(() => authenticator.authenticate({ kind: 'token', token: TOKEN }, client), { message: 'away' })
  t.end()
})

t.test('a session is its user', async (t) => {
  const people = new People(user('vera'))
  people.sessions.set('s', Object.freeze({ id: 's', username: 'VERA', deviceId: 'd2' }))
  people.sessions.set('state', Object.freeze({ id: 's', username: undefined, deviceId: undefined }))
  people.sessions.set('orphan', Object.freeze({ id: 's', username: 'gone', deviceId: undefined }))
  const authenticator = createSessionAuthenticator(people, passwordTies(people))
  const present = (id: string) => told(authenticator.authenticate({ kind: 'session', id }, client))
  const principal = await present('s')
  t.match(principal, {
    mode: 'session',
    owner: { subject: 'id of vera' },
    deviceId: 'd2',
    tokenId: undefined,
  })
  t.same(scopesOf(principal), ['me.read', 'notes.read', 'notes.write'])
  t.equal(await present('s'), principal)
  t.equal(await present('unknown'), 'unknown')
  t.equal(await present('state'), 'not_a_login')
  t.equal(await present('orphan'), 'unknown_user')
  people.change('vera', { scopes: ScopeSet.none })
  t.same(scopesOf(await present('s')), [])
  people.change('vera', { enabled: false })
  t.equal(await present('s'), 'disabled_user')
  people.users.push(user('Vera'))
  t.equal(await present('s'), 'ambiguous_user')
})

function passwordTies(people: People): Ties {
  return tiesTo(people, ({ id, username, passwordHash }) => `${id} ${username} ${passwordHash}`)
}

for (const [what, change] of Object.entries({
  'has another password': (people) => people.change('vera', { passwordHash: 'new' }),
  'has another name for a while': (people) => {
    people.change('vera', { username: 'Verena' })
  },
  'may not sign in for a while': (people) => people.change('vera', { enabled: false }),
  'is somebody else': (people) => people.change('vera', { id: 'another' }),
} satisfies Record<string, (people: People) => void>)) {
  t.test(`a session ends for good when its user ${what}`, async (t) => {
    const people = new People(user('vera', { passwordHash: 'old' }))
    const authenticator = createSessionAuthenticator(people, passwordTies(people))
    const present = (id: string) => told(authenticator.authenticate({ kind: 'session', id }, client))
    people.sessions.set('s', Object.freeze({ id: 's', username: 'vera', deviceId: undefined }))
    t.match(await present('s'), { mode: 'session' })
    change(people)
    t.type(await present('s'), 'string')
    people.users[0] = user('vera', { passwordHash: 'old' })
    t.equal(await present('s'), 'revoked', 'though everything is as it was')
    people.sessions.set('later', Object.freeze({ id: 'later', username: 'vera', deviceId: undefined }))
    t.match(await present('later'), { mode: 'session' }, 'a session since is none of those')
    people.users.push(user('bob'))
    people.sessions.set('s', Object.freeze({ id: 's', username: 'bob', deviceId: undefined }))
    t.match(await present('s'), { owner: { username: 'bob' } }, 'nor is a login over it')
  })
}

t.test('what does not concern who signs in ends no session', async (t) => {
  const people = new People(user('vera', { passwordHash: 'same' }))
  const authenticator = createSessionAuthenticator(people, passwordTies(people))
  people.sessions.set('s', Object.freeze({ id: 's', username: 'vera', deviceId: undefined }))
  const present = () => told(authenticator.authenticate({ kind: 'session', id: 's' }, client))
  t.match(await present(), { owner: { role: 'user' } })
  people.change('vera', { role: 'admin' })
  t.match(await present(), { owner: { role: 'admin' } })
})

t.test('a session that is newer than what is known of its user is no worse for it', async (t) => {
  const people = new People(user('vera', { passwordHash: 'old' }))
  const now = new People(user('vera', { passwordHash: 'new' }))
  const ties = passwordTies(now)
  const authenticator = createSessionAuthenticator(people, ties)
  people.sessions.set('s', Object.freeze({ id: 's', username: 'vera', deviceId: undefined }))
  const present = () => told(authenticator.authenticate({ kind: 'session', id: 's' }, client))
  t.match(await present(), { mode: 'session' })
  people.change('vera', { passwordHash: 'new' })
  t.match(await present(), { mode: 'session' })
})
