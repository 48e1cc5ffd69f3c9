import t from 'tap'
import type { RouteRule } from '../../src/pipeline/rule.ts'
import { readOpenApi } from '../../src/routes/openapi.ts'
import { RouteTable } from '../../src/routes/table.ts'
import { outcome, rommDocument, rommRoutes, rule } from '../support/routes.ts'

const reading = readOpenApi(rommDocument, {
  dialect: 'fastapi-all',
  undeclared: 'public',
  backendChecksScopes: true,
})
const document: readonly RouteRule[] = reading.ok ? reading.rules : []
const protectedPrefixes = ['/api', '/ws', '/netplay']
const spa = rule('/**', 'public', { origin: 'profile', methods: ['GET', 'HEAD'] })
const table = new RouteTable({ layers: [{ rules: [spa] }, { rules: document }], protectedPrefixes })
const at = (method: string, path: string): string => outcome(table.match(method, path))

t.test('the document is read whole, with the version of the backend', async (t) => {
  t.ok(reading.ok)
  t.equal(reading.ok && reading.version, '5.2.0')
  t.equal(document.length, 215)
  t.equal(rommRoutes.length, 215)
})

t.test('every operation requires the scopes that the backend checks, on either twin', async (t) => {
  for (const route of rommRoutes) {
    const required = route.public ? 'public' : route.scopes.join(' ')
    const path = route.path.replaceAll(/\{[^}]*\}/g, '999999')
    t.equal(at(route.method, path), required, `${route.method} ${route.path}`)
    t.equal(at(route.method, `${path}/`), required, `${route.method} ${route.path}/`)
    t.equal(
      table.match(route.method, path).kind === 'rule' &&
        (table.match(route.method, path) as { rule: RouteRule }).rule.template,
      route.path,
    )
  }
})

t.test('where two routes overlap and the backend may pick either, both requirements count', async (t) => {
  const shared = table.rows.filter((row) => row.shared.length > 0)
  t.strictSame(
    shared.map(({ rule: { methods, template }, shared: by }) => [methods, template, [...by].sort()]),
    [
      [['PUT'], '/api/roms/upload/props', ['/api/roms/upload/{upload_id}', '/api/roms/{id}/props']],
      [
        ['DELETE'],
        '/api/collections/smart/roms',
        ['/api/collections/smart/{id}', '/api/collections/{id}/roms'],
      ],
    ],
  )
  t.equal(at('PUT', '/api/roms/upload/7'), 'roms.write')
  t.equal(at('PUT', '/api/roms/7/props'), 'roms.user.write')
  t.equal(at('PUT', '/api/roms/upload/props').split(' ').sort().join(' '), 'roms.user.write roms.write')
})

t.test('a static segment comes before a parameter, for the methods it speaks for', async (t) => {
  t.equal(at('GET', '/api/users/me'), 'me.read')
  t.equal(at('GET', '/api/users/1'), 'users.read')
  t.equal(at('DELETE', '/api/users/me'), 'users.write', 'the backend would run DELETE /api/users/{id}')
})

t.test('HEAD is checked as GET, and as itself where it is a row', async (t) => {
  t.equal(at('HEAD', '/api/users/me'), 'me.read')
  t.equal(at('HEAD', '/api/roms/1/content/a.zip'), 'roms.read')
})

t.test('a known path with another method names the methods there are', async (t) => {
  t.equal(at('PATCH', '/api/users/me'), '405 DELETE,GET,HEAD,PUT')
  t.equal(at('POST', '/api/stats'), '405 GET,HEAD')
  t.equal(at('get', '/api/stats'), '405 GET,HEAD', 'method names are case-sensitive')
})

t.test('the public rest of the site ends where the backend begins', async (t) => {
  t.equal(at('GET', '/'), 'public')
  t.equal(at('GET', '/rom/7'), 'public')
  for (const path of ['/api', '/api/', '/apix', '/api/unknown', '/api;x', '/ws', '/wsx', '/netplay/x']) {
    t.equal(at('GET', path), '404', path)
  }
})
