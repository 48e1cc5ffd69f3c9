import t from 'tap'
import { freshGateway } from '../support/gateway.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import type { Received } from '../support/romm/standin.ts'
import { ASK_FREELY, fixture, isRefusal, lines, message, RawClient, talk } from './support.ts'

const standin = await freshStandin(t)
const settings = { ...ASK_FREELY, 'upstream.url': standin.url, 'romm.secret': fixture.secret }
const { port } = await freshGateway(t, settings, {
  text: "sockets: { origins: ['https://listed.example'] }",
})

/** What was forwarded: the gateway's own questions have no id. */
const forwarded = (): Received[] => standin.requests.filter(({ headers }) => 'x-request-id' in headers)

const HOST = 'Host: games.example\r\n'
const OPEN = 'GET /api/heartbeat HTTP/1.1\r\n'
const SESSION = lines(as('session vera'))
interface Malformed {
  readonly what: string
  readonly bytes: string
  readonly reason: string
}

const byTarget = (target: string, reason = 'ambiguous_target'): Malformed => ({
  what: `the target ${JSON.stringify(target)}`,
  bytes: `GET ${target} HTTP/1.1\r\n${HOST}\r\n`,
  reason,
})
const byHost = (what: string, fields: string): Malformed => ({
  what,
  bytes: `${OPEN}${fields}\r\n`,
  reason: 'several_hosts',
})

const MALFORMED: readonly Malformed[] = [
  byHost('two hosts', `${HOST}Host: other.example\r\n`),
  byHost('the same host twice', `${HOST}${HOST}`),
  byHost('no host', ''),
  byHost('an empty host', 'Host:\r\n'),
  byHost('a host with a space', 'Host: a b\r\n'),
  byHost('a host with a user', 'Host: a@b\r\n'),
  byHost('a host with a path', 'Host: a/b\r\n'),
  ...['/api\\roms', '/api/x#y', '/api/%', '/api/%4', '/api/%zz', '/api/a%2fb', '/api/a%5Cb'].map((target) =>
    byTarget(target),
  ),
  ...['/api/a%00', '/api/users/me%0A', '/api/../roms', '/api/%2e%2E/roms', '/./api', '/api/roms?a=b#c'].map(
    (target) => byTarget(target),
  ),
  byTarget('*'),
  byTarget('http://evil.example/api/heartbeat', 'foreign_target'),
  byTarget('ftp://games.example/api/heartbeat', 'foreign_target'),
  byTarget('http://games.example@evil.example/', 'foreign_target'),
  byTarget('http:///api/heartbeat', 'foreign_target'),
]

for (const { what, bytes, reason } of MALFORMED) {
  t.test(`${what}: 400, and nothing of it reaches the backend`, async (t) => {
    standin.forget()
    const client = await RawClient.open(t, port)
    isRefusal(t, await client.send(bytes).answer(), 400, reason)
    t.equal((await client.send(`${OPEN}${HOST}\r\n`).answer()).status, 200, 'the connection goes on')
    t.equal(forwarded().length, 1)
  })
}

t.test('OPTIONS * is nobody’s route', async (t) => {
  standin.forget()
  isRefusal(t, await talk(t, port, message('*', [], 'OPTIONS')), 404, 'no_route')
  t.same(forwarded(), [])
})

t.test('HTTP/1.0 is served, and its connection closed', async (t) => {
  const { status, client } = await talk(t, port, `${OPEN}${HOST}\r\n`.replace('1.1', '1.0'))
  t.equal(status, 200)
  await client.ended()
})

t.test('header bytes beyond ASCII arrive as they were', async (t) => {
  standin.forget()
  await talk(t, port, `${OPEN}${HOST}X-App: caf\xe9 \xff\r\n\r\n`)
  t.equal(forwarded()[0]?.headers['x-app'], 'caf\xe9 \xff')
})

const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']
const HANDSHAKE = [...UPGRADE, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']
const SOCKET = '/ws/socket.io/?EIO=4&transport=websocket'

t.test('an upgrade on a protected route that has no sockets is a 401 like any other', async (t) => {
  isRefusal(t, await talk(t, port, message('/api/roms', HANDSHAKE)), 401, 'no_credential')
})

for (const [what, fields, status, reason] of [
  ['nobody', [], 401, 'no_credential'],
  ['a bad token', lines(as('rmm unknown')), 401, 'invalid_credential'],
  ['a dead session', lines(as('session unknown')), 401, 'invalid_credential'],
  ['two tokens', [...lines(as('rmm vera all')), ...lines(as('rmm vera all'))], 400, 'several_credentials'],
  ['another site', [...SESSION, 'Origin: https://evil.example'], 403, 'foreign_origin'],
  ['a sandbox', [...SESSION, 'Origin: null'], 403, 'foreign_origin'],
  ['our name in another scheme', [...SESSION, 'Origin: https://games.example'], 403, 'foreign_origin'],
  ['our name in a longer one', [...SESSION, 'Origin: http://games.example.evil'], 403, 'foreign_origin'],
  [
    'two origins',
    [...SESSION, 'Origin: http://games.example', 'Origin: http://games.example'],
    403,
    'foreign_origin',
  ],
] as const) {
  t.test(`no socket for ${what}: ${status} before any 101`, async (t) => {
    standin.forget()
    const answer = await talk(t, port, message(SOCKET, [...HANDSHAKE, ...fields]))
    isRefusal(t, answer, status, reason)
    t.equal(answer.one('set-cookie') !== undefined, what === 'a dead session')
    await answer.client.ended()
    t.same(forwarded(), [])
  })
}

for (const [what, fields] of [
  ['our own origin', [...SESSION, 'Origin: http://GAMES.example']],
  ['a listed origin', [...SESSION, 'Origin: https://listed.example']],
  ['no origin', SESSION],
  ['a token of whatever origin', [...lines(as('rmm vera all')), 'Origin: https://evil.example']],
] as const) {
  t.test(`a socket for ${what}`, async (t) => {
    const answer = await talk(t, port, message(SOCKET, [...HANDSHAKE, ...fields]))
    t.equal(answer.status, 101)
    t.equal(answer.one('sec-websocket-accept'), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
  })
}

t.test('a continued engine.io session is 400, as a poll and as a socket, whoever asks', async (t) => {
  standin.forget()
  const target = '/ws/socket.io/?EIO=4&transport=polling&sid=abc'
  for (const bytes of [
    message(target, SESSION),
    message(target, lines(as('rmm admin all'))),
    message(target.replace('sid', '%73id'), SESSION),
    message(target, [...SESSION, 'Content-Length: 0'], 'POST'),
    message(target, [...HANDSHAKE, ...SESSION]),
  ]) {
    isRefusal(t, await talk(t, port, bytes), 400, 'polling_disabled')
  }
  t.same(forwarded(), [])
})

t.test('no backend, no socket: 502', async (t) => {
  const away = await freshStandin(t)
  const ours = await freshGateway(t, { ...settings, 'upstream.url': away.url })
  t.equal((await talk(t, ours.port, message('/api/roms', SESSION))).status, 200, 'now it is known')
  await away.close()
  isRefusal(
    t,
    await talk(t, ours.port, message(SOCKET, [...HANDSHAKE, ...SESSION])),
    502,
    'upstream_unreachable',
  )
})
