import { hash } from '@node-rs/bcrypt'
import t from 'tap'
import { createBasicAuthenticator } from '../../src/authenticators/basic.ts'
import { createPasswordVerifier } from '../../src/authenticators/password.ts'
import { ScopeSet } from '../../src/identity/scope.ts'
import { readFixture } from '../support/romm/facts.ts'
import { attemptsOf } from '../support/attempts.ts'
import { client, People, scopesOf, told, user } from './people.ts'

const COST = 4
const DECOY = await hash('nobody knows', COST)
const PASSWORD = 'correct horse'
const HASH = await hash(PASSWORD, COST)

function stage(maxEntries = 100) {
  const people = new People(user('vera', { passwordHash: HASH }))
  const verified: { password: string; hash: string }[] = []
  const verify = createPasswordVerifier({ attempts: attemptsOf(), atOnce: 2, waiting: 8 })
  const authenticator = createBasicAuthenticator({
    users: people,
    verify(password, against, guess) {
      verified.push({ password, hash: against })
      return verify(password, against, guess)
    },
    decoyHash: DECOY,
    maxEntries,
  })
  const authenticate = (username: string, password: string) =>
    authenticator.authenticate({ kind: 'basic', username, password }, client)
  const present = (username: string, password: string) => told(authenticate(username, password))
  return { people, verified, authenticate, present }
}

t.test('a password is verified once while its hash stays', async (t) => {
  const { people, verified, authenticate, present } = stage()
  const principal = await present('vera', PASSWORD)
  t.match(principal, {
    mode: 'basic',
    owner: { subject: 'id of vera', username: 'vera' },
    expiresAt: undefined,
  })
  t.same(scopesOf(principal), ['me.read', 'notes.read', 'notes.write'])
  t.match(authenticate('vera', PASSWORD), { kind: 'authenticated', principal }, 'known: no promise')
  t.equal(await present('vera', 'wrong'), 'wrong_password')
  t.equal(await present('vera', 'wrong'), 'wrong_password')
  t.equal(verified.length, 2)
  t.match(await present('VERA', PASSWORD), { owner: { username: 'vera' } })

  people.change('vera', { scopes: ScopeSet.none })
  t.same(scopesOf(await present('vera', PASSWORD)), [])
  people.change('vera', { enabled: false })
  t.equal(await present('vera', PASSWORD), 'disabled_user')
  t.equal(verified.length, 3, 'nothing of that touched the hash')
})

t.test('a new hash is verified anew, and the old password is dead with the old one', async (t) => {
  const { people, verified, present } = stage()
  await present('vera', PASSWORD)
  people.change('vera', { passwordHash: await hash('new', COST) })
  t.equal(await present('vera', PASSWORD), 'wrong_password')
  t.match(await present('vera', 'new'), { mode: 'basic' })
  t.equal(verified.length, 3)
  people.change('vera', { passwordHash: HASH })
  t.equal(await present('vera', 'new'), 'wrong_password')
  t.match(await present('vera', PASSWORD), { mode: 'basic' })
})

t.test('who changes while a password is verified is looked at again', async (t) => {
  const { people, authenticate, verified } = stage()
  const disabled = told(authenticate('vera', PASSWORD))
  people.change('vera', { enabled: false })
  t.equal(await disabled, 'disabled_user')

  people.change('vera', { enabled: true, passwordHash: await hash(PASSWORD, COST) })
  // Made before: while it is being made the old one could have been verified.
  const renewed = await hash('new', COST)
  const replaced = told(authenticate('vera', PASSWORD))
  people.change('vera', { passwordHash: renewed })
  t.equal(await replaced, 'wrong_password', 'what was verified against the old hash says nothing')
  t.equal(verified.length, 3)
})

t.test('whom nobody knows, who has no password, and whose name is two people’s costs as much', async (t) => {
  const { people, verified, present } = stage()
  people.users.push(user('olga'), user('Anna', { passwordHash: HASH }), user('anna', { passwordHash: HASH }))
  t.equal(await present('nobody', PASSWORD), 'unknown_user')
  t.equal(await present('olga', PASSWORD), 'unknown_user')
  t.equal(await present('anna', PASSWORD), 'ambiguous_user')
  t.same(
    verified.map((one) => one.hash),
    [DECOY, DECOY, DECOY],
  )
  t.equal(await present('olga', 'nobody knows'), 'unknown_user', 'the decoy opens nothing')
  t.equal(await present('nobody', 'nobody knows'), 'unknown_user')
})

t.test('name and password are not one string', async (t) => {
  const { people, present } = stage()
  people.users.push(user('ver', { passwordHash: await hash('other', COST) }))
  t.match(await present('vera', PASSWORD), { mode: 'basic' })
  t.equal(await present('ver', `a${PASSWORD}`), 'wrong_password')
  t.equal(await present('vera:', PASSWORD), 'unknown_user')
})

t.test('the same password at the same moment is verified once', async (t) => {
  const { verified, present } = stage()
  const principals = await Promise.all(Array.from({ length: 50 }, () => present('vera', PASSWORD)))
  t.equal(verified.length, 1)
  t.equal(new Set(principals).size, 1)
})

t.test('a flood of passwords is refused, not queued, and those who are known do not notice', async (t) => {
  const { present } = stage()
  await present('vera', PASSWORD)
  const flood = await Promise.allSettled(Array.from({ length: 50 }, (_, i) => present('vera', `guess ${i}`)))
  const refused = flood.filter(({ status }) => status === 'rejected')
  t.equal(refused.length, 44, 'two at once, and four of the eight that may wait')
  t.match(refused[0], { reason: { code: 'question_refused' } })
  t.match(await present('vera', PASSWORD), { mode: 'basic' })
  t.equal(await present('vera', 'guess 49'), 'wrong_password', 'a refusal is not remembered')
})

t.test('what is remembered is bounded, and no storm of bad passwords drives a good one out', async (t) => {
  const { people, verified, present } = stage(1)
  people.users.push(user('otto', { passwordHash: HASH }))
  await present('vera', PASSWORD)
  await present('vera', 'wrong')
  await present('vera', PASSWORD)
  t.equal(verified.length, 2)
  await present('otto', PASSWORD)
  await present('vera', PASSWORD)
  t.equal(verified.length, 4)
})

t.test('the verifier agrees with RomM’s', async (t) => {
  const verifier = createPasswordVerifier({ attempts: attemptsOf() })
  const verify = (password: string, against: string): Promise<boolean> =>
    verifier(password, against, { client, user: 'id 1', secret: password })
  for (const { username, password, hashed_password: stored } of readFixture().users) {
    if (password === null || stored === null) continue
    t.equal(await verify(password, stored), true, username)
    t.equal(await verify(password.slice(1), stored), false)
  }
  const long = await hash('x'.repeat(72), COST)
  t.equal(await verify(`${'x'.repeat(72)}and more`, long), true, 'bcrypt reads 72 bytes')
  t.equal(await verify('x'.repeat(71), long), false)
  for (const prefix of ['$2a$', '$2b$', '$2y$'])
    t.equal(await verify(PASSWORD, prefix + HASH.slice(4)), true, prefix)
  for (const none of ['', '1a12ef3c-adfa-42f9-9099-6909b5df29f8', '!', '*', HASH.slice(0, -1), `${HASH}x`]) {
    t.equal(await verify(PASSWORD, none), false, `"${none}" is no hash`)
  }
})
