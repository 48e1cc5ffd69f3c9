/** The decision API: what each proxy asks, byte for byte, and what it is told. */
import t, { type Test } from 'tap'
import {
  claimsOf,
  type Decider,
  DIALECTS,
  deciding,
  type DialectName,
  freshDecider,
  type Original,
  OWN,
  question,
  said,
} from '../support/decision.ts'
import { configOf, freshGateway, inFolder } from '../support/gateway.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import { OURS } from '../attacks/forwarded.ts'
import { basic } from '../attacks/support.ts'
import { lines } from './support.ts'

const standin = await freshStandin(t)
const deciders = new Map<DialectName, Decider>()
for (const dialect of DIALECTS) deciders.set(dialect, await freshDecider(t, dialect, { standin }))
const caddy = deciderOf('caddy')

function deciderOf(dialect: DialectName): Decider {
  const decider = deciders.get(dialect)
  if (decider === undefined) throw new Error(dialect)
  return decider
}

const MODES = ['session vera', 'basic vera', 'jwt vera all', 'rmm vera all']
const by = (name: string): string[] => lines(as(name))
const REFUSED: readonly (readonly [Original, string])[] = [
  [{ uri: '/api/roms' }, '401 no_credential'],
  [{ uri: '/api/roms', fields: by('rmm unknown') }, '401 invalid_credential'],
  [{ uri: '/api/roms', fields: by('basic wrong password') }, '401 invalid_credential'],
  [{ uri: '/api/users', fields: by('session vera') }, '403 insufficient_scope'],
  [{ uri: '/api/nowhere', fields: by('session admin') }, '404 no_route'],
  [{ uri: '/-/postern/me', fields: by('session admin') }, '404 no_route'],
  [{ uri: '/api/heartbeat', method: 'DELETE', fields: by('session admin') }, '405 method_not_allowed'],
  [{ uri: '/api/../admin', fields: by('session admin') }, '400 ambiguous_target'],
  [
    { uri: '/api/roms', fields: [...by('session vera'), ...by('jwt vera all')] },
    '400 conflicting_credentials',
  ],
  [{ uri: '/api/roms', method: 'TRACE', fields: by('session admin') }, '400 malformed_request'],
]

for (const dialect of DIALECTS) {
  const decider = deciderOf(dialect)

  t.test(`${dialect}: every mode is permitted, with an assertion and nothing else of ours`, async (t) => {
    for (const name of MODES) {
      const answer = await decider.ask(t, { uri: '/api/roms?search=a%20b', fields: by(name) })
      t.equal(answer.status, 200, `${name} ${answer.head}`)
      t.equal(claimsOf(answer)?.['preferred_username'], 'vera', name)
      t.equal(answer.body, '')
      t.equal(answer.one('authorization'), undefined)
    }
    const open = await decider.ask(t, { uri: '/api/heartbeat' })
    t.equal(open.status, 200)
    t.equal(open.one('x-postern-assertion'), '', 'nobody is asserted, and the proxy told so (CVE-2026-30851)')
  })

  t.test(`${dialect}: refused as at the edge, and no refusal carries an assertion`, async (t) => {
    for (const [original, expected] of REFUSED) {
      const answer = await decider.ask(t, original)
      t.equal(said(answer), expected, JSON.stringify(original))
      t.equal(answer.one('x-postern-assertion'), undefined)
      t.equal(answer.one('cache-control'), 'no-store')
      if (expected === '404 no_route' && answer.body !== '') t.equal(answer.body, '{"detail":"Not Found"}')
    }
  })

  t.test(`${dialect}: what must be said once, and is missing, empty or there twice`, async (t) => {
    const original = { uri: '/api/heartbeat' }
    const own = OWN[dialect](original)
    const needed = /^(x-forwarded-(for|proto|uri|method|host)|x-original-(uri|method|host)):/i
    for (const line of own.filter((each) => needed.test(each))) {
      const others = own.filter((each) => each !== line)
      const name = line.slice(0, line.indexOf(':'))
      for (const told of [others, [...others, `${name}:`], [...own, line], [...own, `${name}: x`]]) {
        const answer = await decider.ask(t, { ...original, own: told })
        t.equal(said(answer), '400 unclear_question', `${name} ${told.length}`)
      }
    }
  })

  t.test(`${dialect}: a handshake is decided on as one`, async (t) => {
    const key = ['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']
    const told: Readonly<Record<DialectName, readonly string[]>> = {
      caddy: ['Connection: Upgrade', 'Upgrade: websocket'],
      nginx: ['X-Original-Upgrade: websocket'],
      traefik: [],
      envoy: [],
    }
    const shake = [...key, ...told[dialect], ...by('session vera')]
    const asks = async (uri: string, fields: readonly string[]): Promise<string> =>
      said(await decider.ask(t, { uri, fields }))
    t.equal(await asks('/ws/socket.io/', shake), '200')
    t.equal(await asks('/ws/socket.io/', [...shake, 'Origin: https://games.example']), '200')
    t.equal(await asks('/ws/socket.io/', [...shake, 'Origin: https://evil.example']), '403 foreign_origin')
    t.equal(await asks('/ws/socket.io/?sid=x', shake), '400 polling_disabled')
    t.equal(await asks('/api/roms', shake), '404 no_route', 'a socket where there is none')
  })
}

t.test('nginx: 401 and outages keep their status, anything else is 403 and says what it was', async (t) => {
  const nginx = deciderOf('nginx')
  for (const [original, expected] of REFUSED) {
    const answer = await nginx.ask(t, original)
    t.equal(answer.status, expected.startsWith('401') ? 401 : 403)
    t.equal(answer.one('postern-status'), expected.slice(0, 3))
  }
  standin.intercept = (_request, response) => {
    response.destroy()
    return true
  }
  t.teardown(() => (standin.intercept = undefined))
  const away = await nginx.ask(t, { uri: '/api/roms', fields: [basic('gus:something new')] })
  t.equal(away.status, 503)
  t.equal(away.one('postern-status'), '503')
  t.match(away.one('retry-after'), /^\d+$/)
})

t.test('nobody but a named caller is answered', async (t) => {
  const decider = await freshDecider(t, 'caddy', {
    standin,
    settings: { 'decision.callers': '192.0.2.1', trustedProxies: '127.0.0.1' },
  })
  const answer = await decider.ask(t, { uri: '/api/heartbeat', fields: by('session vera') })
  t.equal(said(answer), '403 untrusted_caller')
  t.equal(answer.one('x-postern-assertion'), undefined)
})

/** Good at the edge, which would send them on in another spelling. */
const RESPELT = [
  '//api/heartbeat',
  '/api//heartbeat',
  '/%61pi/heartbeat',
  '/assets/x%5b',
  '/assets/x[1]',
  '/assets/a|b',
]

t.test(
  'a target that the edge would write otherwise is refused, since the proxy sends on its own',
  async (t) => {
    for (const dialect of DIALECTS)
      for (const uri of RESPELT)
        t.equal(said(await deciderOf(dialect).ask(t, { uri })), '400 needs_rewriting', `${dialect} ${uri}`)
    t.equal(said(await caddy.ask(t, { uri: 'http://games.example/api/heartbeat' })), '400 needs_rewriting')
    t.equal(said(await caddy.ask(t, { uri: 'http://evil.example/api/heartbeat' })), '400 foreign_target')
  },
)

t.test('a header that the edge would delete is refused, with its name', async (t) => {
  for (const dialect of DIALECTS) {
    for (const name of OURS) {
      for (const who of [[], by('session vera')]) {
        const original = { uri: '/api/heartbeat', fields: [...who, `${name}: 203.0.113.9`] }
        const answer = await deciderOf(dialect).ask(t, original)
        t.equal(said(answer), '400 needs_rewriting', `${dialect} ${name}`)
        t.match(JSON.parse(answer.body), {
          hint: `the header '${name.toLowerCase()}' would have to be changed or deleted`,
        })
      }
    }
  }
})

t.test('a header that Connection names is refused: it may reach us and not the backend', async (t) => {
  const fields = [...by('session vera'), 'Connection: close, X-App']
  t.equal(
    said(await caddy.ask(t, { uri: '/api/heartbeat', fields: [...fields, 'X-App: 1'] })),
    '400 needs_rewriting',
  )
  t.equal(said(await caddy.ask(t, { uri: '/api/heartbeat', fields })), '200')
})

t.test('an upgrade to something else than a WebSocket is refused', async (t) => {
  for (const fields of [['Connection: Upgrade', 'Upgrade: h2c'], ['Upgrade: websocket, h2c']])
    t.equal(said(await caddy.ask(t, { uri: '/api/heartbeat', fields })), '400 needs_rewriting')
  const posted = {
    uri: '/ws/socket.io/',
    method: 'POST',
    fields: ['Upgrade: websocket', ...by('session vera')],
  }
  t.equal(said(await caddy.ask(t, posted)), '400 needs_rewriting')
})

const session = as('session vera')['cookie'] ?? ''
const id = session.slice('romm_session='.length)
const { authorization: plainBasic = '' } = as('basic vera')
const { authorization: bearer = '' } = as('jwt vera all')

t.test('a credential in its plain form passes, among other cookies in any order', async (t) => {
  const cookies = [session, `theme=dark; ${session}`, `${session}; romm_csrftoken=x; a=b`, `${session};a=b;`]
  for (const cookie of cookies)
    t.equal(said(await caddy.ask(t, { uri: '/api/roms', fields: [`Cookie: ${cookie}`] })), '200', cookie)
  const two = [`Cookie: a=b`, `Cookie: ${session}`]
  t.equal(said(await caddy.ask(t, { uri: '/api/roms', fields: two })), '200')
})

t.test('a route that takes a credential as its input takes it here too, unchecked', async (t) => {
  const login = { uri: '/api/login', method: 'POST' }
  const asked = await caddy.ask(t, { ...login, fields: by('basic wrong password') })
  t.equal(said(asked), '200')
  t.equal(claimsOf(asked), undefined)
  t.equal(
    said(await caddy.ask(t, { ...login, fields: by('basic lower-case scheme') })),
    '400 needs_rewriting',
  )
})

t.test('a scheme that counts as no credential would be taken out too', async (t) => {
  const fields = ['Authorization: Negotiate abc']
  t.equal(said(await caddy.ask(t, { uri: '/api/heartbeat', fields })), '400 needs_rewriting')
  t.equal(said(await caddy.ask(t, { uri: '/api/roms', fields })), '401 no_credential')
})

t.test(
  'plain headers and a name of your own for the assertion are answered where they are wanted',
  async (t) => {
    const settings = { 'assertion.plainHeaders': 'true', 'assertion.header': 'X-Who' }
    const decider = await freshDecider(t, 'caddy', { standin, settings })
    const known = await decider.ask(t, { uri: '/api/roms', fields: by('session vera') })
    t.equal(known.one('x-forwarded-user'), 'vera')
    t.match(known.one('x-who'), /^ey/)
    t.equal(known.one('x-postern-assertion'), undefined)
    const open = await decider.ask(t, { uri: '/api/heartbeat' })
    t.same(
      ['x-forwarded-user', 'x-forwarded-groups', 'x-who'].map((name) => open.one(name)),
      ['', '', ''],
    )
    const off = await freshDecider(t, 'caddy', { standin, settings: { 'assertion.enabled': 'false' } })
    const unsigned = await off.ask(t, { uri: '/api/roms', fields: by('session vera') })
    t.equal(said(unsigned), '200')
    t.equal(unsigned.one('x-postern-assertion'), undefined)
  },
)

t.test('a credential in another spelling, or more than one, is refused', async (t) => {
  const spellings = [
    `Cookie: romm_session="${id}"`,
    `Cookie: romm_session =${id}`,
    `Cookie: a=b;\t${session}`,
    `Cookie: romm_session=other; ${session}`,
    `Cookie: ${session}; ${session}`,
    `Authorization: ${plainBasic.replace('Basic', 'basic')}`,
    `Authorization: ${bearer.replace(' ', '  ')}`,
    `Authorization: Basic ${Buffer.from(`vera:${(as('rmm vera all')['authorization'] ?? '').slice(7)}`).toString('base64')}`,
  ]
  for (const line of spellings) {
    const answer = await caddy.ask(t, { uri: '/api/roms', fields: [line] })
    t.equal(said(answer), '400 needs_rewriting', line)
    t.equal(answer.one('x-postern-assertion'), undefined)
  }
  const twice = [`Authorization: ${bearer}`, `Authorization: ${bearer}`]
  t.equal(said(await caddy.ask(t, { uri: '/api/roms', fields: twice })), '400 several_credentials')
})

t.test(
  'on an open route a bad credential is refused for what it is, since it cannot be taken out',
  async (t) => {
    const dead = await caddy.ask(t, { uri: '/api/heartbeat', fields: by('session unknown') })
    t.equal(said(dead), '401 invalid_credential')
    t.match(dead.one('set-cookie'), /^romm_session=/, 'so that a browser gets rid of it')
    const token = await caddy.ask(t, { uri: '/api/heartbeat', fields: by('rmm unknown') })
    t.equal(said(token), '401 invalid_credential')
    standin.intercept = (_request, response) => {
      response.destroy()
      return true
    }
    t.teardown(() => (standin.intercept = undefined))
    const unchecked = await caddy.ask(t, { uri: '/api/heartbeat', fields: [basic('gus:never seen')] })
    t.equal(said(unchecked), '503 could_not_check')
  },
)

t.test('a change that is permitted counts at once, though nobody here sees it made', async (t) => {
  const uri = '/api/roms'
  const { authorization } = as('rmm vera all')
  /** How often RomM was asked about the token for one decision. */
  const questions = async (): Promise<number> => {
    standin.forget()
    t.equal(said(await caddy.ask(t, { uri, fields: by('rmm vera all') })), '200')
    return standin.requests.filter(({ headers }) => headers.authorization === authorization).length
  }
  await questions()
  t.equal(await questions(), 0, 'its verdict is kept')
  const revoke = { uri: '/api/client-tokens/1', method: 'DELETE', fields: by('session admin') }
  t.equal(said(await caddy.ask(t, revoke)), '200')
  t.equal(await questions(), 1, 'it is asked about again')
})

t.test('each decision has its line in the log and its place in the metrics', async (t) => {
  const decider = await freshDecider(t, 'caddy', { standin })
  await decider.ask(t, { uri: '/api/roms', fields: by('session vera') })
  await decider.ask(t, { uri: '/api/roms' })
  await decider.send(t, 'GET /decide HTTP/1.1\r\nHost: x\r\n\r\n')
  const decisions = decider.log.filter((line) => 'decision' in line)
  t.match(decisions, [
    {
      decision: 'permit',
      path: '/api/roms',
      client: '198.51.100.7',
      mode: 'session',
      user: 'vera',
      status: 200,
    },
    { decision: 'deny', reason: 'no_credential', path: '/api/roms', client: '198.51.100.7', status: 401 },
    { decision: 'deny', reason: 'unclear_question', status: 400 },
  ])
  const metrics = await (await fetch(`http://127.0.0.1:${decider.probesPort}/metrics`)).text()
  t.match(
    metrics,
    /postern_requests_total\{decision="permit",reason="none",mode="session",route="\/api\/roms"\} 1/,
  )
  t.match(metrics, /postern_requests_total\{decision="deny",reason="unclear_question",/)
})

t.test('a body, another place and what is no HTTP are refused', async (t) => {
  const good = question('caddy', { uri: '/api/heartbeat' })
  t.equal(said(await caddy.send(t, good)), '200')
  for (const bytes of [
    good.replace('GET /decide', 'POST /decide'),
    good.replace('GET /decide', 'GET /api/heartbeat'),
    good.replace('GET /decide', 'GET /decided'),
    good.replace('GET /decide', 'GET /decide/'),
    good.replace('\r\n\r\n', '\r\nContent-Length: 1\r\n\r\nx'),
  ])
    t.equal(said(await caddy.send(t, bytes)), '400 unclear_question', bytes)
  t.equal(said(await caddy.send(t, 'nonsense\r\n\r\n')), '400 malformed_request')
})

t.test('off by default; on, it must be said who may ask, and what sends the credential on', async (t) => {
  const off = await freshGateway(t, { 'upstream.url': standin.url })
  t.equal(off.gateway.decision, undefined)
  const problems = (settings: Record<string, string>) => {
    const base = { 'upstream.url': standin.url, 'decision.listen': '127.0.0.1:8093' }
    try {
      configOf({ ...base, ...settings })
      return ''
    } catch (error) {
      return String(error)
    }
  }
  t.match(
    problems({}),
    /decision\.callers: must name who may ask[^]*decision\.dialect: must say which proxy asks/,
  )
  const named = deciding('nginx')
  t.equal(problems({ ...named }), '')
  t.match(problems({ ...named, 'decision.listen': 'unix:/run/x' }), /decision\.listen: must be host:port/)
  t.match(problems({ ...named, 'upstream.credentials': 'strip' }), /upstream\.credentials: cannot be strip/)
  t.match(
    problems({ ...named, 'decision.listen': '0.0.0.0:8090' }),
    /decision\.listen: is the address of listen\.edge/,
  )
})

t.test('a reload changes who may ask; another address takes a restart', async (t) => {
  const decider = await freshDecider(t, 'caddy', { standin })
  const open = { uri: '/api/heartbeat' }
  t.equal(said(await decider.ask(t, open)), '200')
  const settings = { ...inFolder(decider.folder), 'upstream.url': standin.url }
  await decider.gateway.reload(configOf({ ...settings, ...deciding('caddy', '192.0.2.1') }))
  t.equal(said(await decider.ask(t, open)), '403 untrusted_caller')
  const moved = { ...settings, ...deciding('nginx'), 'decision.listen': '127.0.0.1:1' }
  await decider.gateway.reload(configOf(moved))
  t.equal(said(await decider.send(t, question('nginx', open))), '200')
  t.ok(decider.log.some(({ msg }) => msg === 'decision.listen has another value now, which takes a restart'))
  await decider.gateway.close()
  await t.rejects(refusedConnection(t, decider), { code: 'ECONNREFUSED' })
})

function refusedConnection(t: Test, { decisionPort }: Decider): Promise<unknown> {
  return fetch(`http://127.0.0.1:${decisionPort}/decide`).catch((error: unknown) => {
    t.type(error, TypeError)
    throw (error as TypeError).cause
  })
}
