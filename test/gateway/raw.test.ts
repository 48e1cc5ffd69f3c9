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
const chunked = `Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`
/** As one who may: what is refused is the form. */
const upload = (fields: string): string =>
  `POST /api/saves HTTP/1.1\r\n${HOST}${lines(as('rmm admin all')).join('\r\n')}\r\n${fields}`

interface Malformed {
  readonly what: string
  readonly bytes: string
  readonly reason: string
  /** The answer is the last thing on its connection. */
  readonly closes: boolean
}

const byParser = (what: string, bytes: string): Malformed => ({
  what,
  bytes,
  reason: 'malformed_request',
  closes: true,
})
const byTarget = (target: string, reason = 'ambiguous_target'): Malformed => ({
  what: `the target ${JSON.stringify(target)}`,
  bytes: `GET ${target} HTTP/1.1\r\n${HOST}\r\n`,
  reason,
  closes: false,
})
const byHost = (what: string, fields: string): Malformed => ({
  what,
  bytes: `${OPEN}${fields}\r\n`,
  reason: 'several_hosts',
  closes: false,
})

const MALFORMED: readonly Malformed[] = [
  byHost('two hosts', `${HOST}Host: other.example\r\n`),
  byHost('the same host twice', `${HOST}${HOST}`),
  byHost('no host', ''),
  byHost('an empty host', 'Host:\r\n'),
  byHost('a host with a space', 'Host: a b\r\n'),
  byHost('a host with a user', 'Host: a@b\r\n'),
  byHost('a host with a path', 'Host: a/b\r\n'),
  byParser('length and chunked', upload(`Content-Length: 5\r\n${chunked}`)),
  byParser('two lengths', upload('Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello')),
  byParser('the same length twice', upload('Content-Length: 0\r\nContent-Length: 0\r\n\r\n')),
  byParser('a list of lengths', upload('Content-Length: 0, 0\r\n\r\n')),
  byParser('a signed length', upload('Content-Length: +5\r\n\r\nhello')),
  byParser('a hexadecimal length', upload('Content-Length: 0x5\r\n\r\nhello')),
  byParser('another coding before chunked', upload('Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n')),
  byParser('another coding', upload('Transfer-Encoding: gzip\r\n\r\n')),
  byParser('chunked twice', upload(`Transfer-Encoding: chunked\r\n${chunked}`)),
  byParser('chunked with a tab', upload('Transfer-Encoding:\tchunked, identity\r\n\r\n0\r\n\r\n')),
  byParser('chunked in HTTP/1.0', upload(chunked).replace('HTTP/1.1', 'HTTP/1.0')),
  byParser('a folded header', `${OPEN}${HOST}X-A: b\r\n c\r\n\r\n`),
  byParser('bare line feeds', `${OPEN}${HOST}\r\n`.replaceAll('\r', '')),
  byParser('a bare carriage return', `${OPEN}${HOST}X-A: b\rX-B: c\r\n\r\n`),
  byParser('a space before the colon', `${OPEN}${HOST}X-A : b\r\n\r\n`),
  byParser('NUL in a value', `${OPEN}${HOST}X-A: b\0c\r\n\r\n`),
  byParser('HTTP/2.0', `${OPEN}${HOST}\r\n`.replace('1.1', '2.0')),
  byParser('HTTP/0.9', `${OPEN}${HOST}\r\n`.replace('1.1', '0.9')),
  byParser('no version', 'GET /api/heartbeat\r\n\r\n'),
  byParser('CONNECT', `CONNECT games.example:443 HTTP/1.1\r\n${HOST}\r\n`),
  { ...byParser('TRACE', `TRACE /api/heartbeat HTTP/1.1\r\n${HOST}\r\n`), closes: false },
  byParser('a method in small letters', `get /api/heartbeat HTTP/1.1\r\n${HOST}\r\n`),
  byParser('TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
  byParser('HTTP/2 with prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  byParser('a NUL in the target', `GET /api/\0 HTTP/1.1\r\n${HOST}\r\n`),
  byParser('a space in the target', `GET /api/ x HTTP/1.1\r\n${HOST}\r\n`),
  byParser('raw UTF-8 in the target', `GET /api/\xc3\xa9 HTTP/1.1\r\n${HOST}\r\n`),
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

for (const { what, bytes, reason, closes } of MALFORMED) {
  t.test(`${what}: 400, and nothing of it reaches the backend`, async (t) => {
    standin.forget()
    const client = await RawClient.open(t, port)
    const answer = await client.send(bytes).answer()
    isRefusal(t, answer, 400, reason)
    if (closes) {
      t.match(answer.one('connection'), /close/)
      await client.ended()
      t.equal(client.rest, '')
    } else t.equal((await client.send(`${OPEN}${HOST}\r\n`).answer()).status, 200, 'the connection goes on')
    t.equal(forwarded().length, closes ? 0 : 1)
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

t.test('pipelined requests are answered each, in order', async (t) => {
  standin.forget()
  const client = await RawClient.open(t, port)
  const good = `${OPEN}${HOST}\r\n`
  client.send(`${good}${message('/api/roms')}${good}${message('/api/../x')}${good}`)
  const statuses: number[] = []
  for (let i = 0; i < 5; i++) statuses.push((await client.answer()).status)
  t.same(statuses, [200, 401, 200, 400, 200])
  t.equal(forwarded().length, 3)
})

t.test('what is malformed after an answer does not become part of one', async (t) => {
  const client = await RawClient.open(t, port)
  t.equal((await client.send(`${OPEN}${HOST}\r\n`).answer()).status, 200)
  const answer = await client.send('nonsense\r\n\r\n').answer()
  isRefusal(t, answer, 400, 'malformed_request')
  await client.ended()
})

t.test('what is malformed behind a request is not its answer', async (t) => {
  const held = Promise.withResolvers<() => void>()
  standin.intercept = ({ url }, response) => {
    if (url === '/api/heartbeat') held.resolve(() => response.end('the answer'))
    return url === '/api/heartbeat'
  }
  t.teardown(() => (standin.intercept = undefined))
  const client = await RawClient.open(t, port)
  client.send(`${OPEN}${HOST}\r\n`)
  const release = await held.promise
  client.send('nonsense\r\n\r\n')
  await client.ended()
  t.equal(client.rest, '', 'an answer to the nonsense would have been read as one to the request')
  release()
})

t.test('header bytes beyond ASCII arrive as they were', async (t) => {
  standin.forget()
  await talk(t, port, `${OPEN}${HOST}X-App: caf\xe9 \xff\r\n\r\n`)
  t.equal(forwarded()[0]?.headers['x-app'], 'caf\xe9 \xff')
})

t.test('slow headers are 408', async (t) => {
  const hasty = await freshGateway(t, { ...settings, 'limits.headersTimeout': '200ms' })
  const client = await RawClient.open(t, hasty.port)
  isRefusal(t, await client.send(`${OPEN}Host: games`).answer(), 408, 'request_timeout')
  await client.ended()
})

t.test('chunk extensions without end are 413', async (t) => {
  const client = await RawClient.open(t, port)
  client.send(upload(`Transfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(20_000)}\r\n`))
  isRefusal(t, await client.answer(), 413, 'content_too_large')
  await client.ended()
})

const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']
const HANDSHAKE = [...UPGRADE, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']
const SOCKET = '/ws/socket.io/?EIO=4&transport=websocket'

for (const [what, target, fields] of [
  [
    'h2c',
    '/api/heartbeat',
    ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA'],
  ],
  [
    'h2c on a socket',
    SOCKET,
    ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AA', ...SESSION],
  ],
  ['a websocket where there is none', '/api/heartbeat', HANDSHAKE],
  ['a websocket among others', SOCKET, ['Connection: Upgrade', 'Upgrade: websocket, h2c', ...SESSION]],
] as const) {
  t.test(`an upgrade to ${what} is served as plain HTTP`, async (t) => {
    standin.forget()
    const { status, client } = await talk(t, port, message(target, fields))
    t.equal(status, 200)
    t.notMatch(forwarded()[0]?.rawHeaders.join('\n'), /upgrade|http2-settings/i)
    t.equal((await client.send(`${OPEN}${HOST}\r\n`).answer()).status, 200, 'the connection goes on')
  })
}

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

t.test('bytes before the 101 are refused, whether they come with the request or after', async (t) => {
  const answer = await talk(
    t,
    port,
    `${message(SOCKET, [...HANDSHAKE, ...SESSION])}GET /api/users HTTP/1.1\r\n\r\n`,
  )
  isRefusal(t, answer, 400, 'malformed_request')
  await answer.client.ended()
})

t.test('a refused socket is not kept open by a client that does not hang up', async (t) => {
  const own = await freshGateway(t, settings)
  const clients = [
    await RawClient.open(t, own.port),
    await RawClient.open(t, own.port),
    await RawClient.open(t, own.port),
  ]
  const bytes = [
    message(SOCKET, HANDSHAKE),
    `CONNECT a:1 HTTP/1.1\r\n${HOST}\r\n`,
    message(SOCKET, [...HANDSHAKE, ...SESSION, 'Origin: null']),
  ]
  for (const [i, client] of clients.entries()) {
    client.socket.allowHalfOpen = true
    const { status } = await client.send(bytes[i] ?? '').answer()
    t.ok(status >= 400)
    client.send('and more')
  }
  await own.gateway.close()
  t.pass('closing waits for none of them')
})

t.test('a socket that the backend declines has the backend’s own answer', async (t) => {
  const answer = await talk(t, port, message('/ws/nothing', [...HANDSHAKE, ...SESSION]))
  t.equal(answer.status, 404)
  t.equal(answer.one('postern-reason'), undefined)
  await answer.client.ended()
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
