/** The listener, whichever of its two ways a connection goes: as one of plain requests, or by Node's server. */
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import t from 'tap'
import type { Test } from 'tap'
import { EdgeServer } from '../../src/edge/server.ts'
import type { EdgeLimits, Handler } from '../../src/edge/server.ts'
import type { IncomingRequest, OutgoingResponse } from '../../src/request/exchange.ts'
import { RawClient } from '../gateway/support.ts'

/** What has come and is to be answered by the test. */
interface Arrived {
  readonly req: IncomingRequest
  readonly res: OutgoingResponse
  readonly isPlain: boolean
}

class Stage implements Handler {
  readonly server: EdgeServer
  readonly refused: string[] = []
  readonly upgrades: Duplex[] = []
  port = 0
  #arrived: Arrived[] = []
  #wake: () => void = () => undefined

  constructor(limits: Partial<EdgeLimits>) {
    const all: EdgeLimits = {
      headerBytes: 1_000,
      headersTimeout: 60_000,
      keepAliveTimeout: 60_000,
      idleTimeout: 60_000,
      connections: 100,
      connectionsPerAddress: 100,
      ...limits,
    }
    this.server = new EdgeServer(all, () => this, { connectionRefused: () => undefined })
  }

  static async open(test: Test, limits: Partial<EdgeLimits> = {}): Promise<Stage> {
    const stage = new Stage(limits)
    const address = await stage.server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, 'listen.edge')
    stage.port = Number(address.slice(address.lastIndexOf(':') + 1))
    test.teardown(() => stage.server.close(0))
    return stage
  }

  /** The next request. */
  async next(): Promise<Arrived> {
    while (this.#arrived.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve))
    return this.#arrived.shift() as Arrived
  }

  trusts(): boolean {
    return true
  }

  handle(req: IncomingRequest, res: OutgoingResponse): void {
    this.#arrived.push({ req, res, isPlain: !('readableEnded' in req) })
    this.#wake()
  }

  mayUpgrade(): boolean {
    return true
  }

  upgrade(_req: IncomingRequest, socket: Duplex): void {
    this.upgrades.push(socket)
    socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\n')
  }

  refuseRaw(socket: Duplex, reason: string): void {
    this.refused.push(reason)
    socket.end('HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n')
  }

  refuseExpectation(): void {
    this.refused.push('expectation_failed')
  }
}

const get = (path: string, fields = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`
const ok = (res: OutgoingResponse, body: string): void => {
  res.writeHead(200, undefined, ['Content-Length', String(body.length)])
  res.end(body, 'latin1')
}

/** A connection that has had a request and its answer. */
async function connected(test: Test, stage: Stage, way: Way): Promise<RawClient> {
  const client = await RawClient.open(test, stage.port)
  client.send(get('/first', way === 'plain' ? '' : 'Content-Length: 0\r\n'))
  const { res, isPlain } = await stage.next()
  test.equal(isPlain, way === 'plain')
  ok(res, 'first')
  test.equal((await client.answer()).body, 'first')
  return client
}

const WAYS = ['plain', 'other'] as const
type Way = (typeof WAYS)[number]

for (const way of WAYS) {
  t.test(`${way}: requests one after the other, and then of every other kind`, async (t) => {
    const stage = await Stage.open(t)
    const client = await connected(t, stage, way)
    for (let i = 0; i < 3; i++) {
      client.send(get(`/${i}`))
      const { req, res, isPlain } = await stage.next()
      t.equal(req.url, `/${i}`)
      t.equal(isPlain, way === 'plain')
      ok(res, `${i}`)
      t.equal((await client.answer()).body, `${i}`)
    }
    client.send('POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe')
    const post = await stage.next()
    t.equal(post.isPlain, false)
    client.send('llo')
    let body = ''
    if ('readableEnded' in post.req) for await (const chunk of post.req) body += String(chunk)
    t.equal(body, 'hello')
    ok(post.res, 'up')
    t.equal((await client.answer()).body, 'up')
    client.send(get('/after'))
    const after = await stage.next()
    t.equal(after.isPlain, false, 'what was handed over stays there')
    ok(after.res, 'after')
    t.equal((await client.answer()).body, 'after')
  })

  t.test(`${way}: requests that come before the answer, whole and in parts, keep their order`, async (t) => {
    const stage = await Stage.open(t)
    const client = await connected(t, stage, way)
    client.send(get('/a'))
    const a = await stage.next()
    client.send(get('/b') + get('/c').slice(0, 20))
    await new Promise(setImmediate)
    client.send(get('/c').slice(20))
    await new Promise(setImmediate)
    ok(a.res, 'a')
    for (const name of ['b', 'c']) {
      const { req, res } = await stage.next()
      t.equal(req.url, `/${name}`)
      ok(res, name)
    }
    for (const name of ['a', 'b', 'c']) t.equal((await client.answer()).body, name)
    t.equal(client.rest, '')
  })

  t.test(`${way}: a head in pieces is one request`, async (t) => {
    const stage = await Stage.open(t)
    const client = await connected(t, stage, way)
    for (const byte of get('/slow')) {
      client.send(byte)
      await new Promise(setImmediate)
    }
    const { req, res } = await stage.next()
    t.equal(req.url, '/slow')
    ok(res, 'slow')
    t.equal((await client.answer()).body, 'slow')
  })

  t.test(`${way}: a client that sends no more has left`, async (t) => {
    const stage = await Stage.open(t)
    const client = await connected(t, stage, way)
    client.send(get('/last'))
    const { res } = await stage.next()
    const closed = new Promise<void>((resolve) => void res.once('close', resolve))
    client.socket.end()
    await closed
    ok(res, 'last')
    await client.ended()
    t.equal(client.rest, '')
  })

  t.test(`${way}: whoever answers hears of a client that leaves, and of one that reads again`, async (t) => {
    const stage = await Stage.open(t)
    const client = await connected(t, stage, way)
    client.send(get('/long'))
    const { res } = await stage.next()
    res.writeHead(200, undefined, [])
    client.socket.pause()
    const piece = Buffer.alloc(1 << 20)
    while (res.write(piece, 'latin1')) await new Promise(setImmediate)
    const drained = new Promise<void>((resolve) => void res.once('drain', resolve))
    client.socket.resume()
    await drained
    const closed = new Promise<void>((resolve) => void res.once('close', resolve))
    client.socket.destroy()
    await closed
    t.equal(res.writableFinished, false)
    t.equal(res.destroyed, true)
  })

  t.test(`${way}: it is heard too when the client had sent more`, async (t) => {
    for (const leave of ['end', 'resetAndDestroy'] as const) {
      const stage = await Stage.open(t)
      const client = await connected(t, stage, way)
      client.send(get('/slow'))
      const { res } = await stage.next()
      const closed = new Promise<void>((resolve) => void res.once('close', resolve))
      client.send(get('/next').slice(0, 20))
      await new Promise(setImmediate)
      client.socket[leave]()
      await closed
      const { socket } = res
      ok(res, 'too late')
      await new Promise(setImmediate)
      t.equal(socket?.destroyed ?? true, true)
      if (way === 'plain') t.equal(socket?.listenerCount('resume'), 0, 'nobody waits for what it says')
    }
  })

  t.test(
    `${way}: an answer that nobody reads is not kept up by what its client goes on sending`,
    async (t) => {
      const stage = await Stage.open(t, { idleTimeout: 200 })
      const client = await connected(t, stage, way)
      client.send(get('/long'))
      const { res } = await stage.next()
      const closed = new Promise<void>((resolve) => void res.once('close', resolve))
      res.writeHead(200, undefined, [])
      client.socket.pause()
      while (res.write(Buffer.alloc(1 << 20), 'latin1')) await new Promise(setImmediate)
      const drip = setInterval(() => client.send('x'), 20)
      await closed
      clearInterval(drip)
      t.same(stage.refused, [])
    },
  )

  t.test(`${way}: an answer that is broken off breaks the connection`, async (t) => {
    const stage = await Stage.open(t)
    const client = await connected(t, stage, way)
    client.send(get('/cut'))
    const { res } = await stage.next()
    res.writeHead(200, undefined, ['Content-Length', '10'])
    res.write('half', 'latin1')
    await new Promise(setImmediate)
    res.destroy()
    await client.ended()
    t.match(client.rest, /half$/)
  })

  t.test(`${way}: bad bytes are refused, and nothing behind them is read`, async (t) => {
    const stage = await Stage.open(t)
    const client = await connected(t, stage, way)
    client.send(`nonsense\r\n\r\n${get('/behind')}`)
    t.equal((await client.answer()).status, 400)
    t.same(stage.refused, ['malformed_request'])
    await client.ended()
  })

  t.test(`${way}: a head that is too long is refused`, async (t) => {
    const stage = await Stage.open(t)
    const client = await connected(t, stage, way)
    client.send(get('/', `X-A: ${'a'.repeat(1_000)}\r\n`))
    await client.answer()
    t.same(stage.refused, ['headers_too_large'])
  })

  t.test(`${way}: an upgrade is taken in`, async (t) => {
    const stage = await Stage.open(t)
    const client = await connected(t, stage, way)
    client.send(get('/ws', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'))
    t.equal((await client.answer()).status, 101)
    t.equal(stage.upgrades.length, 1)
  })

  t.test(`${way}: a connection without a next request is closed`, async (t) => {
    const stage = await Stage.open(t, { keepAliveTimeout: 100 })
    const client = await connected(t, stage, way)
    await client.ended()
    t.same(stage.refused, [])
  })

  t.test(`${way}: an answer that stands still is ended`, async (t) => {
    const stage = await Stage.open(t, { idleTimeout: 100 })
    const client = await connected(t, stage, way)
    client.send(get('/stuck'))
    const { res } = await stage.next()
    await once(res as never, 'close')
    await client.ended()
    t.same(stage.refused, [])
  })

  t.test(`${way}: when the listener closes, what is idle ends, and what is answered ends then`, async (t) => {
    const stage = await Stage.open(t)
    const [idle, busy] = [await connected(t, stage, way), await connected(t, stage, way)]
    busy.send(get('/busy'))
    const { res } = await stage.next()
    const closed = stage.server.close(60_000)
    await idle.ended()
    ok(res, 'busy')
    t.equal((await busy.answer()).body, 'busy')
    await busy.ended()
    await closed
  })

  t.test(`${way}: while idle connections may linger, the next answer on one says that it ends`, async (t) => {
    const stage = await Stage.open(t)
    const client = await connected(t, stage, way)
    const closed = stage.server.close(60_000, 60_000)
    client.send(get('/next'))
    ok((await stage.next()).res, 'next')
    const answer = await client.answer()
    t.equal(answer.one('connection'), 'close')
    await client.ended()
    await closed
  })

  t.test(`${way}: what does not end in time is ended`, async (t) => {
    const stage = await Stage.open(t)
    const client = await connected(t, stage, way)
    client.send(get('/busy'))
    await stage.next()
    await stage.server.close(50)
    await client.ended()
  })
}

t.test('a connection that says nothing, or not enough, is told that it was too slow', async (t) => {
  for (const said of ['', 'GET / HT']) {
    const stage = await Stage.open(t, { headersTimeout: 100 })
    const client = await RawClient.open(t, stage.port)
    client.send(said)
    t.equal((await client.answer()).status, 400)
    t.same(stage.refused, ['request_timeout'])
  }
})

t.test('who sends too much ahead of an answer is cut off', async (t) => {
  const stage = await Stage.open(t)
  const client = await connected(t, stage, 'plain')
  client.send(get('/slow'))
  const { res } = await stage.next()
  const closed = new Promise<void>((resolve) => void res.once('close', resolve))
  client.send(get('/next').repeat(100))
  await closed
  await client.ended()
  t.equal(client.rest, '')
})

for (const trickled of ['x', '\r\n', 'GET / HTTP/1.1\r\nX-A: '] as const) {
  t.test(
    `an answer handed over before it was read is not kept open by ${JSON.stringify(trickled)}`,
    async (t) => {
      const stage = await Stage.open(t, { idleTimeout: 200 })
      const client = await connected(t, stage, 'plain')
      client.send(get('/large'))
      const { res } = await stage.next()
      client.socket.pause()
      res.writeHead(200, undefined, [])
      res.end(Buffer.alloc(1 << 23), 'latin1')
      const { socket } = res
      const closed = new Promise<void>((resolve) => void socket?.once('close', () => resolve()))
      client.send(trickled)
      const drip = setInterval(() => client.send('x'), 20)
      await closed
      clearInterval(drip)
      t.ok((socket?.listenerCount('finish') ?? 0) < 5)
    },
  )
}

t.test('an answer that is not read while its request still comes is waited for', async (t) => {
  const stage = await Stage.open(t, { idleTimeout: 100 })
  const client = await RawClient.open(t, stage.port)
  client.send('POST /long HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n')
  const { req, res } = await stage.next()
  client.socket.pause()
  res.shouldKeepAlive = false
  res.writeHead(200, undefined, [])
  res.write(Buffer.alloc(1 << 24), 'latin1')
  const drip = setInterval(() => client.send('x'), 20)
  let pieces = 0
  if ('readableEnded' in req)
    for await (const piece of req) {
      pieces += String(piece).length
      if (pieces >= 30) break
    }
  clearInterval(drip)
  t.ok(pieces >= 30, 'it came for six times as long')
})

t.test('empty lines between requests mean nothing, nor while an answer is due', async (t) => {
  const stage = await Stage.open(t, { headersTimeout: 100, keepAliveTimeout: 60_000 })
  const client = await connected(t, stage, 'plain')
  client.send('\r\n\r\n')
  await new Promise(setImmediate)
  client.send(get('/due'))
  const due = await stage.next()
  const before = due.req.socket.bytesRead
  client.send('\r\n')
  while (due.req.socket.bytesRead === before) await new Promise(setImmediate)
  ok(due.res, 'due')
  t.equal((await client.answer()).body, 'due')
  // Two that say nothing have their time run out, one after the other.
  for (let i = 0; i < 2; i++) await (await RawClient.open(t, stage.port)).answer()
  t.equal(stage.refused.length, 2)
  client.send(get('/next'))
  const { res, isPlain } = await stage.next()
  t.equal(isPlain, true)
  ok(res, 'next')
  t.equal((await client.answer()).body, 'next')
})

t.test('closing waits for nobody who was refused for saying nothing', async (t) => {
  const stage = await Stage.open(t, { headersTimeout: 100 })
  const client = await RawClient.open(t, stage.port)
  client.socket.allowHalfOpen = true
  await client.answer()
  await stage.server.close(50)
  await client.ended()
})

t.test('nothing is read behind an answer that ends its connection', async (t) => {
  const stage = await Stage.open(t)
  const client = await RawClient.open(t, stage.port)
  client.send(get('/one'))
  const { res } = await stage.next()
  res.shouldKeepAlive = false
  res.writeHead(200, undefined, [])
  client.socket.pause()
  res.end(Buffer.alloc(1 << 23), 'latin1')
  client.send(get('/two'))
  client.socket.resume()
  await client.ended()
  t.match(client.rest, /\r\nConnection: close\r\n/)
  const third = await RawClient.open(t, stage.port)
  third.send(get('/three'))
  t.equal((await stage.next()).req.url, '/three')
})
