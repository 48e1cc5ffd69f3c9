import { connect } from 'node:net'
import t from 'tap'
import { PosternError } from '../../src/errors.ts'
import type { Permit } from '../../src/pipeline/permit.ts'
import { endToEnd } from '../../src/upstream/headers.ts'
import { failureOf, isStaleConnection } from '../../src/upstream/failure.ts'
import { gateway, get, httpBackend, later, perRequest, permitFor, raw, rawBackend, until } from './support.ts'

t.test('the target reaches the upstream byte for byte', async (t) => {
  const lines: string[] = []
  const url = await rawBackend(t, (socket) => {
    perRequest(socket, (head) => {
      lines.push(head.slice(0, head.indexOf('\r\n')))
      return 'HTTP/1.1 204 No Content\r\n\r\n'
    })
  })
  const { port } = await gateway(t, url)
  const targets = [
    "/a%20b/%25252F;x=1,2@:$&'()*+!~",
    '/roms/%C3%A9t%C3%A9.zip',
    '/q?',
    '/q??a=/../b//c&d=%2F%2e%zz[]{}|^"<>`',
    '/%23/%3F/%25',
    '/trailing/',
    `/long/${'x'.repeat(7000)}`,
  ]
  for (const target of targets) await raw(port, get(target))
  t.strictSame(
    lines,
    targets.map((target) => `GET ${target} HTTP/1.1`),
  )
})

t.test('what goes up is the permit and nothing else', async (t) => {
  const heads: string[] = []
  const url = await rawBackend(t, (socket) => {
    perRequest(socket, (head) => {
      heads.push(head)
      return 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
    })
  })
  const { port } = await gateway(t, url)
  await raw(port, get('/', 'X-One: 1\r\nx-two: \xe9\r\nX-One: 3\r\nRange: bytes=5-9\r\nUpgrade: h2c\r\n'))
  t.equal(
    heads[0],
    'GET / HTTP/1.1\r\nHost: games.example\r\n' +
      'X-One: 1\r\nx-two: \xc3\xa9\r\nX-One: 3\r\nRange: bytes=5-9\r\nConnection: keep-alive',
  )
})

t.test('an answer keeps its status, reason, order, case, bytes and every Set-Cookie', async (t) => {
  const url = await rawBackend(t, (socket) => {
    perRequest(
      socket,
      () =>
        'HTTP/1.1 206 Some Of It\r\nDate: now\r\nX-Latin: \xe9\r\nSet-Cookie: a=1; Path=/\r\nContent-LENGTH: 5\r\n' +
        'set-cookie: b=2\r\nContent-Range: bytes 5-9/20\r\nSet-Cookie: c=3\r\n\r\nhello',
    )
  })
  const { port, report } = await gateway(t, url)
  const answer = await raw(port, get('/', 'Range: bytes=5-9\r\n'))
  t.equal(
    answer,
    'HTTP/1.1 206 Some Of It\r\nDate: now\r\nX-Latin: \xe9\r\nSet-Cookie: a=1; Path=/\r\nContent-LENGTH: 5\r\n' +
      'set-cookie: b=2\r\nContent-Range: bytes 5-9/20\r\nSet-Cookie: c=3\r\nConnection: close\r\n\r\nhello',
  )
  t.strictSame(await report(), { kind: 'answered', status: 206 })
})

t.test('hop-by-hop headers of an answer end here, and so do those its Connection names', async (t) => {
  const url = await rawBackend(t, (socket) => {
    perRequest(
      socket,
      () =>
        'HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Secret-Hop\r\nConnection: x-other\r\nX-Secret-Hop: 1\r\n' +
        'X-Other: 2\r\nKeep-Alive: timeout=77\r\nProxy-Authenticate: Basic\r\nTE: trailers\r\nTrailer: X-Sum\r\n' +
        'Upgrade: h2c\r\nX-Kept: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 9\r\n\r\n',
    )
  })
  const { port } = await gateway(t, url)
  const answer = await raw(port, get('/'))
  t.match(answer, /\r\nX-Kept: 3\r\n/)
  t.match(answer, /\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/, 'chunked anew, without the trailer')
  t.notMatch(answer, /secret|other|timeout=77|proxy-auth|\r\nTE:|trailer|h2c|x-sum/i)
})

t.test('headers are cleaned whatever they look like', (t) => {
  t.strictSame(endToEnd(['A', '1', 'CONNECTION', 'B', 'b', '2', 'A', '3'], 'B'), ['A', '1', 'A', '3'])
  t.strictSame(endToEnd([Buffer.from('K'), Buffer.from('\xff', 'latin1')], undefined), ['K', '\xff'])
  t.strictSame(endToEnd(['B', '1', 'C', '2', 'D', '3'], ['b', 'keep-alive, c']), ['D', '3'])
  t.end()
})

t.test('HEAD, 204 and 304 have no body, and HEAD keeps the connection to the upstream', async (t) => {
  let connections = 0
  const url = await rawBackend(t, (socket) => {
    connections++
    perRequest(socket, (head) => {
      if (head.startsWith('HEAD'))
        return 'HTTP/1.1 200 OK\r\nDate: d\r\nConnection: keep-alive\r\nContent-Length: 12345\r\n\r\n'
      if (head.includes('/304'))
        return 'HTTP/1.1 304 Not Modified\r\nDate: d\r\nETag: "x"\r\nContent-Length: 7\r\n\r\n'
      return 'HTTP/1.1 204 No Content\r\nDate: d\r\n\r\n'
    })
  })
  const { port } = await gateway(t, url)
  const head = 'HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 12345\r\nConnection: close\r\n\r\n'
  t.equal(await raw(port, get('/', '', 'HEAD')), head)
  t.equal(await raw(port, get('/', '', 'HEAD')), head)
  t.equal(await raw(port, get('/')), 'HTTP/1.1 204 No Content\r\nDate: d\r\nConnection: close\r\n\r\n')
  t.equal(connections, 1)
  const notModified = await raw(port, get('/304'))
  t.equal(
    notModified,
    'HTTP/1.1 304 Not Modified\r\nDate: d\r\nETag: "x"\r\nContent-Length: 7\r\nConnection: close\r\n\r\n',
  )
})

t.test('interim answers are dropped, the final one is passed on', async (t) => {
  const url = await rawBackend(t, (socket) => {
    perRequest(
      socket,
      () =>
        'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n' +
        'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    )
  })
  const { port } = await gateway(t, url)
  const answer = await raw(port, get('/'))
  t.match(answer, /^HTTP\/1\.1 200 OK\r\n/)
  t.notMatch(answer, /10[23]|Link/)
  t.match(answer, /ok$/)
})

t.test('an upstream that switches protocols unasked is answered 502', async (t) => {
  const url = await rawBackend(t, (socket) => {
    perRequest(socket, () => 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
  })
  const { port, report } = await gateway(t, url)
  t.match(await raw(port, get('/')), /^HTTP\/1\.1 502 /)
  t.match(await report(), { kind: 'failed', reason: 'upstream_unreachable' })
})

t.test('an event stream is passed on as it comes, its headers before its first event', async (t) => {
  const first = later()
  const url = await httpBackend(t, (_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    void first.promise.then(() => res.write('data: 1\n\n'))
  })
  const { port } = await gateway(t, url)
  const client = connect(port, '127.0.0.1')
  client.write(get('/'))
  t.match(await until(client, '\r\n\r\n'), /text\/event-stream/)
  first.resolve()
  t.match(await until(client, 'data: 1'), /data: 1\n\n/)
  client.destroy()
})

t.test('an answer without length, ended by closing, is passed on whole', async (t) => {
  const url = await rawBackend(t, (socket) => {
    perRequest(socket, () => {
      socket.end('HTTP/1.0 200 OK\r\n\r\nall of it')
      return undefined
    })
  })
  const { port } = await gateway(t, url)
  t.match(await raw(port, get('/')), /\r\n\r\n9\r\nall of it\r\n0\r\n\r\n$/)
})

t.test('a reason phrase with foreign bytes does not cost the answer', async (t) => {
  const url = await rawBackend(t, (socket) => {
    perRequest(socket, () => 'HTTP/1.1 200 \xe2\x9c\x93\r\nContent-Length: 2\r\n\r\nok')
  })
  const { port } = await gateway(t, url)
  t.match(await raw(port, get('/')), /^HTTP\/1\.1 200 OK\r\n[^]*ok$/)
})

t.test('a hook has the last word on the headers', async (t) => {
  const url = await httpBackend(t, (_req, res) => res.setHeader('Set-Cookie', ['a=1', 'b=2']).end('x'))
  const { port } = await gateway(t, url, {
    responseHeaders: (permit, headers) => [
      ...headers.filter((_, i) => headers[i - (i % 2)] !== 'Set-Cookie'),
      'X-Request-Id',
      permit.requestId,
    ],
  })
  const answer = await raw(port, get('/'))
  t.notMatch(answer, /Set-Cookie/)
  t.match(answer, /X-Request-Id: r\r\n/)
})

t.test('nobody listens at the upstream: the caller answers 502', async (t) => {
  const { port, report, failures, upstream } = await gateway(t, 'http://127.0.0.1:1')
  t.match(await raw(port, get('/')), /^HTTP\/1\.1 502 [^]*upstream_unreachable/)
  t.match(await report(), { kind: 'failed', reason: 'upstream_unreachable', cause: { code: 'ECONNREFUSED' } })
  t.strictSame(failures, ['upstream_unreachable'])
  t.equal(upstream.inFlight, 0)
})

t.test('an upstream that never answers: the caller answers 504', async (t) => {
  const url = await rawBackend(t, (socket) => socket.resume())
  const { port, failures } = await gateway(t, url, { headersTimeout: 50 })
  t.match(await raw(port, get('/')), /^HTTP\/1\.1 504 [^]*upstream_timeout/)
  t.strictSame(failures, ['upstream_timeout'])
})

t.test('answers that could be read in two ways are refused', async (t) => {
  const bad = {
    '/both': 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    '/two': 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello',
    '/big': `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
    '/noise': 'SSH-2.0-OpenSSH_9.2\r\n\r\n',
  }
  const url = await rawBackend(t, (socket) => {
    perRequest(socket, (head) => Object.entries(bad).find(([path]) => head.includes(path))?.[1])
  })
  const { port } = await gateway(t, url)
  for (const path of Object.keys(bad)) t.match(await raw(port, get(path)), /^HTTP\/1\.1 502 /, path)
})

t.test('the upstream breaks off inside its answer: the client sees that it is incomplete', async (t) => {
  const url = await rawBackend(t, (socket) => {
    perRequest(socket, () => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf', () => socket.destroy())
      return undefined
    })
  })
  const { port, report, failures } = await gateway(t, url)
  const answer = await raw(port, get('/'))
  t.match(answer, /^HTTP\/1\.1 200 OK/)
  t.notMatch(answer, /HTTP\/1\.1 50/)
  t.match(await report(), { kind: 'cut', status: 200 })
  t.strictSame(failures, ['upstream_unreachable'])
})

t.test('an idle connection that the upstream closes just then: a GET is sent once more', async (t) => {
  let connections = 0
  const url = await rawBackend(t, (socket) => {
    connections++
    perRequest(socket, (_head, nth) => {
      // The second request on any connection meets one that is closing.
      if (nth === 0) return 'HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok'
      socket.destroy()
      return undefined
    })
  })
  const { port, failures } = await gateway(t, url)
  for (const method of ['GET', 'HEAD', 'OPTIONS']) {
    t.match(await raw(port, get('/', '', method)), /^HTTP\/1\.1 200 /, method)
    t.match(await raw(port, get('/', '', method)), /^HTTP\/1\.1 200 /, method)
  }
  t.equal(connections, 6)
  const post = get('/', 'Content-Length: 0\r\n', 'POST')
  t.match(await raw(port, post), /^HTTP\/1\.1 502 /, 'a POST is not')
  t.match(await raw(port, post), /^HTTP\/1\.1 200 /)
  t.strictSame(failures, ['upstream_unreachable'])
})

t.test('a request is sent twice at most', async (t) => {
  let seen = 0
  const url = await rawBackend(t, (socket) => {
    perRequest(socket, () => {
      seen++
      socket.destroy()
      return undefined
    })
  })
  const { port } = await gateway(t, url)
  t.match(await raw(port, get('/')), /^HTTP\/1\.1 502 /)
  t.equal(seen, 2)
})

t.test('only safe methods and only broken connections are tried again', (t) => {
  const reset = Object.assign(new Error('reset'), { code: 'ECONNRESET' })
  const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
  t.ok(isStaleConnection(reset, 'GET'))
  t.notOk(isStaleConnection(reset, 'DELETE'))
  t.notOk(isStaleConnection(refused, 'GET'))
  t.equal(failureOf(Object.assign(new Error('slow'), { code: 'ETIMEDOUT' })), 'upstream_timeout')
  t.equal(failureOf('no error at all'), 'upstream_unreachable')
  t.end()
})

t.test('a permit works once, and only for what it was issued for', async (t) => {
  const url = await httpBackend(t, (_req, res) => res.end('x'))
  const { upstream } = await gateway(t, url)
  const spent = later<unknown>()
  const wrong = later<unknown>()
  const front = await httpBackend(t, (req, res) => {
    const permit: Permit = permitFor(req)
    upstream.forward(permit, req, res, () => undefined)
    try {
      upstream.forward(permit, req, res, () => undefined)
    } catch (error) {
      spent.resolve(error)
    }
    try {
      upstream.upgrade(permitFor(req), req.socket, Buffer.alloc(0), () => undefined)
    } catch (error) {
      wrong.resolve(error)
    }
  })
  t.match(await raw(Number(new URL(front).port), get('/')), /x$/)
  t.match(await spent.promise, new PosternError('permit_spent'))
  t.match(await wrong.promise, { code: 'internal' })
})

t.test('a permit that would be more than one request is not sent', async (t) => {
  let heads = 0
  const url = await rawBackend(t, (socket) => perRequest(socket, () => `${heads++}`))
  const { upstream } = await gateway(t, url)
  const front = await httpBackend(t, (req, res) => {
    // In one byte each they would be line ends.
    const permit = permitFor(req, false, ['X', 'a\u010d\u010a\u010d\u010aGET /admin HTTP/1.1'])
    upstream.forward(permit, req, res, (report) => res.writeHead(502).end(report.kind))
  })
  t.match(await raw(Number(new URL(front).port), get('/')), /^HTTP\/1\.1 502 [^]*failed/)
  t.equal(upstream.inFlight, 0)
  t.equal(heads, 0)
})

t.test('requests in flight are counted, and closing waits for them', async (t) => {
  const arrived = later()
  const release = later()
  const url = await httpBackend(t, (_req, res) => {
    arrived.resolve()
    void release.promise.then(() => res.end('late'))
  })
  const { port, upstream, report } = await gateway(t, url)
  const answer = raw(port, get('/'))
  await arrived.promise
  t.equal(upstream.inFlight, 1)
  const closing = upstream.close(60_000)
  release.resolve()
  t.match(await answer, /late$/)
  await closing
  t.match(await report(), { kind: 'answered', status: 200 })
  t.equal(upstream.inFlight, 0)
})

t.test('closing does not wait longer than it was told to', async (t) => {
  const url = await rawBackend(t, (socket) => socket.resume())
  const { port, upstream, report } = await gateway(t, url, { connections: 1 })
  const answers = [raw(port, get('/running')), raw(port, get('/queued'))]
  while (upstream.inFlight + upstream.waiting < 2) await new Promise(setImmediate)
  await upstream.close(1)
  for (const answer of answers) t.match(await answer, /^HTTP\/1\.1 502 /)
  t.match(await report(), { kind: 'failed' })
})
