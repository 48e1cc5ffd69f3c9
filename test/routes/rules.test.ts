import t from 'tap'
import { describeRequirement } from '../../src/routes/requirement.ts'
import { readRules } from '../../src/routes/rules.ts'
import type { RuleSetting } from '../../src/routes/rules.ts'

const rows = (...settings: RuleSetting[]): unknown => {
  const reading = readRules(settings)
  if (!reading.ok) return reading.problems
  return reading.layer.rules.map((rule) => [
    rule.template,
    rule.methods,
    describeRequirement(rule.requirement),
  ])
}
const problems = (...settings: RuleSetting[]): string[] => {
  const reading = readRules(settings)
  return reading.ok ? [] : reading.problems.map(({ path, message }) => `${path}: ${message}`)
}

t.test('each requirement becomes a row', async (t) => {
  t.strictSame(
    rows(
      { path: '/a', public: true },
      { path: '/b', authenticated: true, methods: ['GET', 'PUT'] },
      { path: '/c', scopes: ['x', 'y'] },
      { path: '/d', closed: true, public: false },
      { path: '/e', scopesByMethod: { GET: ['r'], POST: ['r', 'w'] } },
      { path: '/f/**', dangerouslyPublic: true },
    ),
    [
      ['/a', '*', 'public'],
      ['/b', ['GET', 'PUT'], 'authenticated'],
      ['/c', '*', 'x y'],
      ['/d', '*', 'closed'],
      ['/e', ['GET'], 'r'],
      ['/e', ['POST'], 'r w'],
      ['/f/**', '*', 'public'],
    ],
  )
})

t.test('options are carried, and danger is kept beside the row', async (t) => {
  const reading = readRules([
    { path: '/s', authenticated: true, socket: true, conceal: true, methods: ['GET'] },
  ])
  t.match(reading, { layer: { rules: [{ socket: true, conceal: true, origin: 'operator' }] } })
  const dangerous = readRules([{ path: '/f/**', public: true, dangerouslyPublic: true }])
  t.equal(dangerous.ok && dangerous.layer.dangerouslyPublic?.size, 1)
})

t.test('every problem is reported, with its place', async (t) => {
  t.strictSame(
    problems(
      { path: 'a', public: true },
      { path: '/b' },
      { path: '/c', public: true, scopes: ['x'] },
      { path: '/d/**/e', closed: true },
      { path: '/e', scopes: [], methods: [] },
      { path: '/f', scopes: ['a b', ''], methods: ['get'] },
      { path: '/g', scopesByMethod: { get: [] }, methods: ['GET'] },
      { path: '/h', scopesByMethod: {} },
      { path: '/i', authenticated: true, socket: true, methods: ['POST'] },
      { path: '/j', authenticated: true, dangerouslyPublic: true },
    ),
    [
      'rules[0].path: it does not begin with /',
      'rules[1]: exactly one of public, authenticated, scopes, scopesByMethod, closed is needed; none is given',
      'rules[2]: exactly one of public, authenticated, scopes, scopesByMethod, closed is needed; public and scopes are given',
      'rules[3].path: ** stands alone, at the end',
      'rules[4].methods: leave it out to speak for every method',
      'rules[4].scopes: no scope is named; say authenticated to let any good credential pass',
      'rules[5].methods: get is no method; methods are written in capitals',
      'rules[5].scopes: "a b" is no scope',
      'rules[5].scopes: "" is no scope',
      'rules[6].methods: scopesByMethod names the methods already',
      'rules[6].scopesByMethod: get is no method; methods are written in capitals',
      'rules[6].scopesByMethod.get: no scope is named; say authenticated to let any good credential pass',
      'rules[7].scopesByMethod: no method is named',
      'rules[8].socket: a socket opens with GET',
      'rules[9]: exactly one of public, authenticated, scopes, scopesByMethod, closed is needed; authenticated and public are given',
    ],
  )
})

t.test('two rules for one route are a problem that names both', async (t) => {
  t.strictSame(
    problems(
      { path: '/a/{x}', public: true, methods: ['GET', 'PUT'] },
      { path: '/a/*/', closed: true, methods: ['PUT'] },
      { path: '/a/*', closed: true },
      { path: '/a/{y}', authenticated: true },
    ),
    [
      'rules[1].path: rules[0] already speaks for PUT of /a/{}',
      'rules[3].path: rules[2] already speaks for every method of /a/{}',
    ],
  )
})
