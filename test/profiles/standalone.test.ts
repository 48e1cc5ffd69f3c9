import t from 'tap'
import type { Test } from 'tap'
import { startRevalidation } from '../../src/directory/revalidation.ts'
import type { Credential } from '../../src/identity/credential.ts'
import type { Principal } from '../../src/identity/principal.ts'
import type { Outcome } from '../../src/pipeline/outcome.ts'
import { basic, bench } from '../support/standalone.ts'
import type { Bench } from '../support/standalone.ts'

const DAY = 86_400_000
const PASSWORD = 'correct horse'

function present({ profile }: Bench, authorization: string): Credential {
  const presented = profile.carrier.read(['Authorization', authorization])
  if (presented === 'several' || presented.explicit === undefined) throw new Error('nothing was presented')
  return presented.explicit
}

async function send(b: Bench, authorization: string): Promise<Outcome> {
  return b.authenticate(present(b, authorization))
}

function principalOf(outcome: Outcome): Principal {
  if (outcome.kind !== 'authenticated') throw new Error(`not authenticated: ${JSON.stringify(outcome)}`)
  return outcome.principal
}

async function withAlice(t: Test): Promise<Bench> {
  const b = bench(t)
  await b.store.addUser('alice', PASSWORD, { role: 'editor', scopes: ['notes.read', 'notes.write'] })
  return b
}

t.test('a password lets its user do what the user may', async (t) => {
  const b = await withAlice(t)
  const { mode, owner, grant } = principalOf(await send(b, basic('Alice', PASSWORD)))
  t.equal(mode, 'basic')
  t.same(owner, { subject: '1', username: 'alice', role: 'editor' }, 'the name as it is kept')
  t.same(grant.kind === 'known' && grant.scopes.names, ['notes.read', 'notes.write'])
})

t.test('a wrong password, an unknown user and a disabled one are refused', async (t) => {
  const b = await withAlice(t)
  t.same(await send(b, basic('alice', 'wrong horse')), { kind: 'rejected', rejection: 'wrong_password' })
  t.same(await send(b, basic('mallory', PASSWORD)), { kind: 'rejected', rejection: 'unknown_user' })
  t.same(await send(b, basic('nobody\u2019s', PASSWORD)), { kind: 'rejected', rejection: 'unknown_user' })
  b.store.setEnabled('alice', false)
  b.clock.advance(3_000)
  t.same(await send(b, basic('alice', PASSWORD)), { kind: 'rejected', rejection: 'disabled_user' })
})

t.test('a token may do what it carries of what its user may, until it expires', async (t) => {
  const b = await withAlice(t)
  const { id, token } = b.store.addToken('alice', 'reader', {
    scopes: ['notes.read'],
    expiresAt: b.clock.now() + DAY,
  })
  t.match(token, /^pst_[0-9a-f]{64}$/)
  const principal = principalOf(await send(b, `Bearer ${token}`))
  t.equal(principal.mode, 'token')
  t.equal(principal.tokenId, id)
  t.equal(principal.expiresAt, b.clock.now() + DAY)
  t.same(principal.grant.kind === 'known' && principal.grant.scopes.names, ['notes.read'])
  b.clock.jump(DAY)
  t.same(await send(b, `Bearer ${token}`), { kind: 'rejected', rejection: 'expired' })
  t.same(await send(b, `Bearer pst_${'0'.repeat(64)}`), { kind: 'rejected', rejection: 'unknown' })
})

t.test('a token as the password of Basic must belong to the name', async (t) => {
  const b = await withAlice(t)
  await b.store.addUser('bob', PASSWORD, { scopes: [] })
  const { token } = b.store.addToken('alice', 'console')
  t.equal(principalOf(await send(b, basic('ALICE', token))).mode, 'token')
  t.same(await send(b, basic('bob', token)), { kind: 'rejected', rejection: 'wrong_owner' })
})

t.test('credentials of other kinds are rejected', async (t) => {
  const b = await withAlice(t)
  t.same(await b.authenticate({ kind: 'jwt', token: 'a.b.c' }), { kind: 'rejected', rejection: 'wrong_type' })
  t.same(await b.authenticate({ kind: 'session', id: 'x' }), { kind: 'rejected', rejection: 'wrong_type' })
  t.same(await send(b, 'Bearer a.b.c'), { kind: 'rejected', rejection: 'malformed' })
})

t.test('a batch brings what a command changed to what is in use', async (t) => {
  const b = await withAlice(t)
  const { id, token } = b.store.addToken('alice', 'reader')
  const before = principalOf(await send(b, `Bearer ${token}`))
  const revalidate = (): Promise<unknown> => Promise.all(b.profile.lookups.map((kept) => kept.revalidate()))

  await revalidate()
  t.equal(principalOf(await send(b, `Bearer ${token}`)), before, 'the same object while nothing changes')
  b.store.setEnabled('alice', false)
  t.equal((await send(b, `Bearer ${token}`)).kind, 'authenticated', 'within the bound')
  await revalidate()
  t.same(await send(b, `Bearer ${token}`), { kind: 'rejected', rejection: 'disabled_user' })
  b.store.setEnabled('alice', true)
  await revalidate()
  t.equal((await send(b, `Bearer ${token}`)).kind, 'authenticated')
  b.store.revokeToken(id)
  await revalidate()
  t.same(await send(b, `Bearer ${token}`), { kind: 'rejected', rejection: 'unknown' })
})

t.test('an idle entry is verified before its next use', async (t) => {
  const b = await withAlice(t)
  const { token } = b.store.addToken('alice', 'reader')
  t.equal((await send(b, basic('alice', PASSWORD))).kind, 'authenticated')
  t.equal((await send(b, `Bearer ${token}`)).kind, 'authenticated')
  b.store.removeUser('alice')
  b.clock.advance(3_000)
  t.same(await send(b, basic('alice', PASSWORD)), { kind: 'rejected', rejection: 'unknown_user' })
  t.same(
    await send(b, `Bearer ${token}`),
    { kind: 'rejected', rejection: 'unknown' },
    'tokens go with their user',
  )
})

t.test('a new password replaces the old one', async (t) => {
  const b = await withAlice(t)
  t.equal((await send(b, basic('alice', PASSWORD))).kind, 'authenticated')
  await b.store.setPassword('alice', 'battery staple')
  b.clock.advance(3_000)
  t.same(await send(b, basic('alice', PASSWORD)), { kind: 'rejected', rejection: 'wrong_password' })
  t.equal((await send(b, basic('alice', 'battery staple'))).kind, 'authenticated')
})

t.test('batches run on the interval, and a lost database is trouble and no refusal', async (t) => {
  const b = await withAlice(t)
  t.equal((await send(b, basic('alice', PASSWORD))).kind, 'authenticated')
  t.same(b.profile.troubles(), [])
  await b.profile.close()
  const failed = new Promise<string>((resolve) => {
    const onFailure = (name: string): void => resolve(name)
    const options = { clock: b.clock, interval: 2_000, random: () => 0, onFailure }
    const batches = startRevalidation(b.profile.lookups, options)
    t.teardown(() => batches.stop())
  })
  t.equal(await failed, 'name')
  t.match(b.profile.troubles(), [{ what: /does not answer for: name/, shared: false }])
  t.equal((await send(b, basic('alice', PASSWORD))).kind, 'authenticated', 'what is known still counts')
  await t.rejects(send(b, basic('bob', PASSWORD)), { code: 'could_not_check' })
})

t.test('who would be let in can be looked at without a credential', async (t) => {
  const b = await withAlice(t)
  const { id } = b.store.addToken('alice', 'reader', {
    scopes: ['notes.read'],
    expiresAt: b.clock.now() + DAY,
  })
  t.match(await b.profile.look('user', 'ALICE'), { mode: 'basic', owner: { username: 'alice' } })
  t.match(await b.profile.look('token', id), { tokenId: id, grant: { scopes: { names: ['notes.read'] } } })
  for (const nobody of ['bob', ''])
    for (const kind of ['user', 'token'] as const) t.equal(await b.profile.look(kind, nobody), undefined)
  b.clock.advance(DAY)
  t.equal(await b.profile.look('token', id), undefined, 'expired')
  b.store.setEnabled('alice', false)
  b.clock.advance(DAY)
  t.equal(await b.profile.look('user', 'alice'), undefined, 'disabled')
})

t.test('the start says what it runs on and what is missing', async (t) => {
  const b = bench(t)
  await b.profile.start()
  t.match(b.warnings, [/one gateway process/, /no users yet/])
  await b.store.addUser('alice', PASSWORD, { scopes: [] })
  await b.profile.start()
  t.equal(b.warnings.length, 3)
})

t.test('it has nothing to add to the backend: no rules, no cookies, no words of its own', (t) => {
  const { profile } = bench(t)
  t.same(profile.rules(), [])
  t.same(profile.cookieNames, [])
  t.same(profile.protectedPrefixes, [])
  t.equal(profile.guest, undefined)
  t.equal(profile.answers.refusal(), undefined)
  t.equal(profile.watch(), undefined)
  t.end()
})
