import t from 'tap'
import { PosternError } from '../../src/errors.ts'
import { RouteTable } from '../../src/routes/table.ts'
import type { RouteLayer } from '../../src/routes/table.ts'
import { outcome, rule } from '../support/routes.ts'

const protectedPrefixes = ['/api']
const tableOf = (...layers: RouteLayer[]): RouteTable => new RouteTable({ layers, protectedPrefixes })
const documentOf = (...rows: [template: string, requires: string, ...methods: string[]][]): RouteLayer => ({
  rules: rows.map(([template, requires, ...methods]) => rule(template, requires, { methods })),
})
const operator = (template: string, requires: string, ...methods: string[]) =>
  rule(template, requires, { origin: 'operator', methods: methods.length > 0 ? methods : '*' })
const ask = (table: RouteTable, method: string, path: string): string => outcome(table.match(method, path))

t.test('a parameter is one segment, and not an empty one', async (t) => {
  const table = tableOf(documentOf(['/a/{x}', 's', 'GET']))
  t.equal(ask(table, 'GET', '/a/1'), 's')
  t.equal(ask(table, 'GET', '/a/1/'), 's')
  t.equal(ask(table, 'GET', '/a/'), '404')
  t.equal(ask(table, 'GET', '/a/1/2'), '404')
  t.equal(ask(table, 'GET', '/A/1'), '404')
})

t.test('a parameter may be part of a segment', async (t) => {
  const table = tableOf(
    documentOf(
      ['/f/{id}', 'whole', 'GET'],
      ['/f/{id}.json', 'json', 'GET'],
      ['/f/a-{id}', 'dash', 'GET'],
      ['/f/{a}..{b}', 'range', 'GET'],
      ['/f/x{id}A9', 'hex', 'GET'],
    ),
  )
  t.equal(ask(table, 'GET', '/f/1'), 'whole')
  t.equal(ask(table, 'GET', '/f/1.json'), 'json')
  t.equal(ask(table, 'GET', '/f/.json'), 'whole', 'a parameter is never empty')
  t.equal(ask(table, 'GET', '/f/a-1'), 'dash')
  t.equal(ask(table, 'GET', '/f/1..2'), 'range')
  t.equal(
    ask(table, 'GET', '/f/a-1.json').split(' ').sort().join(' '),
    'dash json',
    'the backend may pick either',
  )
  t.equal(ask(table, 'GET', '/f/x1A9'), 'hex')
  t.equal(ask(table, 'GET', '/f/x%C3%A9'), 'whole', 'half an escape is no text to the backend')
})

t.test('three routes that overlap in one path are all required there', async (t) => {
  const table = tableOf(
    documentOf(['/a/{x}/{y}', 'one', 'GET'], ['/{x}/b/{y}', 'two', 'GET'], ['/{x}/{y}/c', 'three', 'GET']),
  )
  t.equal(ask(table, 'GET', '/a/b/c').split(' ').sort().join(' '), 'one three two')
  t.equal(ask(table, 'GET', '/a/b/z').split(' ').sort().join(' '), 'one two')
  t.equal(ask(table, 'GET', '/a/z/z'), 'one')
})

t.test(
  'an overlap counts for the methods that both routes have, also where a third names the path',
  async (t) => {
    const table = tableOf(
      documentOf(['/a/{x}', 'one', 'PUT', 'GET'], ['/{x}/b', 'two', 'PUT'], ['/a/b', 'three', 'POST']),
    )
    t.equal(ask(table, 'PUT', '/a/b'), 'one two')
    t.equal(ask(table, 'GET', '/a/b'), 'one')
    t.equal(ask(table, 'POST', '/a/b'), 'three')
  },
)

t.test('rows of twins that differ are united', async (t) => {
  const table = tableOf(documentOf(['/a', 'one', 'GET'], ['/a/', 'two', 'GET'], ['/a/', 'three', 'POST']))
  t.equal(ask(table, 'GET', '/a'), 'one two')
  t.equal(ask(table, 'POST', '/a'), 'three')
})

t.test('HEAD is spoken for by name, else by GET, and never by less than either', async (t) => {
  const table = tableOf(
    documentOf(['/a/b', 'static', 'GET'], ['/a/{x}', 'get', 'GET'], ['/a/{x}', 'head', 'HEAD']),
  )
  t.equal(ask(table, 'HEAD', '/a/1'), 'head')
  t.equal(ask(table, 'HEAD', '/a/b'), 'static head', 'where GET does not answer HEAD, the wider route does')
  t.equal(ask(table, 'GET', '/a/b'), 'static')
})

t.test('the first layer that speaks for a method decides', async (t) => {
  const table = tableOf(
    { rules: [operator('/a/**', 'mine', 'GET')] },
    { rules: [rule('/a/b', 'profile', { origin: 'profile', methods: ['GET', 'POST'] })] },
    documentOf(['/a/b', 'theirs', 'GET', 'POST', 'PUT']),
  )
  t.equal(ask(table, 'GET', '/a/b'), 'mine')
  t.equal(ask(table, 'GET', '/a'), 'mine', '/a/** covers /a')
  t.equal(ask(table, 'GET', '/a/'), 'mine')
  t.equal(ask(table, 'POST', '/a/b'), 'profile')
  t.equal(ask(table, 'PUT', '/a/b'), 'theirs')
  t.equal(ask(table, 'PATCH', '/a/b'), '405 GET,HEAD,POST,PUT')
})

t.test('a star is one segment and two are any rest', async (t) => {
  const table = tableOf({
    rules: [operator('/a/*', 'one'), operator('/b/**', 'rest'), operator('/c/*.png', 'part')],
  })
  t.equal(ask(table, 'GET', '/a/1'), 'one')
  t.equal(ask(table, 'GET', '/a'), '404')
  t.equal(ask(table, 'GET', '/a/1/2'), '404')
  t.equal(ask(table, 'GET', '/b/1/2/3'), 'rest')
  t.equal(ask(table, 'GET', '/bb'), '404')
  t.equal(ask(table, 'GET', '/c/x.png'), 'part')
  t.equal(
    ask(tableOf(documentOf(['/a/*', 's', 'GET'])), 'GET', '/a/1'),
    '404',
    'in a document a star is a star',
  )
})

t.test('a public wildcard over protected rows is a conflict that names both', async (t) => {
  const document = documentOf(['/x/y', 'secret', 'GET'], ['/x/z', 'public', 'GET'], ['/x/w', 'other', 'POST'])
  const wild = operator('/x/**', 'public', 'GET')
  const table = tableOf({ rules: [wild] }, document)
  t.equal(table.conflicts.length, 1)
  t.match(table.conflicts[0]?.message, /^\/x\/\*\* is public and covers GET \/x\/y \(secret\);/)
  t.equal(ask(table, 'GET', '/x/y'), 'secret', 'and does no harm meanwhile')
  t.equal(ask(table, 'GET', '/x/unknown'), 'public')

  const dangerous = tableOf({ rules: [wild], dangerouslyPublic: new Set([wild]) }, document)
  t.strictSame(dangerous.conflicts, [])
  t.equal(ask(dangerous, 'GET', '/x/y'), 'public')
  t.equal(ask(dangerous, 'POST', '/x/w'), 'other')
})

t.test('below a protected prefix no public wildcard opens what has no row', async (t) => {
  const wild = operator('/api/**', 'public')
  const document = documentOf(['/api/a', 'secret', 'GET'])
  for (const layer of [{ rules: [wild] }, { rules: [wild], dangerouslyPublic: new Set([wild]) }]) {
    const table = tableOf(layer, document)
    for (const path of ['/api', '/api/b', '/apix']) t.equal(ask(table, 'GET', path), '404', path)
    t.equal(ask(table, 'POST', '/api/a'), '405 GET,HEAD')
  }
  t.equal(
    ask(tableOf({ rules: [operator('/api/b', 'public')] }), 'GET', '/api/b'),
    'public',
    'a name is no wildcard',
  )
})

t.test(
  'a public rule with a parameter opens the route it names, not the static ones beside it',
  async (t) => {
    const table = tableOf(
      { rules: [operator('/u/{id}', 'public', 'GET')] },
      documentOf(['/u/{user}', 'read', 'GET'], ['/u/me', 'me', 'GET'], ['/{x}/me', 'odd', 'GET']),
    )
    t.strictSame(table.conflicts, [])
    t.equal(ask(table, 'GET', '/u/1'), 'public')
    t.equal(ask(table, 'GET', '/u/me'), 'me')
  },
)

t.test('a public region leaves the profile its more exact rows', async (t) => {
  const login = rule('/login', 'public', { origin: 'profile', methods: ['POST'], input: ['basic'] })
  const site = rule('/**', 'public', { origin: 'profile' })
  const wild = { ...operator('/**', 'public'), socket: true }
  const table = tableOf({ rules: [wild] }, { rules: [login, site] })
  const match = table.match('POST', '/login')
  t.strictSame(match.kind === 'rule' && match.rule.input, ['basic'])
  const other = table.match('GET', '/x')
  t.equal(other.kind === 'rule' && other.rule.socket, true)
})

t.test('a closed row answers for its methods and is not advertised', async (t) => {
  const table = tableOf({ rules: [operator('/a', 'closed', 'DELETE')] }, documentOf(['/a', 's', 'GET']))
  t.equal(ask(table, 'DELETE', '/a'), 'closed')
  t.equal(ask(table, 'PUT', '/a'), '405 GET,HEAD')
})

t.test('attack: an escaped delimiter does not slip from a static route to a parameter', async (t) => {
  const table = tableOf(documentOf(['/v1/{name}', 'read', 'POST'], ['/v1/users:purge', 'admin', 'POST']))
  t.equal(ask(table, 'POST', '/v1/users:purge'), 'admin')
  t.equal(ask(table, 'POST', '/v1/users%3Apurge').split(' ').sort().join(' '), 'admin read')
  t.equal(ask(table, 'POST', '/v1/a%2Cb'), 'read')
  t.equal(ask(table, 'GET', '/v1/a%2Cb'), '405 POST')
})

t.test('templates are compared in canonical spelling', async (t) => {
  const table = tableOf(documentOf(['/caf\u00e9/a b', 's', 'GET'], ['/%7Euser//x', 'u', 'GET']))
  t.equal(ask(table, 'GET', '/caf%C3%A9/a%20b'), 's')
  t.equal(ask(table, 'GET', '/~user/x'), 'u')
})

t.test('what is no path has no row', async (t) => {
  const table = tableOf({ rules: [operator('/**', 's')] })
  t.equal(ask(table, 'OPTIONS', '*'), '404')
  t.equal(ask(table, 'GET', '/'), 's')
})

t.test('a template that is none, and a table of nothing but overlaps, are refused', async (t) => {
  t.throws(() => tableOf({ rules: [operator('/a/**/b', 's')] }), { code: 'config_invalid' })
  const many = Array.from({ length: 150 }, (_, i): [string, string, string][] => [
    [`/a${i}/{x}`, 's', 'GET'],
    [`/{x}/b${i}`, 's', 'GET'],
  ])
  t.throws(
    () => tableOf(documentOf(...many.flat())),
    new PosternError('config_invalid', 'too many routes overlap'),
  )
})
