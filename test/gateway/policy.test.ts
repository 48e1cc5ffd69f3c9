import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import { freshGateway, type TestGateway } from '../support/gateway.ts'
import { as, ask, freshStandin } from '../support/romm/ask.ts'
import { readJwt } from '../support/romm/jwt.ts'
import type { Received } from '../support/romm/standin.ts'
import { fixture, freshLadder, isRefusal, lines, message, type RawAnswer, talk } from './support.ts'

const ladder = await freshLadder(t)
// It shows what its secret is good for: nothing is signed with one that is not proven to be RomM's.
const standin = await freshStandin(t, { csrf: true })

const gatewayWith = (t: Test, more: Record<string, string>, text?: string): Promise<TestGateway> =>
  freshGateway(
    t,
    { ...ladder.settings, 'upstream.url': standin.url, ...more },
    text === undefined ? {} : { text },
  )

/** Asks, and finds what arrived at the backend. */
async function send(
  t: Test,
  { port }: TestGateway,
  target: string,
  fields: readonly string[] = [],
  method = 'GET',
): Promise<{ answer: RawAnswer; arrived: Received | undefined }> {
  const answer = await talk(t, port, message(target, fields, method), method)
  const id = answer.one('x-request-id')
  return { answer, arrived: standin.requests.find(({ headers }) => headers['x-request-id'] === id) }
}

/** Verifies an assertion against the keys that the gateway shows. */
async function claimsOf(
  { port }: TestGateway,
  assertion: unknown,
): Promise<Readonly<Record<string, unknown>>> {
  const keys = JSON.parse((await ask(port, '/.well-known/postern/jwks.json')).text) as JSONWebKeySet
  return (await jwtVerify(String(assertion), createLocalJWKSet(keys))).payload
}

const MODES = ['session vera', 'basic vera', 'jwt vera all', 'rmm vera all']

t.test(
  'strip: no credential goes on, who it was does, and the backend sets no cookie that authenticates',
  async (t) => {
    const gateway = await gatewayWith(t, { 'upstream.credentials': 'strip' })
    const cookies = [
      'theme=dark; path=/',
      'romm_session=evil; path=/',
      ' romm_session =evil',
      '=romm_session=evil',
      'not_romm_session=kept',
    ]
    standin.intercept = ({ url }, response) => {
      if (url !== '/api/roms') return false
      response.writeHead(
        200,
        [['Content-Length', '2'], ...cookies.map((cookie) => ['Set-Cookie', cookie])].flat(),
      )
      response.end('ok')
      return true
    }
    t.teardown(() => (standin.intercept = undefined))
    for (const name of MODES) {
      const { answer, arrived } = await send(t, gateway, '/api/roms', ['X-App: 1', ...lines(as(name))])
      t.equal(answer.status, 200, name)
      t.equal(arrived?.headers.authorization, undefined)
      t.equal(arrived?.headers.cookie, undefined)
      t.match(await claimsOf(gateway, arrived?.headers['x-postern-assertion']), { sub: '2' })
      t.same(answer.all('set-cookie'), ['theme=dark; path=/', 'not_romm_session=kept'])
    }
    const { arrived } = await send(t, gateway, '/api/roms', [
      `Cookie: a=1; ${as('session vera')['cookie'] ?? ''}; b=2`,
    ])
    t.equal(arrived?.headers.cookie, 'a=1; b=2')
  },
)

t.test('a backend that says what only the gateway says is not heard', async (t) => {
  const gateway = await gatewayWith(t, {})
  standin.intercept = ({ url }, response) => {
    if (url !== '/api/heartbeat') return false
    response.writeHead(404, { 'X-Request-ID': 'theirs', 'postern-reason': 'no_route', 'X-Theirs': 'kept' })
    response.end('{"detail":"no such game"}')
    return true
  }
  t.teardown(() => (standin.intercept = undefined))
  const heard = await talk(t, gateway.port, message('/api/heartbeat'))
  t.match(heard.one('x-request-id'), /^[0-9a-f-]{36}$/)
  t.equal(heard.one('postern-reason'), undefined)
  t.equal(heard.one('x-theirs'), 'kept')
})

t.test(
  'translate: a password becomes an access token of RomM for a minute; nothing else changes',
  async (t) => {
    const gateway = await gatewayWith(t, { 'upstream.credentials': 'translate' })
    const { answer, arrived } = await send(t, gateway, '/api/users/me', lines(as('basic upper-case name')))
    t.equal(answer.status, 200)
    t.match(JSON.parse(answer.body), { username: 'vera' }, 'RomM takes it')
    const token = arrived?.headers.authorization?.replace(/^Bearer /, '') ?? ''
    const claims = readJwt(token, fixture.secret, Date.now() / 1_000)
    t.match(claims, { sub: 'vera', iss: 'romm:oauth', type: 'access' })
    t.ok(Number(claims?.['exp']) <= Date.now() / 1_000 + 60)
    t.match(await claimsOf(gateway, arrived?.headers['x-postern-assertion']), { sub: '2', mode: 'basic' })
    for (const name of ['session vera', 'jwt vera all', 'rmm vera all']) {
      const other = await send(t, gateway, '/api/roms', lines(as(name)))
      t.same(
        [other.arrived?.headers.authorization, other.arrived?.headers.cookie],
        [as(name)['authorization'], as(name)['cookie']],
        name,
      )
    }
    const login = await send(
      t,
      gateway,
      '/api/login',
      ['Content-Length: 0', ...lines(as('basic vera'))],
      'POST',
    )
    t.equal(login.arrived?.headers.authorization, as('basic vera')['authorization'], 'a login’s own input')
    t.ok(login.answer.all('set-cookie').some((cookie) => cookie.startsWith('romm_session=')))
    const bad = await send(t, gateway, '/api/roms', lines(as('basic wrong password')))
    isRefusal(t, bad.answer, 401, 'invalid_credential')
  },
)

t.test('an assertion bound to its request says which, and is used once', async (t) => {
  const gateway = await gatewayWith(t, { 'assertion.bindRequest': 'true', 'assertion.lifetime': '5s' })
  const seen: unknown[] = []
  for (const [method, target] of [
    ['GET', '/api/roms?x=1'],
    ['GET', '/api/roms?x=1'],
    ['DELETE', '/api/client-tokens/%32'],
  ] as const) {
    const { arrived } = await send(t, gateway, target, lines(as('rmm vera all')), method)
    const claims = await claimsOf(gateway, arrived?.headers['x-postern-assertion'])
    const [path = ''] = (arrived?.target ?? '').split('?')
    t.match(claims, { htm: method, htu: `http://games.example${path}` })
    t.ok(Number(claims['exp']) - Number(claims['iat']) <= 5)
    seen.push(claims['jti'])
  }
  t.equal(new Set(seen).size, 3)
})

t.test('the assertion’s header and algorithm are the operator’s choice', async (t) => {
  const gateway = await gatewayWith(t, {
    'assertion.header': 'X-Who',
    'assertion.algorithm': 'ES256',
    'assertion.issuer': 'door',
    'assertion.audience': 'games',
  })
  const { arrived } = await send(t, gateway, '/api/roms', [
    'x_who: forged',
    'X-Who: forged',
    ...lines(as('rmm vera all')),
  ])
  t.notMatch(arrived?.rawHeaders.join('\n'), /forged/)
  t.equal(decodeProtectedHeader(String(arrived?.headers['x-who'])).alg, 'ES256')
  t.match(await claimsOf(gateway, arrived?.headers['x-who']), { iss: 'door', aud: 'games', sub: '2' })
})

t.test('plain headers, where they are wanted, are ours alone', async (t) => {
  const gateway = await gatewayWith(t, { 'assertion.plainHeaders': 'true' })
  const forged = ['X-Forwarded-User: admin', 'x_forwarded_groups: admin', 'X-Forwarded-Scopes: users.write']
  const { arrived } = await send(t, gateway, '/api/roms', [...forged, ...lines(as('rmm vera all'))])
  t.match(arrived?.headers, {
    'x-forwarded-user': 'vera',
    'x-forwarded-groups': 'user',
    'x-forwarded-scopes': /roms\.read/,
  })
  t.notMatch(arrived?.rawHeaders.join('\n'), /admin|users\.write/)
  const nobody = await send(t, gateway, '/api/heartbeat', forged)
  t.equal(nobody.answer.status, 200)
  t.notMatch(nobody.arrived?.rawHeaders.join('\n'), /forwarded-(?:user|groups|scopes)/i)
})

t.test('assertions off: none is sent, no key is shown, and nobody else’s passes', async (t) => {
  const gateway = await gatewayWith(t, { 'assertion.enabled': 'false' })
  const { arrived } = await send(t, gateway, '/api/roms', [
    'X-Postern-Assertion: forged',
    ...lines(as('rmm vera all')),
  ])
  t.equal(arrived?.headers['x-postern-assertion'], undefined)
  isRefusal(t, (await send(t, gateway, '/.well-known/postern/jwks.json')).answer, 404, 'no_route')
  t.equal((await ask(gateway.port, '/-/postern/me', { headers: as('rmm vera all') })).status, 200)
})

t.test('a scope brings others with it only where the operator says so', async (t) => {
  const plain = await gatewayWith(t, {})
  isRefusal(
    t,
    (await send(t, plain, '/api/users', lines(as('rmm admin users.write')))).answer,
    403,
    'insufficient_scope',
  )
  const wide = await gatewayWith(
    t,
    {},
    'scopes: { implies: { users.write: [users.read], users.read: [me.read] } }',
  )
  const { answer, arrived } = await send(t, wide, '/api/users', lines(as('rmm admin users.write')))
  t.equal(answer.one('postern-reason'), undefined, 'RomM itself refuses')
  const { scope } = await claimsOf(wide, arrived?.headers['x-postern-assertion'])
  t.same(String(scope).split(' ').sort(), ['me.read', 'users.read', 'users.write'])
})

const RULES = `
rules:
  - { path: '/api/open/**', public: true }
  - { path: '/downloads/**', public: true }
  - { path: '/api/mine/*', authenticated: true }
  - { path: '/api/mine/{id}/files/**', scopes: [assets.read, assets.write] }
  - { path: '/api/things/{id}', scopesByMethod: { GET: [roms.read], DELETE: [users.write] } }
  - { path: '/api/only', methods: [PUT], public: true }
  - { path: '/api/stats', closed: true }
  - { path: '/api/roms/**', dangerouslyPublic: true, methods: [GET] }
  - { path: '/ws/**', authenticated: true, socket: true }
`

/** Status and reason; the reason is missing when the backend answered. */
async function told(t: Test, gateway: TestGateway, line: string, name: string): Promise<string> {
  const [method = '', target = ''] = line.split(' ')
  const { answer, arrived } = await send(
    t,
    gateway,
    target,
    [...lines(as(name)), 'Content-Length: 0'],
    method,
  )
  const reason = answer.one('postern-reason')
  t.equal(reason === undefined, arrived !== undefined, `${line} as ${name}: forwarded or not`)
  return reason ?? 'forwarded'
}

t.test('the operator’s rules come first, each of its kind', async (t) => {
  const gateway = await gatewayWith(t, {}, RULES)
  const expected: readonly (readonly [string, string, string])[] = [
    ['GET /downloads', 'anonymous', 'forwarded'],
    ['POST /downloads/a/b', 'anonymous', 'forwarded'],
    ['GET /downloads/a', 'rmm unknown', 'forwarded'],
    // Below what the backend protects, nothing is public by wildcard.
    ['GET /api/open/a', 'anonymous', 'no_route'],
    ['GET /api/mine/1', 'anonymous', 'no_credential'],
    ['GET /api/mine/1/', 'rmm vera all', 'forwarded'],
    ['GET /api/mine', 'rmm vera all', 'no_route'],
    ['GET /api/mine/1/2', 'rmm vera all', 'no_route'],
    ['GET /api/mine/1/files/x/y', 'rmm vera all', 'forwarded'],
    ['GET /api/mine/1/files/x', 'rmm admin assets.read', 'insufficient_scope'],
    ['GET /api/things/1', 'rmm admin roms.read', 'forwarded'],
    ['HEAD /api/things/1', 'rmm admin roms.read', 'forwarded'],
    ['DELETE /api/things/1', 'rmm admin roms.read', 'insufficient_scope'],
    ['DELETE /api/things/1', 'rmm admin all', 'forwarded'],
    ['PUT /api/things/1', 'rmm admin all', 'method_not_allowed'],
    ['PUT /api/only', 'anonymous', 'forwarded'],
    ['GET /api/only', 'anonymous', 'method_not_allowed'],
    ['GET /api/stats', 'rmm admin all', 'no_route'],
    ['GET /api/roms', 'anonymous', 'forwarded'],
    ['GET /api/roms/1', 'anonymous', 'forwarded'],
    ['DELETE /api/roms/1', 'anonymous', 'method_not_allowed'],
    ['GET /api/users', 'anonymous', 'no_credential'],
  ]
  for (const [line, name, reason] of expected)
    t.equal(await told(t, gateway, line, name), reason, `${line} as ${name}`)
})

t.test('a public wildcard over protected routes stops the start', async (t) => {
  await t.rejects(gatewayWith(t, {}, "rules: [{ path: '/api/**', public: true }]"), {
    code: 'config_invalid',
    message: /\/api\/\*\* is public and covers .* dangerouslyPublic/,
  })
})

const forwardedOf = (arrived: Received | undefined): Record<string, unknown> => {
  const { headers = {} } = arrived ?? {}
  return {
    for: headers['x-forwarded-for'],
    proto: headers['x-forwarded-proto'],
    host: headers['x-forwarded-host'],
    real: headers['x-real-ip'],
  }
}

const CHAIN = [
  'X-Forwarded-For: 192.0.2.66, 198.51.100.7',
  'X-Forwarded-For: 10.0.0.9:1234',
  'X-Forwarded-Proto: http, https',
  'X-Forwarded-Host: other.example',
  'X-Real-Ip: 192.0.2.66',
  'Forwarded: for=192.0.2.66;proto=http',
]

t.test('of a chain of proxies, what trusted ones say is believed, and no more', async (t) => {
  const gateway = await gatewayWith(t, {}, 'trustedProxies: [127.0.0.1, 10.0.0.0/8]')
  const { arrived } = await send(t, gateway, '/api/heartbeat', CHAIN)
  t.same(forwardedOf(arrived), {
    for: '198.51.100.7, 10.0.0.9, 127.0.0.1',
    proto: 'https',
    host: 'games.example',
    real: '198.51.100.7',
  })
  const plain = await send(t, gateway, '/api/heartbeat')
  t.same(forwardedOf(plain.arrived), {
    for: '127.0.0.1',
    proto: 'http',
    host: 'games.example',
    real: '127.0.0.1',
  })
  t.equal(gateway.log.at(-2)?.['client'], '198.51.100.7')
  t.notOk(gateway.log.some(({ level }) => Number(level) >= 40))
})

t.test('a proxy by its name, and private ones by a word', async (t) => {
  for (const trusted of ['localhost', 'private']) {
    const gateway = await gatewayWith(t, {}, `trustedProxies: [${trusted}]`)
    const { arrived } = await send(t, gateway, '/api/heartbeat', ['X-Forwarded-For: 198.51.100.7'])
    t.equal(arrived?.headers['x-forwarded-for'], '198.51.100.7, 127.0.0.1', trusted)
  }
})

t.test('an untrusted peer is not believed, and one line says what to add', async (t) => {
  const gateway = await gatewayWith(t, {})
  for (let i = 0; i < 3; i++) {
    const { arrived } = await send(t, gateway, '/api/heartbeat', CHAIN)
    t.same(forwardedOf(arrived), {
      for: '127.0.0.1',
      proto: 'http',
      host: 'games.example',
      real: '127.0.0.1',
    })
  }
  const warnings = gateway.log.filter(({ msg }) => String(msg).includes('X-Forwarded-For'))
  t.equal(warnings.length, 1)
  t.match(warnings[0]?.['msg'], /^127\.0\.0\.1 .*add: trustedProxies: \[127\.0\.0\.1\]$/)
})

const HANDSHAKE = [
  ...['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'],
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ...lines(as('session vera')),
]

t.test('behind a proxy that ends TLS, our own pages open sockets', async (t) => {
  const trusting = await gatewayWith(t, {}, 'trustedProxies: [127.0.0.1]')
  const named = await gatewayWith(t, { publicUrl: 'https://games.example' })
  const origin = 'Origin: https://games.example'
  for (const [gateway, fields] of [
    [trusting, [origin, 'X-Forwarded-Proto: https', 'X-Forwarded-For: 198.51.100.7']],
    [named, [origin]],
  ] as const) {
    const answer = await talk(t, gateway.port, message('/ws/socket.io/', [...HANDSHAKE, ...fields]))
    t.equal(answer.status, 101)
    const evil = await talk(
      t,
      gateway.port,
      message('/ws/socket.io/', [...HANDSHAKE, 'Origin: https://evil.example']),
    )
    isRefusal(t, evil, 403, 'foreign_origin')
  }
})
