import { once } from 'node:events'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import t from 'tap'
import { WebSocket } from 'ws'
import { freshGateway } from '../support/gateway.ts'
import { as, ask, freshStandin } from '../support/romm/ask.ts'
import type { Received } from '../support/romm/standin.ts'
import { freshMariadb } from '../support/services.ts'
import { fixture, freshLadder, lines, message, RawClient, talk } from './support.ts'

const ladder = await freshLadder(t)
const standin = await freshStandin(t)
const settings = { ...ladder.settings, 'upstream.url': standin.url }
const gateway = await freshGateway(t, settings)
const { port } = gateway

const VERA = { sub: '2', preferred_username: 'vera', role: 'user' }
const rawTokenOf = (name: string): string => as(name)['authorization']?.slice('Bearer '.length) ?? ''
/** A client token in the place of the password. */
const tokenAsPassword = (user: string): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(`${user}:${rawTokenOf('rmm vera all')}`).toString('base64')}`,
})

/** Each way to be Vera, and the one credential that must arrive. */
const MODES = [
  { name: 'a session', mode: 'session', sent: as('session vera'), arrives: as('session vera') },
  { name: 'a password', mode: 'basic', sent: as('basic vera'), arrives: as('basic vera') },
  { name: 'an access token', mode: 'jwt', sent: as('jwt vera all'), arrives: as('jwt vera all') },
  { name: 'a client token', mode: 'token', sent: as('rmm vera all'), arrives: as('rmm vera all') },
  {
    name: 'a client token as password',
    mode: 'token',
    sent: tokenAsPassword('vera'),
    arrives: as('rmm vera all'),
  },
] as const

/** The one request with this id at the backend. @throws unless there is exactly one */
function arrived(id: string | undefined): Received {
  const found = standin.requests.filter((request) => request.headers['x-request-id'] === id)
  const [request] = found
  if (request === undefined || found.length > 1) throw new Error(`${found.length} requests with ${id}`)
  return request
}

/** Values of a header as they stood on the wire. */
function rawValues({ rawHeaders }: Received, name: string): string[] {
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name)
}

const jwks = createLocalJWKSet(
  JSON.parse((await ask(port, '/.well-known/postern/jwks.json')).text) as JSONWebKeySet,
)

async function claimsOf(request: Received): Promise<Readonly<Record<string, unknown>>> {
  const [assertion = '', ...more] = rawValues(request, 'x-postern-assertion')
  if (more.length > 0) throw new Error('several assertions')
  return (await jwtVerify(assertion, jwks, { issuer: 'postern', audience: 'romm', typ: 'postern+jwt' }))
    .payload
}

const SPOOFED = [
  'X-Postern-Assertion: forged',
  'x_postern_assertion: forged',
  'X_Postern-Anything: forged',
  'X-POSTERN-USER: forged',
  'X-Forwarded-For: 192.0.2.66',
  'X_Forwarded_For: 192.0.2.66',
  'X-Forwarded-Proto: https',
  'X-Forwarded-Host: evil.example',
  'X-Forwarded-User: admin',
  'X-Forwarded-Prefix: /evil',
  'Forwarded: for=192.0.2.66',
  'X-Real-Ip: 192.0.2.66',
  'X-Request-Id: forged',
  'X-Http-Method-Override: DELETE',
  'X-Original-Url: /api/users',
  'Remote-User: admin',
  'Connection: X-Postern-Assertion, X-Forwarded-For, X-Mine, keep-alive',
  'X-Mine: dropped, since Connection names it',
  'X-App: kept',
]

for (const { name, mode, sent, arrives } of MODES) {
  t.test(`${name} arrives alone, with who it is, and with nothing that only we may say`, async (t) => {
    const answer = await talk(t, port, message('/api//roms?q=%41%2f&name=a+b', [...SPOOFED, ...lines(sent)]))
    t.equal(answer.status, 200, answer.body)
    const request = arrived(answer.one('x-request-id'))
    t.equal(request.target, '/api/roms?q=%41%2f&name=a+b')
    t.same(rawValues(request, 'authorization'), [arrives['authorization'] ?? []].flat())
    t.same(rawValues(request, 'cookie'), [arrives['cookie'] ?? []].flat())
    t.same(rawValues(request, 'host'), ['games.example'])
    t.same(rawValues(request, 'x-forwarded-for'), ['127.0.0.1'])
    t.same(rawValues(request, 'x-forwarded-proto'), ['http'])
    t.same(rawValues(request, 'x-forwarded-host'), ['games.example'])
    t.same(rawValues(request, 'x-real-ip'), ['127.0.0.1'])
    t.same(rawValues(request, 'x-app'), ['kept'])
    const names = request.rawHeaders.filter((_, i) => i % 2 === 0)
    const ours = names.filter((header) =>
      /^(x.postern|x.forwarded|forwarded|x.real|remote|x.http|x.orig|x.mine)/i.test(header),
    )
    const expected = [
      'X-Forwarded-For',
      'X-Forwarded-Proto',
      'X-Forwarded-Host',
      'X-Real-IP',
      'X-Postern-Assertion',
    ]
    t.same(ours.sort(), expected.sort())
    t.notMatch(request.rawHeaders.join('\n'), /forged|192\.0\.2\.66|evil/)
    const claims = await claimsOf(request)
    t.match(claims, { ...VERA, mode })
    t.match(claims['scope'], /^(?=.*\bme\.read\b)(?=.*\broms\.read\b)/)
    t.notMatch(claims['scope'], /users\.write/)
    const { iat = 0, exp = 0 } = claims as { iat?: number; exp?: number }
    t.ok(exp - iat > 0 && exp - iat <= 60, `${exp - iat} s`)
    t.equal(claims['token_id'], mode === 'token' ? '2' : undefined)
  })

  t.test(`${name} is explained to whoever presents it`, async (t) => {
    const before = standin.requests.length
    const answer = await ask(port, '/-/postern/me', { headers: sent })
    t.equal(answer.status, 200)
    const body = JSON.parse(answer.text) as Record<string, unknown>
    t.match(body, { mode, user: { id: '2', name: 'vera', role: 'user' } })
    t.ok((body['scopes'] as string[]).includes('roms.read'))
    t.equal(typeof body['expires_at'] === 'string', mode === 'jwt')
    t.match(answer.headers, {
      'cache-control': 'no-store',
      vary: 'Authorization, Cookie',
      'content-type': 'application/json',
    })
    t.ok(answer.headers['x-request-id'])
    t.equal(standin.requests.length, before, 'the backend hears nothing of it')
  })
}

for (const { name, mode, sent } of MODES) {
  t.test(`a socket opens for ${name}`, async (t) => {
    standin.forget()
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/socket.io/?EIO=4&transport=websocket`, {
      headers: { ...sent, 'X-Postern-Assertion': 'forged' },
    })
    t.teardown(() => socket.terminate())
    const greeting = once(socket, 'message')
    const [response] = (await once(socket, 'upgrade')) as [{ headers: Record<string, string> }]
    t.ok(response.headers['x-request-id'])
    const [hello] = (await greeting) as [Buffer]
    t.equal((JSON.parse(hello.toString()) as { url: string }).url, '/ws/socket.io/?EIO=4&transport=websocket')
    const request = arrived(response.headers['x-request-id'])
    t.ok(request.upgrade)
    t.match(await claimsOf(request), { ...VERA, mode })
    t.notMatch(request.rawHeaders.join('\n'), /forged/)
    const echo = once(socket, 'message')
    socket.send('40')
    t.equal(String((await echo)[0]), '40')
    const closed = once(socket, 'close')
    socket.close()
    await closed
  })
}

t.test('a token as password must be of the name beside it', async (t) => {
  const answer = await ask(port, '/api/roms', { headers: tokenAsPassword('admin') })
  t.equal(answer.status, 401)
  t.equal(answer.headers['postern-reason'], 'invalid_credential')
})

/** What one and the same token arrives with. */
async function assertionArriving(): Promise<string | undefined> {
  const answer = await ask(port, '/api/roms', { headers: as('rmm vera all') })
  return rawValues(arrived(String(answer.headers['x-request-id'])), 'x-postern-assertion')[0]
}

t.test('an assertion is used again', async (t) => {
  t.equal(await assertionArriving(), await assertionArriving())
})

const SAME_USER = {
  cookie: as('session vera')['cookie'] ?? '',
  authorization: as('rmm vera all')['authorization'] ?? '',
}

t.test('a session and a bearer of the same user: the bearer is used, and the cookie removed', async (t) => {
  const answer = await ask(port, '/api/roms', {
    headers: { ...SAME_USER, cookie: `a=1; ${SAME_USER.cookie}; b=2` },
  })
  t.equal(answer.status, 200)
  const request = arrived(String(answer.headers['x-request-id']))
  t.same(rawValues(request, 'cookie'), ['a=1; b=2'])
  t.same(rawValues(request, 'authorization'), [SAME_USER.authorization])
  t.match(await claimsOf(request), { ...VERA, mode: 'token' })
})

for (const [what, authorization] of [
  ['another user', as('rmm admin all')['authorization']],
  ['a bad token', as('jwt garbage')['authorization']],
  ['a password of the same user', as('basic vera')['authorization']],
] as const) {
  t.test(`a session beside ${what}: the session decides and Authorization is not forwarded`, async (t) => {
    const answer = await ask(port, '/api/roms', {
      headers: { ...as('session vera'), authorization: authorization ?? '' },
    })
    t.equal(answer.status, 200)
    const request = arrived(String(answer.headers['x-request-id']))
    t.same(rawValues(request, 'authorization'), [])
    t.same(rawValues(request, 'cookie'), [as('session vera')['cookie']])
    t.match(await claimsOf(request), { ...VERA, mode: 'session' })
  })
}

t.test('a dead session falls through to Authorization, and does not go on', async (t) => {
  const answer = await ask(port, '/api/roms', { headers: as('session unknown + rmm vera') })
  t.equal(answer.status, 200)
  const request = arrived(String(answer.headers['x-request-id']))
  t.same(rawValues(request, 'cookie'), [])
  t.same(rawValues(request, 'authorization'), [as('rmm vera all')['authorization']])
})

t.test('a dead session is taken from the browser', async (t) => {
  for (const name of ['session unknown', 'session dora', 'session missing user']) {
    const answer = await ask(port, '/api/roms', { headers: as(name) })
    t.equal(answer.status, 401, name)
    t.match(answer.headers['set-cookie']?.[0], /^romm_session=null; path=\/; expires=Thu, 01 Jan 1970/, name)
    t.equal(answer.headers['www-authenticate'], 'Bearer', name)
  }
  const me = await ask(port, '/-/postern/me', { headers: as('session unknown') })
  t.equal(me.status, 401)
  t.match(me.headers['set-cookie']?.[0], /^romm_session=null/)
})

t.test('a session before its login is refused and left in the browser', async (t) => {
  const answer = await ask(port, '/api/roms', { headers: as('session without sub') })
  t.equal(answer.status, 401)
  t.equal(answer.headers['set-cookie'], undefined)
})

t.test('spellings that only the backend would read as a session do not reach it', async (t) => {
  const id = as('session vera')['cookie']?.slice('romm_session='.length) ?? ''
  const octal = `"${id.replace('7', '\\067')}"`
  const read = await talk(t, port, message('/api/roms', [`Cookie: romm_session=${octal}`]))
  t.equal(read.status, 200)
  t.same(rawValues(arrived(read.one('x-request-id')), 'cookie'), [`romm_session=${id}`])
  const several = await talk(
    t,
    port,
    message('/api/roms', ['Cookie: romm_session=first; x=1', `cookie:  romm_session =${id}`]),
  )
  t.equal(several.status, 200)
  t.same(rawValues(arrived(several.one('x-request-id')), 'cookie'), [`x=1; romm_session=${id}`])
  for (const bad of ['Cookie: romm_session=a b"c', 'Authorization: ', 'Authorization: Bearer a b']) {
    const open = await talk(t, port, message('/api/heartbeat', [bad]))
    t.equal(open.status, 200, bad)
    const { rawHeaders } = arrived(open.one('x-request-id'))
    t.notMatch(rawHeaders.join('\n'), /romm_session|authorization/i, bad)
  }
})

t.test('on a public route a bad credential is removed and the request is anonymous', async (t) => {
  const names = [
    'basic wrong password',
    'jwt expired',
    'jwt wrong key',
    'rmm unknown',
    'rmm expired',
    'session unknown',
  ]
  for (const name of names) {
    const answer = await ask(port, '/api/heartbeat', { headers: as(name) })
    t.equal(answer.status, 200, name)
    const { rawHeaders } = arrived(String(answer.headers['x-request-id']))
    t.notMatch(rawHeaders.join('\n'), /romm_session|authorization|x-postern/i, name)
  }
})

t.test('a login takes Basic as its input, good or bad, and with a slash too', async (t) => {
  for (const path of ['/api/login', '/api/login/']) {
    const bad = await ask(port, path, { method: 'POST', headers: as('basic wrong password') })
    t.equal(bad.status, 401)
    t.equal(bad.headers['postern-reason'], undefined, 'RomM said so')
    const good = await ask(port, path, { method: 'POST', headers: as('basic vera') })
    t.equal(good.status, 200)
    t.match(good.headers['set-cookie']?.[0], /^romm_session=/)
  }
})

t.test('conflict: reject answers 400 to two credentials, and resolves nothing', async (t) => {
  const strict = await freshGateway(t, { ...settings, conflict: 'reject' })
  standin.forget()
  const answer = await ask(strict.port, '/api/roms', { headers: SAME_USER })
  t.equal(answer.status, 400)
  t.equal(answer.headers['postern-reason'], 'conflicting_credentials')
  t.match(answer.text, /^\{"detail":"The request carries two credentials\."/)
  const about = await ask(strict.port, '/-/postern/me', { headers: SAME_USER })
  t.equal(about.headers['postern-reason'], 'conflicting_credentials', 'and so says what explains it')
  t.same(standin.requests, [])
  t.equal((await ask(strict.port, '/api/roms', { headers: as('session vera') })).status, 200)
})

t.test('several Authorization headers are refused', async (t) => {
  const answer = await talk(
    t,
    port,
    message('/api/roms', [...lines(as('rmm vera all')), ...lines(as('basic vera'))]),
  )
  t.equal(answer.status, 400)
  t.equal(answer.one('postern-reason'), 'several_credentials')
})

t.test('our own prefix is never forwarded, however it is spelt', async (t) => {
  standin.forget()
  const targets = [
    '/-/postern',
    '/-/postern/',
    '/-/postern/x',
    '/%2d/postern/x',
    '/-/%70ostern/me/',
    '//-//postern//x',
  ]
  for (const target of targets) {
    const answer = await talk(t, port, message(target, lines(as('session admin'))))
    t.equal(answer.status, 404, target)
    t.equal(answer.body, '{"detail":"Not Found"}', target)
  }
  const me = await talk(t, port, message('/%2d/postern/me', lines(as('session admin'))))
  t.equal(me.status, 200, 'the same path in another spelling')
  t.same(standin.requests, [])
})

t.test('our own endpoints know their methods', async (t) => {
  standin.forget()
  for (const path of ['/-/postern/me', '/.well-known/postern/jwks.json']) {
    const head = await talk(t, port, message(path, lines(as('session vera')), 'HEAD'), 'HEAD')
    t.equal(head.status, 200, path)
    t.equal(head.client.rest, '')
    const post = await talk(
      t,
      port,
      message(path, [...lines(as('session vera')), 'Content-Length: 0'], 'POST'),
    )
    t.equal(post.status, 405, path)
    t.equal(post.one('allow'), 'GET, HEAD')
    t.match(post.body, /^\{"detail":"Method Not Allowed"/)
    t.ok(post.one('x-request-id'))
  }
  t.same(standin.requests, [])
})

t.test('nobody is told so by /-/postern/me', async (t) => {
  const nobody = await ask(port, '/-/postern/me')
  t.equal(nobody.status, 401)
  t.equal(nobody.headers['postern-reason'], 'no_credential')
  const bad = await ask(port, '/-/postern/me', { headers: as('rmm unknown') })
  t.equal(bad.status, 401)
  t.equal(bad.headers['www-authenticate'], 'Bearer error="invalid_token"')
})

t.test('the canonical target is what the backend gets, byte for byte', async (t) => {
  const targets = [
    ['//api///roms', '/api/roms'],
    ['/api/roms/1/content/a%2520b%23c%3Fd;e=f', '/api/roms/1/content/a%2520b%23c%3Fd;e=f'],
    ['/api/roms/1/content/%7euser[1]|%c3%a9', '/api/roms/1/content/~user%5B1%5D%7C%C3%A9'],
    ['/%61pi/roms?%61=%2F&b=%2e%2e//x', '/api/roms?%61=%2F&b=%2e%2e//x'],
    ['/api/roms/', '/api/roms/'],
    ['/api/roms?', '/api/roms?'],
    ['http://games.example/api/roms', '/api/roms'],
  ] as const
  for (const [sent, wanted] of targets) {
    const answer = await talk(t, port, message(sent, lines(as('session admin'))))
    t.equal(answer.status, 200, `${sent}: ${answer.body}`)
    t.equal(arrived(answer.one('x-request-id')).target, wanted)
  }
})

t.test('with the URL alone each mode still arrives, and a token is deferred', async (t) => {
  const alone = await freshGateway(t, {
    'upstream.url': standin.url,
    'ask.rate': '1000',
    'ask.ratePerAddress': '1000',
  })
  for (const { name, mode, sent, arrives } of MODES) {
    const answer = await ask(alone.port, '/api/roms', { headers: sent })
    t.equal(answer.status, 200, name)
    const request = arrived(String(answer.headers['x-request-id']))
    t.same(rawValues(request, 'authorization'), [arrives['authorization'] ?? []].flat(), name)
    t.same(rawValues(request, 'cookie'), [arrives['cookie'] ?? []].flat(), name)
    const me = JSON.parse((await ask(alone.port, '/-/postern/me', { headers: sent })).text) as object
    t.match(me, { mode, user: { name: 'vera' }, scopes: mode === 'token' ? null : ['me.read'] }, name)
  }
})

t.test('on MariaDB a name is compared as the database compares it', async (t) => {
  const other = await freshLadder(t, freshMariadb)
  const ours = await freshGateway(t, {
    ...other.settings,
    'upstream.url': standin.url,
  })
  for (const name of ['basic upper-case name', 'jwt upper-case name', 'session upper-case name']) {
    const answer = await ask(ours.port, '/api/roms', { headers: as(name) })
    t.equal(answer.status, 200, name)
  }
  const answer = await ask(ours.port, '/api/roms', { headers: as('session vera') })
  t.equal(answer.status, 200)
})

t.test('nothing secret of any of these is in the log', async (t) => {
  const text = gateway.log.map((line) => JSON.stringify(line)).join('\n')
  t.ok(text.includes('"decision":"permit"'))
  for (const { authorization, cookie } of Object.values(fixture.credentials)) {
    for (const secret of [authorization?.split(' ').at(-1), cookie?.split('=').at(-1)]) {
      if (secret !== undefined && secret.length > 8) t.notOk(text.includes(secret), secret.slice(0, 12))
    }
  }
})

t.test('a connection goes on after each kind of answer', async (t) => {
  const client = await RawClient.open(t, port)
  const statuses: number[] = []
  for (const fields of [lines(as('session vera')), [], lines(as('rmm unknown')), lines(as('basic vera'))]) {
    statuses.push((await client.send(message('/api/roms', fields)).answer()).status)
  }
  t.same(statuses, [200, 401, 401, 200])
})
