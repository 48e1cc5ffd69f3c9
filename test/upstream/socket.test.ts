import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import type { UpgradeReport } from '../../src/upstream/tunnel.ts'
import {
  closed,
  type Flood,
  flood,
  gateway,
  later,
  permitFor,
  perRequest,
  portOf,
  rawBackend,
  until,
  upstreamFor,
} from './support.ts'

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
// RFC 6455 §1.3 gives this pair.
const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
const SWITCH =
  `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
  `Sec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`

function handshake(target = '/ws', more = ''): string {
  return (
    `GET ${target} HTTP/1.1\r\nHost: games.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n${more}\r\n`
  )
}

function dial(port: number, bytes: string): Socket {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(bytes)
  return socket
}

async function echoBackend(test: Pick<typeof t, 'teardown'>): Promise<string> {
  const http = createServer()
  const server = new WebSocketServer({
    server: http,
    handleProtocols: (offered) => [...offered].at(-1) ?? false,
  })
  server.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  const port = await portOf(http)
  test.teardown(() => {
    for (const client of server.clients) client.terminate()
    http.close()
  })
  return `http://127.0.0.1:${port}`
}

t.test('messages go both ways, large ones too, and the closing code arrives', async (t) => {
  const { port, report, upstream } = await gateway(t, await echoBackend(t))
  const client = new WebSocket(`ws://127.0.0.1:${port}/ws/a?x=1`, ['v1', 'v2'])
  await once(client, 'open')
  t.equal(client.protocol, 'v2')
  t.strictSame(await report(), { kind: 'answered', status: 101 })
  t.equal(upstream.sockets.count, 1)
  const large = Buffer.alloc(20 * 1024 * 1024, 'x')
  for (const message of [Buffer.from('hello'), large]) {
    client.send(message)
    const [echo] = (await once(client, 'message')) as [Buffer]
    t.ok(echo.equals(message))
  }
  client.close(4001, 'bye')
  const [code] = (await once(client, 'close')) as [number]
  t.equal(code, 4001)
  while (upstream.sockets.count > 0) await new Promise(setImmediate)
})

t.test('the handshake goes up verbatim, with a Connection and an Upgrade of our own', async (t) => {
  const seen = later<string>()
  const url = await rawBackend(t, (socket) => {
    perRequest(socket, (head) => {
      seen.resolve(head)
      return `${SWITCH}\x81\x02hi`
    })
  })
  const { port } = await gateway(t, url)
  const client = dial(
    port,
    handshake('/ws/a%2Db/c?x=1?&y=/../z', 'X-A: 1\r\nx-a: 2\r\nOrigin: https://games.example\r\n'),
  )
  const answer = await until(client, 'hi')
  t.equal(
    answer,
    `HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n` +
      'Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x02hi',
    'with the first bytes that came right behind it',
  )
  t.equal(
    await seen.promise,
    'GET /ws/a-b/c?x=1?&y=/../z HTTP/1.1\r\nhost: games.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n' +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\nX-A: 1\r\nx-a: 2\r\nOrigin: https://games.example`,
  )
  client.destroy()
})

t.test('an answer that declines is an ordinary one, and never a tunnel', async (t) => {
  let smuggled = false
  const url = await rawBackend(t, (socket) => {
    perRequest(socket, (head) => {
      if (head.includes('/smuggled')) smuggled = true
      return (
        'HTTP/1.1 403 Forbidden\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n' +
        'Content-Length: 2\r\n\r\nno'
      )
    })
  })
  const { port, report, upstream } = await gateway(t, url)
  const client = dial(port, handshake())
  client.once('data', () => client.write('GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'))
  const answer = until(client, 'no')
  await closed(client)
  t.equal(
    await answer,
    'HTTP/1.1 403 Forbidden\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n' +
      'Connection: close\r\n\r\nno',
  )
  t.strictSame(await report(), { kind: 'answered', status: 403 })
  t.equal(smuggled, false)
  t.equal(upstream.sockets.count, 0)
})

t.test('a large declining answer waits for a slow client', async (t) => {
  const total = 64 * 1024 * 1024
  const started = later<Flood>()
  const url = await rawBackend(t, (socket) => {
    perRequest(socket, () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
      started.resolve(flood(socket, total))
      return undefined
    })
  })
  const { port, report } = await gateway(t, url)
  const client = dial(port, handshake()).pause()
  const { sent, stalled } = await started.promise
  await stalled
  t.ok(sent() < total / 2)
  let got = 0
  client.on('data', (chunk: Buffer) => (got += chunk.length)).resume()
  await closed(client)
  t.ok(got > total)
  t.strictSame(await report(), { kind: 'answered', status: 200 })
})

const FALSE_SWITCHES = {
  'another key was answered': SWITCH.replace(ACCEPT, 'AAAAAAAAAAAAAAAAAAAAAAAAAAA='),
  'no key was answered': SWITCH.replace(/Sec-WebSocket-Accept.*\r\n/, ''),
  'another protocol was chosen': SWITCH.replace('Upgrade: websocket', 'Upgrade: h2c'),
  'the connection was not upgraded': SWITCH.replace('Connection: Upgrade', 'Connection: close'),
}

for (const [what, answer] of Object.entries(FALSE_SWITCHES)) {
  t.test(`a 101 is no tunnel if ${what}`, async (t) => {
    const gone = later()
    const url = await rawBackend(t, (socket) => {
      socket.once('close', () => gone.resolve())
      perRequest(socket, () => answer)
    })
    const { port, report } = await gateway(t, url)
    const client = dial(port, handshake())
    t.match(await until(client, '\r\n\r\n'), /^HTTP\/1\.1 502 /)
    t.match(await report(), { kind: 'failed', reason: 'upstream_unreachable' })
    await gone.promise
    client.destroy()
  })
}

t.test('a silent upstream is given up: 504', async (t) => {
  const gone = later()
  const url = await rawBackend(t, (socket) => socket.resume().once('close', () => gone.resolve()))
  const { port, report, failures, upstream } = await gateway(t, url, { handshakeTimeout: 50 })
  const client = dial(port, handshake())
  t.match(await until(client, '\r\n\r\n'), /^HTTP\/1\.1 504 /)
  t.match(await report(), { kind: 'failed', reason: 'upstream_timeout' })
  t.strictSame(failures, ['upstream_timeout'])
  t.equal(upstream.sockets.count, 0)
  await gone.promise
  client.destroy()
})

t.test('an upstream that is down: 502', async (t) => {
  const { port, report } = await gateway(t, 'http://127.0.0.1:1')
  const client = dial(port, handshake())
  t.match(await until(client, '\r\n\r\n'), /^HTTP\/1\.1 502 /)
  t.match(await report(), { kind: 'failed', reason: 'upstream_unreachable' })
  client.destroy()
})

t.test('bytes before the 101 are refused, whether they come at once or while we wait', async (t) => {
  let seen = ''
  const arrived = later()
  const gone = later()
  const url = await rawBackend(t, (socket) => {
    socket.once('close', () => gone.resolve())
    socket.on('data', (chunk: Buffer) => {
      seen += chunk.toString('latin1')
      arrived.resolve()
    })
  })
  const { port, report, upstream } = await gateway(t, url)
  const early = dial(port, `${handshake()}GET /smuggled HTTP/1.1\r\n\r\n`)
  t.match(await until(early, '\r\n\r\n'), /^HTTP\/1\.1 400 /)
  t.match(await report(), { kind: 'failed', reason: 'malformed_request' })
  t.equal(seen, '', 'nothing went up')
  const late = dial(port, handshake())
  await arrived.promise
  late.write('GET /smuggled HTTP/1.1\r\n\r\n')
  t.match(await until(late, '\r\n\r\n'), /^HTTP\/1\.1 400 /)
  t.match(await report(), { kind: 'failed', reason: 'malformed_request' })
  await gone.promise
  t.notMatch(seen, /smuggled/)
  t.equal(upstream.sockets.count, 0)
  early.destroy()
  late.destroy()
})

t.test('the client leaves before the 101: the upstream is told', async (t) => {
  const arrived = later()
  const gone = later()
  const url = await rawBackend(t, (socket) => {
    socket.once('data', () => arrived.resolve()).once('close', () => gone.resolve())
  })
  const { port, report, failures } = await gateway(t, url)
  const client = dial(port, handshake())
  await arrived.promise
  client.destroy()
  t.strictSame(await report(), { kind: 'aborted', status: undefined })
  await gone.promise
  t.strictSame(failures, [])
})

t.test(
  'the client left before it was decided on: the upstream is not asked, and no socket counts as open',
  async (t) => {
    const url = await rawBackend(t, () => t.fail('nobody is there any more'))
    const { upstream } = upstreamFor(t, url)
    const ended = later<UpgradeReport>()
    const server = createServer().on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => undefined)
      socket.once('close', () => upstream.upgrade(permitFor(req, true), socket, head, ended.resolve))
      client.resetAndDestroy()
    })
    t.teardown(() => server.close())
    const client = dial(await portOf(server), handshake())
    t.strictSame(await ended.promise, { kind: 'aborted', status: undefined })
    t.equal(upstream.sockets.count, 0)
  },
)

t.test('sockets are closed on demand, both ends, opening ones too', async (t) => {
  const ends: Promise<void>[] = []
  const arrived = later()
  const url = await rawBackend(t, (socket) => {
    ends.push(closed(socket))
    perRequest(socket, (head) => {
      if (!head.includes('/opening')) return SWITCH
      arrived.resolve()
      return undefined
    })
  })
  const { port, upstream, permits, report } = await gateway(t, url)
  const clients = ['a', 'b', 'c'].map((id) => dial(port, handshake('/ws', `X-Request-Id: ${id}\r\n`)))
  await Promise.all(clients.map((client) => until(client, '\r\n\r\n')))
  for (let i = 0; i < 3; i++) t.match(await report(), { kind: 'answered', status: 101 })
  const opening = dial(port, handshake('/opening', 'X-Request-Id: b\r\n'))
  await arrived.promise
  t.equal(upstream.sockets.count, 4)
  t.equal(permits.length, 4)
  t.equal(
    upstream.sockets.closeWhere((permit) => permit.requestId === 'b'),
    2,
  )
  t.equal(upstream.sockets.count, 2)
  await Promise.all([closed(clients[1] as Socket), closed(opening)])
  t.strictSame(await report(), { kind: 'aborted', status: undefined })
  const others = [clients[0] as Socket, clients[2] as Socket]
  t.strictSame(
    others.map((client) => client.destroyed),
    [false, false],
  )
  await upstream.close(0)
  await Promise.all([...others.map(closed), ...ends])
  t.equal(upstream.sockets.count, 0)
})

t.test('an end that says goodbye is heard by the other, with all that it said before', async (t) => {
  const heard = later<string>()
  const url = await rawBackend(t, (socket) => {
    let text = ''
    perRequest(socket, () => SWITCH)
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
    socket.once('end', () => heard.resolve(text))
  })
  const { port, upstream } = await gateway(t, url)
  const client = dial(port, handshake())
  await until(client, '\r\n\r\n')
  client.end('last words')
  t.match(await heard.promise, /last words$/)
  await closed(client)
  while (upstream.sockets.count > 0) await new Promise(setImmediate)
})

t.test('an end that breaks takes the other with it', async (t) => {
  const ends: Socket[] = []
  const url = await rawBackend(t, (socket) => {
    ends.push(socket)
    perRequest(socket, () => SWITCH)
  })
  const { port, upstream } = await gateway(t, url)
  const [first, second] = [dial(port, handshake()), dial(port, handshake())]
  await Promise.all([until(first, '\r\n\r\n'), until(second, '\r\n\r\n')])
  for (const end of ends) end.resetAndDestroy()
  await Promise.all([closed(first), closed(second)])
  while (upstream.sockets.count > 0) await new Promise(setImmediate)
})

t.test('the hook sees a socket’s headers too', async (t) => {
  const url = await rawBackend(t, (socket) => {
    perRequest(socket, () => SWITCH)
  })
  const { port } = await gateway(t, url, {
    responseHeaders: (permit, headers) => [...headers, 'X-Request-Id', permit.requestId],
  })
  const client = dial(port, handshake('/ws', 'X-Request-Id: q1\r\n'))
  t.match(await until(client, '\r\n\r\n'), /\r\nX-Request-Id: q1\r\n/)
  client.destroy()
})
