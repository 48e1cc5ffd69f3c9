import { createServer } from 'node:http'
import { connect } from 'node:net'
import t from 'tap'
import type { ForwardReport } from '../../src/upstream/exchange.ts'
import type { ResponseObserver } from '../../src/upstream/observer.ts'
import {
  closed,
  type Flood,
  flood,
  gateway,
  get,
  httpBackend,
  later,
  permitFor,
  perRequest,
  portOf,
  raw,
  rawBackend,
  until,
  upstreamFor,
} from './support.ts'

/** Observes everything below /users, and holds its answers until released. */
function observer(): {
  readonly observe: ResponseObserver
  readonly seen: (readonly [string, number | 'lost'])[]
  readonly asked: Promise<void>
  readonly release: (value: void) => void
} {
  const seen: (readonly [string, number | 'lost'])[] = []
  const held = later()
  const asked = later()
  const observe: ResponseObserver = {
    before: (permit) => (permit.target.path.startsWith('/users') ? 'identity_change' : undefined),
    respond: (permit, status) => {
      seen.push([permit.target.path, status])
      asked.resolve()
      return held.promise
    },
  }
  return { observe, seen, asked: asked.promise, release: held.resolve }
}

function fail(): never {
  throw new Error('sync')
}

const ANSWERS: Readonly<Record<string, string>> = {
  '/users/empty': 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  '/users/204': 'HTTP/1.1 204 No Content\r\n\r\n',
  '/users/body': `HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(100_000)}`,
  '/users/chunked': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  '/users/close': 'HTTP/1.0 200 OK\r\n\r\nuntil close',
}

const ENDS: Readonly<Record<string, RegExp>> = {
  '/users/empty': /^HTTP\/1\.1 200 [^]*\r\n\r\n$/,
  '/users/204': /^HTTP\/1\.1 204 [^]*\r\n\r\n$/,
  '/users/body': /^HTTP\/1\.1 200 [^]*\r\n\r\nx{100000}$/,
  '/users/chunked': /^HTTP\/1\.1 200 [^]*\r\n5\r\nhello\r\n0\r\n\r\n$/,
  '/users/close': /^HTTP\/1\.1 200 [^]*\r\nb\r\nuntil close\r\n0\r\n\r\n$/,
}

for (const [path, bytes] of Object.entries(ANSWERS)) {
  for (const method of path === '/users/body' ? ['POST', 'HEAD'] : ['POST']) {
    t.test(`not a byte of the answer to ${method} ${path} before the observer is done`, async (t) => {
      const url = await rawBackend(t, (socket) => {
        perRequest(socket, (head) => {
          const answer = head.startsWith('HEAD') ? bytes.slice(0, bytes.indexOf('\r\n\r\n') + 4) : bytes
          if (!path.endsWith('close')) return answer
          socket.end(answer)
          return undefined
        })
      })
      const { observe, seen, asked, release } = observer()
      const { port } = await gateway(t, url, { observe })
      let first = ''
      const client = connect(port, '127.0.0.1')
      client.on('data', (chunk: Buffer) => (first += chunk.toString('latin1')))
      client.write(get(path, 'Content-Length: 0\r\n', method))
      await asked
      // Everything the upstream sent is here by the time that a whole other exchange is over.
      await raw(port, get('/other'))
      t.equal(first, '')
      release()
      await closed(client)
      t.match(first, method === 'HEAD' ? /^HTTP\/1\.1 200 [^]*100000\r\n[^]*\r\n\r\n$/ : ENDS[path])
      t.strictSame(seen, [[path, method === 'HEAD' ? 200 : Number(bytes.slice(9, 12))]])
    })
  }
}

t.test('what is not observed waits for nothing', async (t) => {
  const url = await httpBackend(t, (_req, res) => res.end('now'))
  const { observe, seen } = observer()
  const { port } = await gateway(t, url, { observe })
  t.match(await raw(port, get('/roms')), /now$/)
  t.strictSame(seen, [])
})

t.test('an observer that fails holds nothing back: the change is a fact', async (t) => {
  const url = await httpBackend(t, (_req, res) => res.end('done'))
  const respond = [fail, () => Promise.reject(new Error('async')), (): void => undefined]
  const observe: ResponseObserver = {
    before: () => 'identity_change',
    respond: () => respond.shift()?.(),
  }
  const { port } = await gateway(t, url, { observe })
  for (let i = 0; i < 3; i++) t.match(await raw(port, get('/')), /done$/)
  t.strictSame(respond, [])
})

t.test('an answer that cannot be given once it is released ends its client, and nobody else', async (t) => {
  const url = await httpBackend(t, (_req, res) => res.end('done'))
  const observe: ResponseObserver = { before: () => 'identity_change', respond: () => Promise.resolve() }
  const { port, report, upstream } = await gateway(t, url, { observe, responseHeaders: fail })
  t.equal(await raw(port, get('/')), '')
  t.match(await report(), { kind: 'cut', status: 200, cause: { message: 'sync' } })
  t.equal(upstream.inFlight, 0)
})

t.test('an observed request that cannot be sent is lost', async (t) => {
  const { observe, seen, release } = observer()
  release()
  const { upstream, failures } = upstreamFor(t, 'http://127.0.0.1:1', { observe })
  const front = await httpBackend(t, (req, res) => {
    const permit = permitFor(req, false, ['X', 'a\u010d\u010ab'])
    upstream.forward(permit, req, res, (report) => res.writeHead(502).end(report.kind))
  })
  t.match(await raw(Number(new URL(front).port), get('/users')), /failed/)
  t.strictSame(seen, [['/users', 'lost']])
  t.strictSame(failures, [], 'by no fault of the upstream')
})

t.test('an observed request survives its client', async (t) => {
  const arrived = later()
  const answer = later()
  const finished = later()
  const url = await httpBackend(t, (_req, res) => {
    res.on('finish', finished.resolve)
    arrived.resolve()
    void answer.promise.then(() => res.end('x'.repeat(500_000)))
  })
  const { observe, seen, release, asked } = observer()
  const { port, report, upstream, connections } = await gateway(t, url, { observe })
  const client = connect(port, '127.0.0.1')
  client.write(get('/users/1', 'Content-Length: 0\r\n', 'DELETE'))
  await arrived.promise
  client.destroy()
  while ((await connections()) > 0) await new Promise(setImmediate)
  answer.resolve()
  await asked
  release()
  t.strictSame(await report(), { kind: 'aborted', status: 200 })
  await finished.promise
  t.strictSame(seen, [['/users/1', 200]])
  t.equal(upstream.inFlight, 0)
})

t.test('an observed upload whose client vanished counts as lost', async (t) => {
  const arrived = later()
  const url = await httpBackend(t, (req) => {
    req.once('data', () => arrived.resolve())
  })
  const { observe, seen, release } = observer()
  const { port, report } = await gateway(t, url, { observe })
  const client = connect(port, '127.0.0.1')
  client.write('PUT /users/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\npart')
  await arrived.promise
  client.destroy()
  release()
  t.strictSame(await report(), { kind: 'aborted', status: undefined })
  t.strictSame(seen, [['/users/1', 'lost']])
})

t.test('so does one that had been received, but not read, when its client vanished', async (t) => {
  const url = await httpBackend(t, () => t.fail('nothing of it is sent'))
  const { observe, seen, release } = observer()
  const { upstream } = upstreamFor(t, url, { observe })
  const ended = later<ForwardReport>()
  const server = createServer((req, res) => {
    client.destroy()
    // As if it had been decided on so long.
    res.once('close', () => upstream.forward(permitFor(req), req, res, ended.resolve))
  })
  t.teardown(() => server.close())
  const client = connect(await portOf(server), '127.0.0.1')
  client.write('PUT /users/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nwhole')
  release()
  t.strictSame(await ended.promise, { kind: 'aborted', status: undefined })
  t.strictSame(seen, [['/users/1', 'lost']])
  t.equal(upstream.inFlight, 0)
})

t.test('an observed request without an answer is lost, and its 502 or 504 is held too', async (t) => {
  const url = await rawBackend(t, (socket) => {
    perRequest(socket, (head) => {
      if (head.includes('/users/dies')) socket.destroy()
      return undefined
    })
  })
  for (const [path, status] of [
    ['/users/dies', 502],
    ['/users/hangs', 504],
  ] as const) {
    const { observe, seen, asked, release } = observer()
    const { port, upstream } = await gateway(t, url, { observe, headersTimeout: 50 })
    const answer = raw(port, get(path, 'Content-Length: 0\r\n', 'POST'))
    await asked
    t.equal(upstream.inFlight, 1, 'still held')
    release()
    t.match(await answer, new RegExp(`^HTTP/1\\.1 ${status} `))
    t.strictSame(seen, [[path, 'lost']])
  }
})

t.test('an answer that is cut while it is held is still held', async (t) => {
  const cut = later()
  const url = await rawBackend(t, (socket) => {
    perRequest(socket, (head) => {
      if (head.includes('/other')) return 'HTTP/1.1 204 No Content\r\n\r\n'
      void cut.promise.then(() => socket.resetAndDestroy())
      return 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf'
    })
  })
  const { observe, seen, asked, release } = observer()
  const { port, report, upstream } = await gateway(t, url, { observe })
  const client = connect(port, '127.0.0.1')
  client.write(get('/users/1', 'Content-Length: 0\r\n', 'POST'))
  await asked
  cut.resolve()
  for (let i = 0; i < 3; i++) await raw(port, get('/other'))
  t.equal(upstream.inFlight, 1)
  release()
  await closed(client.resume())
  for (let i = 0; i < 3; i++) t.match(await report(), { kind: 'answered', status: 204 })
  t.match(await report(), { kind: 'cut', status: 200 })
  t.strictSame(seen, [['/users/1', 200]])
})

t.test('a large answer that is held waits in the upstream, not in our memory', async (t) => {
  const total = 64 * 1024 * 1024
  const started = later<Flood>()
  const url = await httpBackend(t, (_req, res) => started.resolve(flood(res, total)))
  const { observe, asked, release } = observer()
  const { port } = await gateway(t, url, { observe })
  const answer = raw(port, get('/users/export'))
  await asked
  const { sent, stalled } = await started.promise
  await stalled
  t.ok(sent() < total / 2)
  release()
  t.ok((await answer).length > total)
})

t.test('an event stream that is observed starts when it is released', async (t) => {
  const url = await httpBackend(t, (_req, res) => {
    res.writeHead(200).flushHeaders()
    res.write('data: 1\n\n')
  })
  const { observe, asked, release } = observer()
  const { port } = await gateway(t, url, { observe })
  const client = connect(port, '127.0.0.1')
  client.write(get('/users/events'))
  await asked
  release()
  t.match(await until(client, 'data: 1'), /^HTTP\/1\.1 200 /)
  client.destroy()
})
