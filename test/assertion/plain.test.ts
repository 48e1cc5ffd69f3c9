import t from 'tap'
import { PLAIN_HEADERS, createPlainHeaders } from '../../src/assertion/plain.ts'
import { ScopeSet } from '../../src/identity/scope.ts'
import { principalOf } from './setup.ts'

const all = createPlainHeaders(PLAIN_HEADERS)
const userOf = (username: string): string | undefined =>
  all(principalOf({ owner: { subject: '7', username, role: undefined } }))[1]

t.test('the plain headers say who, which role and which scopes', async (t) => {
  t.same(
    all(principalOf()),
    ['X-Forwarded-User', 'ada'].concat(
      ['X-Forwarded-Groups', 'editor'],
      ['X-Forwarded-Scopes', 'roms.read me.read'],
    ),
  )
})

t.test('only those asked for are sent', async (t) => {
  t.same(createPlainHeaders({ user: 'Remote-User' })(principalOf()), ['Remote-User', 'ada'])
  t.same(createPlainHeaders({})(principalOf()), [])
})

t.test('nothing is said that is not known', async (t) => {
  t.same(all(principalOf({ owner: undefined })), [])
  const owner = { subject: '7', username: 'ada', role: undefined }
  t.same(all(principalOf({ owner, grant: { kind: 'deferred' } })), ['X-Forwarded-User', 'ada'])
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
  t.same(
    all(principalOf({ owner, grant: { kind: 'known', scopes } })).slice(2),
    ['X-Forwarded-Groups', 'user%2Cadmin'].concat(['X-Forwarded-Scopes', 'a%20b c']),
  )
})
