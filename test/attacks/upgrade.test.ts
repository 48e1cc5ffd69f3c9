/** Only a WebSocket that is permitted becomes a tunnel; whatever else is said of upgrading is plain HTTP. */
import { type AddressInfo, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { ASK_FREELY, fixture, isRefusal, lines, message, RawClient, talk } from '../gateway/support.ts'
import { freshGateway } from '../support/gateway.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import type { Received } from '../support/romm/standin.ts'
import { HEARTBEAT, holdHeartbeat } from './support.ts'

const standin = await freshStandin(t)
const settings = { ...ASK_FREELY, 'upstream.url': standin.url, 'romm.secret': fixture.secret }
const { port } = await freshGateway(t, settings)

/** What was forwarded: the gateway's own questions have no id. */
const forwarded = (): Received[] => standin.requests.filter(({ headers }) => 'x-request-id' in headers)

const HANDSHAKE = [
  ...['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'],
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
]
const H2C = [
  'Connection: Upgrade, HTTP2-Settings',
  'Upgrade: h2c',
  'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA',
]
const SESSION = lines(as('session vera'))
const SOCKET = '/ws/socket.io/?EIO=4&transport=websocket'
const HOST = 'Host: games.example\r\n'

for (const [what, target, fields] of [
  ['h2c', HEARTBEAT, H2C],
  ['h2c on a socket', SOCKET, [...H2C, ...SESSION]],
  ['a websocket where there is none', HEARTBEAT, HANDSHAKE],
  ['a websocket among others', SOCKET, ['Connection: Upgrade', 'Upgrade: websocket, h2c', ...SESSION]],
] as const) {
  t.test(`an upgrade to ${what} is served as plain HTTP, the last on its connection`, async (t) => {
    standin.forget()
    const answer = await talk(t, port, message(target, fields))
    t.equal(answer.status, 200)
    t.equal(answer.one('connection'), 'close')
    t.notMatch(forwarded()[0]?.rawHeaders.join('\n'), /upgrade|http2-settings/i)
    await answer.client.ended()
  })
}

for (const [what, first, rest] of [
  ['in one piece', message(HEARTBEAT, H2C) + message('/api/roms', SESSION), ''],
  ['in two pieces', message(HEARTBEAT, H2C), message('/api/roms', SESSION)],
  [
    'cut in the middle',
    `${message(HEARTBEAT, H2C)}POST /api/saves HTTP/1.1\r\n${HOST}Content-Length: 500\r\n\r\n`,
    message('/api/roms', SESSION),
  ],
  ['malformed', message(HEARTBEAT, H2C), `${message('/', ['Transfer-Encoding: chunked'], 'POST')}zz\r\n`],
] as const) {
  t.test(`what is behind an ignored upgrade, ${what}, is never a request`, async (t) => {
    standin.forget()
    const held = holdHeartbeat(t, standin, 'the answer')
    const client = await RawClient.open(t, port)
    client.send(first)
    const release = await held
    client.send(rest)
    // Whatever was sent on another connection after it has been served: so it has been read too.
    t.equal((await talk(t, port, message('/api/platforms', SESSION))).status, 200)
    release()
    const answer = await client.answer()
    t.equal(answer.status, 200)
    t.equal(answer.body, 'the answer')
    await client.ended()
    t.equal(client.rest, '')
    t.same(
      forwarded().map(({ target }) => target),
      [HEARTBEAT, '/api/platforms'],
    )
  })
}

t.test('a body with an ignored upgrade is the body, and nothing behind it is a request', async (t) => {
  standin.forget()
  const fields = [...H2C, 'Content-Length: 5', ...lines(as('rmm admin all'))]
  const both = `${message('/api/saves?rom_id=1', fields, 'POST')}hello${message('/api/roms', SESSION)}`
  const { status, client } = await talk(t, port, both)
  t.equal(status, 200)
  await client.ended()
  t.equal(client.rest, '')
  t.same(
    forwarded().map(({ bytes }) => bytes),
    [5],
  )
})

t.test('an ignored upgrade whose body is malformed comes to no end, and is 408', async (t) => {
  const hasty = await freshGateway(t, { ...settings, 'limits.idleTimeout': '300ms' })
  const fields = [...H2C, 'Transfer-Encoding: chunked', ...lines(as('rmm admin all'))]
  // The parser says nothing of it, once an upgrade was asked for.
  const both = `${message('/api/saves?rom_id=1', fields, 'POST')}zz\r\n${message('/api/roms', SESSION)}`
  standin.forget()
  const answer = await talk(t, hasty.port, both)
  isRefusal(t, answer, 408, 'request_timeout')
  await answer.client.ended()
  t.notOk(forwarded().some(({ target }) => target === '/api/roms'))
})

t.test('an ignored upgrade whose expectation cannot be met is 417, the last on its connection', async (t) => {
  const answer = await talk(t, port, message('/api/heartbeat', [...H2C, 'Expect: more']))
  isRefusal(t, answer, 417, 'expectation_failed')
  await answer.client.ended()
})

t.test('a socket is not opened before the answers that are due', async (t) => {
  const held = holdHeartbeat(t, standin, 'the answer')
  const client = await RawClient.open(t, port)
  // Not a plain request: behind one of those nothing is read before its answer.
  client.send(message(HEARTBEAT, ['Content-Length: 0']))
  const release = await held
  client.send(message(SOCKET, [...HANDSHAKE, ...SESSION]))
  t.equal((await talk(t, port, message('/api/platforms', SESSION))).status, 200)
  t.equal(client.rest, '')
  release()
  t.equal((await client.answer()).body, 'the answer')
  t.not((await client.answer()).status, 101)
  await client.ended()
})

t.test('a socket that is asked for before a plain request has its answer is opened after it', async (t) => {
  const held = holdHeartbeat(t, standin, 'the answer')
  const client = await RawClient.open(t, port)
  client.send(message(HEARTBEAT))
  const release = await held
  client.send(message(SOCKET, [...HANDSHAKE, ...SESSION]))
  t.equal((await talk(t, port, message('/api/platforms', SESSION))).status, 200)
  t.equal(client.rest, '')
  release()
  t.equal((await client.answer()).body, 'the answer')
  t.equal((await client.answer()).status, 101)
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

/** A backend that answers every handshake with these bytes. */
async function saying(
  t: Test,
  bytes: string,
): Promise<{ readonly url: string; readonly heard: () => string }> {
  let heard = ''
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket.on('error', () => socket.destroy()))
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString('latin1')
      socket.write(bytes, 'latin1')
    })
  }).listen(0, '127.0.0.1')
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  await new Promise((resolve) => server.once('listening', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, heard: () => heard }
}

const RULES = "rules: [{ path: '/chat', socket: true, public: true }]"

// CVE-2024-23326: what followed a refused upgrade was passed on unread, as more requests.
for (const [what, bytes, status] of [
  ['200', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno', 200],
  ['426', 'HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno', 426],
  [
    '101 to something else',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
    502,
  ],
  [
    '101 to another key',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAA\r\n\r\n',
    502,
  ],
] as const) {
  t.test(`a handshake answered with ${what} is not a tunnel`, async (t) => {
    const backend = await saying(t, bytes)
    const own = await freshGateway(t, { profile: 'standalone', 'upstream.url': backend.url }, { text: RULES })
    const answer = await talk(t, own.port, message('/chat', HANDSHAKE))
    t.equal(answer.status, status)
    answer.client.send('GET /hidden HTTP/1.1\r\nHost: games.example\r\n\r\n')
    await answer.client.ended()
    t.equal(answer.client.rest, '')
    t.notMatch(backend.heard(), /hidden/)
  })
}
