import t from 'tap'
import type { Change } from '../../../src/directory/change.ts'
import { sessionDigest } from '../../../src/directory/digest.ts'
import type { Credential } from '../../../src/identity/credential.ts'
import { changesBy } from '../../../src/profiles/romm/changes.ts'
import { parseTarget } from '../../../src/request/target.ts'
import { readOpenApi } from '../../support/romm/facts.ts'

const SESSION: Credential = { kind: 'session', id: 's1' }

function changes(method: string, path: string): readonly Change[] | undefined {
  const parsed = parseTarget(path, method, 'romm.test')
  if (!parsed.ok) throw new Error(`${path}: ${parsed.fault}`)
  return changesBy({ method, target: parsed.target, credential: SESSION })
}

/** RomM fact: every operation after which an account, a session, a token or a permission is another. */
const CHANGING = [
  ...['POST /api/login', 'POST /api/logout', 'GET /api/login/openid', 'GET /api/oauth/openid'],
  'POST /api/reset-password',
  ...['POST /api/users', 'POST /api/users/register', 'PUT /api/users/{id}', 'DELETE /api/users/{id}'],
  ...['POST /api/client-tokens', 'POST /api/client-tokens/exchange', 'DELETE /api/client-tokens/{token_id}'],
  ...['DELETE /api/client-tokens/{token_id}/admin', 'PUT /api/client-tokens/{token_id}/regenerate'],
  ...['DELETE /api/devices/{device_id}', 'POST /api/auth/device/approve'],
  ...['POST /api/permissions/groups', 'PUT /api/permissions/groups/{id}'],
  ...['DELETE /api/permissions/groups/{id}', 'PUT /api/permissions/users/{user_id}'],
]

t.test('of all operations exactly these change who somebody is or what they may do', (t) => {
  const operations = Object.entries(readOpenApi().paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const found = operations.filter((operation) => {
    const [method = '', path = ''] = operation.split(' ')
    return changes(method, path.replaceAll(/\{\w+\}/g, '2')) !== undefined
  })
  t.same(found.toSorted(), CHANGING.toSorted())
  t.end()
})

t.test('every spelling that reaches such an operation is noticed', (t) => {
  for (const path of [
    ...[
      '/api/users/2',
      '/api/users/2/',
      '//api//users/2',
      '/api/users/02',
      '/api/users/+2',
      '/api/users/%2B2',
    ],
    ...['/api/users/%202', '/api/users/2.0', '/api/users/0_2', '/%61pi/us%65rs/2', '/api/users/2?x=/y'],
  ]) {
    t.ok(changes('PUT', path), path)
  }
  t.notOk(changes('PUT', '/api/users'))
  t.notOk(changes('PUT', '/api/users/2/3'))
  t.notOk(changes('put', '/api/users/2'), 'methods have a case')
  t.end()
})

t.test('who is changed is said where the path says it plainly, and is anybody where it does not', (t) => {
  t.same(changes('PUT', '/api/users/2'), [{ kind: 'user', id: '2' }])
  t.same(changes('PUT', '/api/permissions/users/12/'), [{ kind: 'user', id: '12' }])
  t.same(changes('DELETE', '/api/client-tokens/3'), [{ kind: 'token', id: '3' }])
  t.same(changes('PUT', '//api/client-tokens/3/regenerate'), [{ kind: 'token', id: '3' }])
  for (const id of ['02', '+2', '%2B2', '%202', '2.0', '0_2', '0', '-2', '2e0', '%EF%BC%92', '']) {
    t.same(changes('DELETE', `/api/users/${id}`)?.[0]?.kind ?? 'users', 'users', id)
    t.same(changes('DELETE', `/api/client-tokens/${id}`)?.[0]?.kind ?? 'tokens', 'tokens', id)
  }
  t.same(changes('POST', '/api/client-tokens/exchange'), [{ kind: 'tokens' }])
  t.same(changes('POST', '/api/permissions/groups'), [{ kind: 'everybody' }])
  const digest = sessionDigest('s1')
  t.same(changes('POST', '/api/logout'), [{ kind: 'session', digest }])
  t.same(changes('GET', '/api/oauth/openid?code=x'), [{ kind: 'session', digest }, { kind: 'users' }])
  t.end()
})
