import type { IncomingMessage, ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import { freshGateway, type TestGateway } from '../support/gateway.ts'
import { as, ask, freshStandin } from '../support/romm/ask.ts'
import { type Standin, startStandin } from '../support/romm/standin.ts'
import { ASK_FREELY, fixture, isRefusal, lines, message, type RawAnswer, RawClient, talk } from './support.ts'

const standin = await freshStandin(t)
const settings = { ...ASK_FREELY, 'upstream.url': standin.url, 'romm.secret': fixture.secret }
const RULES = `
rules:
  - { path: '/api/hidden/{id}', methods: [GET, DELETE], authenticated: true, conceal: true }
  - { path: '/api/hidden/{id}/all', scopes: [users.write], conceal: true }
  - { path: '/api/gone', closed: true }
`
const gateway = await freshGateway(t, settings, { text: RULES })
const { port } = gateway

const REFUSALS = [
  { what: 'an ambiguous target', status: 400, reason: 'ambiguous_target', bytes: message('/api/../roms') },
  { what: 'nobody', status: 401, reason: 'no_credential', bytes: message('/api/roms') },
  {
    what: 'a bad credential',
    status: 401,
    reason: 'invalid_credential',
    bytes: message('/api/roms', lines(as('rmm unknown'))),
  },
  {
    what: 'a missing scope',
    status: 403,
    reason: 'insufficient_scope',
    bytes: message('/api/users', lines(as('jwt vera all'))),
  },
  { what: 'an unknown path', status: 404, reason: 'no_route', bytes: message('/api/unknown') },
  { what: 'a closed rule', status: 404, reason: 'no_route', bytes: message('/api/gone') },
  { what: 'a closed folder', status: 404, reason: 'no_route', bytes: message('/assets/romm/assets/u/x.sav') },
  {
    what: 'another method',
    status: 405,
    reason: 'method_not_allowed',
    bytes: message('/api/heartbeat', ['Content-Length: 0'], 'POST'),
  },
  {
    what: 'an expectation of something else',
    status: 417,
    reason: 'expectation_failed',
    bytes: message('/api/heartbeat', ['Expect: a miracle']),
  },
  {
    what: 'headers without end',
    status: 431,
    reason: 'headers_too_large',
    bytes: message('/api/heartbeat', [`X-Long: ${'x'.repeat(20_000)}`]),
  },
] as const

for (const { what, status, reason, bytes } of REFUSALS) {
  t.test(`${what} is answered with ${status}, in JSON, and nothing reaches the backend`, async (t) => {
    standin.forget()
    isRefusal(t, await talk(t, port, bytes), status, reason)
    t.same(
      standin.requests.filter(({ target }) => target !== '/api/users/me'),
      [],
    )
  })
}

t.test('a 401 says how to authenticate, and never Basic', async (t) => {
  const challenges: Record<string, string | undefined> = {}
  for (const name of ['rmm unknown', 'jwt expired', 'basic wrong password', 'session unknown', 'anonymous']) {
    challenges[name] = (await talk(t, port, message('/api/roms', lines(as(name))))).one('www-authenticate')
  }
  t.same(challenges, {
    'rmm unknown': 'Bearer error="invalid_token"',
    'jwt expired': 'Bearer error="invalid_token"',
    'basic wrong password': 'Bearer',
    'session unknown': 'Bearer',
    anonymous: 'Bearer',
  })
})

t.test('a 403 names the scopes that are required and missing', async (t) => {
  const answer = await talk(t, port, message('/api/users', lines(as('jwt vera all'))))
  t.equal(answer.one('www-authenticate'), 'Bearer error="insufficient_scope", scope="users.read"')
  t.match(JSON.parse(answer.body), { detail: 'Forbidden', required: ['users.read'], missing: ['users.read'] })
})

t.test('a 405 names the methods', async (t) => {
  const heartbeat = await talk(t, port, message('/api/heartbeat', ['Content-Length: 0'], 'PUT'))
  t.equal(heartbeat.one('allow'), 'GET, HEAD')
  const users = await talk(t, port, message('/api/users/7/', [], 'PATCH'))
  t.equal(users.status, 405)
  t.match(users.one('allow'), /DELETE, GET, HEAD, PUT/)
})

t.test('an answer to HEAD has no body, and says how long one would be', async (t) => {
  const client = await RawClient.open(t, port)
  for (const [target, status] of [
    ['/api/roms', 401],
    ['/api/unknown', 404],
    ['/api/../x', 400],
  ] as const) {
    const answer = await client.send(message(target, [], 'HEAD')).answer('HEAD')
    t.equal(answer.status, status)
    t.ok(Number(answer.one('content-length')) > 0)
    t.equal(client.rest, '')
  }
  const forwarded = await client.send(message('/api/heartbeat', [], 'HEAD')).answer('HEAD')
  t.equal(forwarded.one('postern-reason'), undefined, 'it is checked as GET, and RomM answers')
})

/** As bytes, but for what differs from answer to answer. */
const anonymised = ({ head, body }: RawAnswer): string =>
  `${head}\r\n\r\n${body}`.replace(/^(X-Request-Id|Date): .*$/gim, '$1')

const PREFLIGHT = ['Origin: https://app.example', 'Access-Control-Request-Method: GET']
const ATTEMPTS = [
  { what: 'nobody', fields: [] },
  { what: 'a bad token', fields: lines(as('rmm unknown')) },
  { what: 'a dead session', fields: lines(as('session unknown')) },
  { what: 'two tokens', fields: [...lines(as('rmm unknown')), ...lines(as('rmm unknown'))] },
  { what: 'another method', fields: ['Content-Length: 0'], method: 'POST' },
  { what: 'HEAD', fields: [], method: 'HEAD' },
  { what: 'a preflight', fields: PREFLIGHT, method: 'OPTIONS' },
  { what: 'whoever lacks the scope', fields: lines(as('jwt vera all')), path: '/api/hidden/7/all' },
  { what: 'a preflight for any method', fields: PREFLIGHT, method: 'OPTIONS', path: '/api/hidden/7/all' },
] as const

for (const { what, fields, ...rest } of ATTEMPTS) {
  t.test(`to ${what} a concealed route is a path that does not exist, to the byte`, async (t) => {
    const method = 'method' in rest ? rest.method : 'GET'
    const path = 'path' in rest ? rest.path : '/api/hidden/7'
    const hidden = await talk(t, port, message(path, fields, method), method)
    const unknown = await talk(t, port, message(path.replace('hidden', 'hiddem'), fields, method), method)
    t.equal(hidden.status, 404)
    t.equal(anonymised(hidden), anonymised(unknown))
  })
}

t.test('a concealed route is there for whoever may pass', async (t) => {
  const answer = await talk(t, port, message('/api/hidden/7', lines(as('jwt vera all'))))
  t.equal(answer.one('postern-reason'), undefined, 'the backend answered')
})

t.test('a preflight is forwarded without a credential, on a path that is known', async (t) => {
  standin.forget()
  const fields = [...PREFLIGHT, ...lines(as('session admin')), ...lines(as('rmm admin all'))]
  const answer = await talk(t, port, message('/api/roms', fields, 'OPTIONS'))
  t.equal(answer.status, 200)
  t.equal(answer.one('access-control-allow-origin'), 'https://app.example')
  t.match(answer.one('access-control-allow-methods'), /GET/)
  t.notMatch(standin.requests[0]?.rawHeaders.join('\n'), /romm_session|authorization/i)
  const unknown = await talk(t, port, message('/api/unknown', PREFLIGHT, 'OPTIONS'))
  t.equal(unknown.status, 404)
})

t.test(
  'a refusal repeats the CORS headers that the backend sent to that origin, and to no other',
  async (t) => {
    const fresh = await freshGateway(t, settings)
    const refusalTo = (origin: string): Promise<RawAnswer> =>
      talk(t, fresh.port, message('/api/roms', [`Origin: ${origin}`]))
    t.equal((await refusalTo('https://app.example')).one('access-control-allow-origin'), undefined)
    await talk(t, fresh.port, message('/api/heartbeat', ['Origin: https://app.example']))
    const known = await refusalTo('https://app.example')
    t.equal(known.status, 401)
    t.equal(known.one('access-control-allow-origin'), 'https://app.example')
    t.equal(known.one('access-control-allow-credentials'), 'true')
    t.equal((await refusalTo('https://other.example')).one('access-control-allow-origin'), undefined)
  },
)

t.test('cors: own answers preflights here, and replaces what the backend says', async (t) => {
  const own = await freshGateway(t, settings, {
    text: "cors: { mode: own, origins: ['https://app.example'], credentials: true, headers: [X-App], maxAge: 1m }\nrules: [{ path: /api/any, public: true }]",
  })
  standin.forget()
  const preflight = await talk(t, own.port, message('/api/roms', PREFLIGHT, 'OPTIONS'))
  t.equal(preflight.status, 204)
  t.equal(preflight.one('access-control-allow-origin'), 'https://app.example')
  t.equal(preflight.one('access-control-allow-credentials'), 'true')
  t.equal(preflight.one('access-control-allow-headers'), 'X-App')
  t.equal(preflight.one('access-control-max-age'), '60')
  t.same(standin.requests, [])
  const me = ['Origin: https://app.example', ...lines(as('rmm vera all'))]
  t.equal((await talk(t, own.port, message('/-/postern/me', PREFLIGHT, 'OPTIONS'))).status, 204)
  const readable = await talk(t, own.port, message('/-/postern/me', me))
  t.equal(readable.one('access-control-allow-origin'), 'https://app.example')
  standin.forget()
  await talk(t, own.port, message('/api/any', ['Origin: https://app.example'], 'OPTIONS'))
  t.equal(standin.requests[0]?.method, 'OPTIONS', 'any other OPTIONS is the backend’s to answer')
  const foreign = PREFLIGHT.map((line) => line.replace('app.', 'evil.'))
  const refused = await talk(t, own.port, message('/api/roms', foreign, 'OPTIONS'))
  t.equal(refused.one('access-control-allow-origin'), undefined)
  const forwarded = await talk(t, own.port, message('/api/heartbeat', ['Origin: https://evil.example']))
  t.equal(forwarded.status, 200)
  t.equal(forwarded.one('access-control-allow-origin'), undefined)
  const denied = await talk(t, own.port, message('/api/roms', ['Origin: https://app.example']))
  t.equal(denied.status, 401)
  t.equal(denied.one('access-control-allow-origin'), 'https://app.example')
})

for (const version of ['5.1.0', '4.9.2']) {
  t.test(`RomM ${version} says 403 to whoever is nobody, and so do we`, async (t) => {
    const old = await freshStandin(t, { version })
    const ours = await freshGateway(t, { ...ASK_FREELY, 'upstream.url': old.url })
    for (const name of ['anonymous', 'rmm unknown', 'session unknown']) {
      const theirs = await ask(old.port, '/api/roms', { headers: as(name) })
      const answer = await talk(t, ours.port, message('/api/roms', lines(as(name))))
      t.equal(theirs.status, 403)
      t.equal(answer.status, 403, name)
      t.match(answer.body, /^\{"detail":"Forbidden"/)
      t.match(answer.one('postern-reason'), /no_credential|invalid_credential/)
    }
    t.equal((await ask(ours.port, '/api/roms', { headers: as('jwt vera all') })).status, 200)
    t.equal((await ask(ours.port, '/api/users', { headers: as('session vera') })).status, 403)
  })
}

t.test('a backend that is down is 502, one that is too slow 504, and neither is 401', async (t) => {
  const own = await startStandin()
  t.teardown(() => own.close())
  const ours = await freshGateway(t, {
    ...ASK_FREELY,
    'upstream.url': own.url,
    'upstream.headersTimeout': '200ms',
  })
  own.intercept = (request) => request.url === '/'
  isRefusal(t, await talk(t, ours.port, message('/')), 504, 'upstream_timeout')
  await own.close()
  isRefusal(t, await talk(t, ours.port, message('/')), 502, 'upstream_unreachable')
  isRefusal(t, await talk(t, ours.port, message('/api/heartbeat')), 502, 'upstream_unreachable')
  const names = ['session vera', 'basic vera', 'jwt vera all', 'rmm vera all']
  for (const name of names) {
    isRefusal(t, await talk(t, ours.port, message('/api/roms', lines(as(name)))), 503, 'could_not_check')
  }
  const me = await talk(t, ours.port, message('/-/postern/me', lines(as('rmm vera all'))))
  isRefusal(t, me, 503, 'could_not_check')
})

t.test('a question too many is 503 for a new credential, and nothing for a known one', async (t) => {
  const ours = await freshGateway(t, { 'upstream.url': standin.url, 'ask.ratePerAddress': '1' })
  t.equal((await ask(ours.port, '/api/roms', { headers: as('rmm vera all') })).status, 200)
  const tokens = ['rmm unknown', 'rmm admin all', 'rmm gus all', 'rmm ovid all']
  const answers = await Promise.all(
    tokens.map((name) => talk(t, ours.port, message('/api/roms', lines(as(name))))),
  )
  const refused = answers.find(({ status }) => status === 503)
  t.ok(refused)
  if (refused !== undefined) isRefusal(t, refused, 503, 'could_not_check')
  t.equal((await ask(ours.port, '/api/roms', { headers: as('rmm vera all') })).status, 200)
})

/** A gateway before a backend of its own, which may be replaced by another one at the same address. */
async function restartable(
  t: Test,
): Promise<{ ours: TestGateway; restart: (as: Partial<Standin>) => Promise<Standin> }> {
  let current = await startStandin()
  t.teardown(() => current.close())
  const ours = await freshGateway(t, { ...ASK_FREELY, 'upstream.url': current.url })
  const { port: same } = current
  const restart = async (changes: Partial<Standin>): Promise<Standin> => {
    await current.close()
    const away = await ask(ours.port, '/api/heartbeat')
    t.equal(away.status, 502)
    current = Object.assign(await startStandin({ port: same }), changes)
    return current
  }
  return { ours, restart }
}

const DOCUMENT = JSON.stringify({
  openapi: '3.1.0',
  info: { title: 'RomM', version: '5.3.0' },
  paths: { '/api/brand-new': { get: { responses: {} } } },
})

/** Serves another document than RomM's. */
const documentOf =
  (status: number, text: string) =>
  ({ url }: IncomingMessage, response: ServerResponse): boolean => {
    if (url !== '/openapi.json') return false
    response.writeHead(status, { 'content-type': 'application/json' }).end(text)
    return true
  }

t.test('after a restart of the backend, its document is read again before a 404 or 405', async (t) => {
  const { ours, restart } = await restartable(t)
  t.equal((await ask(ours.port, '/api/brand-new')).status, 404)
  const next = await restart({ intercept: documentOf(200, DOCUMENT) })
  const answers = await Promise.all(
    ['/api/brand-new', '/api/brand-new/', '/api/unknown', '/api/roms'].map((path) => ask(ours.port, path)),
  )
  t.equal(answers[0]?.headers['postern-reason'], undefined, 'forwarded: the new document has it')
  t.equal(answers[1]?.headers['postern-reason'], undefined)
  t.equal(answers[2]?.status, 404)
  t.equal(next.requests.filter(({ target }) => target === '/openapi.json').length, 1, 'read once for all')
  t.equal((await ask(ours.port, '/api/roms')).status, 404, 'the new document has it no more')
  t.equal((await ask(ours.port, '/api/brand-new', { method: 'DELETE' })).status, 405)
})

t.test('while the document cannot be read after a restart, an unknown path is 503', async (t) => {
  const { ours, restart } = await restartable(t)
  for (const [status, text] of [
    [404, '{}'],
    [200, '<html>'],
    [200, '{"openapi":"3.1.0"'],
  ] as const) {
    await restart({ intercept: documentOf(status, text) })
    isRefusal(t, await talk(t, ours.port, message('/api/unknown')), 503, 'route_table_unavailable')
    isRefusal(
      t,
      await talk(t, ours.port, message('/api/heartbeat', [], 'DELETE')),
      503,
      'route_table_unavailable',
    )
    t.equal((await ask(ours.port, '/api/heartbeat')).status, 200, 'what is known goes on')
  }
  await restart({})
  t.equal((await ask(ours.port, '/api/unknown')).status, 404)
})

t.test('first run: closed to strangers, and the refusal says so', async (t) => {
  const empty = await freshStandin(t, { users: false })
  const ours = await freshGateway(t, { ...ASK_FREELY, 'upstream.url': empty.url })
  for (const [method, path] of [
    ['POST', '/api/users'],
    ['GET', '/api/setup/library'],
    ['POST', '/api/setup/platforms'],
    ['POST', '/api/users/invite-link'],
  ] as const) {
    const answer = await ask(ours.port, path, { method })
    t.equal(answer.status, 401, path)
    t.match((JSON.parse(answer.text) as { hint?: string }).hint, /firstRun: open/)
  }
})

t.test('first run: open while there is no admin, and closes by itself', async (t) => {
  const empty = await freshStandin(t, { users: false })
  const ours = await freshGateway(t, { ...ASK_FREELY, 'upstream.url': empty.url, 'romm.firstRun': 'open' })
  t.equal((await ask(ours.port, '/api/setup/library')).status, 200)
  const create = (username: string): Promise<number> =>
    ask(ours.port, '/api/users', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username, password: 'a-long-password', email: 'a@example', role: 'admin' }),
    }).then(({ status }) => status)
  t.equal(await create('first'), 201)
  // The look at the instance that the creation causes is under way; meanwhile RomM itself refuses.
  let status = await create('second')
  for (let left = 100; status === 403 && left > 0; left--) status = await create('second')
  t.equal(status, 401)
  empty.state.deleteUser('first')
  t.equal(await create('third'), 401, 'and does not open again')
  t.equal(empty.state.findUser('third'), undefined)
})

t.test(
  'covers are as open as at RomM, or closed by a switch; the backend decides nothing of either',
  async (t) => {
    const cover = '/assets/romm/resources/roms/1/2/cover/big.png'
    t.equal((await ask(port, cover)).status, 200)
    t.equal((await ask(port, '/assets/romm/resources/tmp/uploads/x')).status, 404)
    const closed = await freshGateway(t, { ...settings, 'romm.resources': 'closed' })
    t.equal((await ask(closed.port, cover)).status, 401)
    t.equal((await ask(closed.port, cover, { headers: as('session vera') })).status, 200)
  },
)

t.test('downloads are open where the backend says so in its document, and nowhere else', async (t) => {
  const path = '/api/roms/1/content/game.zip'
  t.equal((await ask(port, path)).status, 401)
  const open = await freshStandin(t, { openDownloads: true })
  const ours = await freshGateway(t, { ...ASK_FREELY, 'upstream.url': open.url })
  t.equal((await ask(ours.port, path)).status, 200)
  t.equal((await ask(ours.port, '/api/roms')).status, 401)
})
