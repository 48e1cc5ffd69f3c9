import t from 'tap'
import { plainHeaders } from '../../src/assertion/plain.ts'
import { ScopeSet } from '../../src/identity/scope.ts'
import { principalOf } from './setup.ts'

const userOf = (username: string): string | undefined =>
  plainHeaders(principalOf({ owner: { subject: '7', username, role: undefined } }))[1]

t.test('the plain headers say who, which role and which scopes', async (t) => {
  const [user, ada, groups, editor, scopes, both, ...more] = plainHeaders(principalOf())
  t.same([user, ada], ['X-Forwarded-User', 'ada'])
  t.same([groups, editor], ['X-Forwarded-Groups', 'editor'])
  t.same([scopes, both], ['X-Forwarded-Scopes', 'roms.read me.read'])
  t.same(more, [])
})

t.test('nothing is said that is not known', async (t) => {
  t.same(plainHeaders(principalOf({ owner: undefined })), [])
  const owner = { subject: '7', username: 'ada', role: undefined }
  t.same(plainHeaders(principalOf({ owner, grant: { kind: 'deferred' } })), ['X-Forwarded-User', 'ada'])
})

t.test('no name can be read as another one, nor as another header', async (t) => {
  const attacks = ['ada\r\nX-Forwarded-Groups: admin', 'ada ', ' ada', 'ada\t', 'ada\0', 'a,b', 'Zoë', '日本']
  const values = attacks.map(userOf)
  for (const value of values) t.match(value, /^[!-~]+$/)
  t.same(values.slice(-3), ['a%2Cb', 'Zo%C3%AB', '%E6%97%A5%E6%9C%AC'])
  t.same(
    values.map((value) => decodeURIComponent(value ?? '')),
    attacks,
  )
  t.not(userOf('jos%C3%A9'), userOf('josé'), 'a name that looks encoded is encoded')
})

t.test('what is common in names stays as it is', async (t) => {
  t.equal(userOf("o'neil+games@example.org_(~x!)"), "o'neil+games@example.org_(~x!)")
})

t.test('a role or scope cannot pass for a list', async (t) => {
  const owner = { subject: '7', username: 'ada', role: 'user,admin' }
  const scopes = ScopeSet.of(['a b', 'c'])
  const headers = plainHeaders(principalOf({ owner, grant: { kind: 'known', scopes } }))
  t.same([headers[3], headers[5]], ['user%2Cadmin', 'a%20b c'])
})
