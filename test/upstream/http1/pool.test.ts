import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createHttpsServer } from 'node:https'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import t from 'tap'
import { ConnectionPool } from '../../../src/upstream/http1/pool.ts'
import { closed, gateway, get, later, perRequest, portOf, raw, rawBackend, until } from '../support.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
/** Of a self-signed certificate for localhost, with its key. */
const PEM = readFileSync(join(import.meta.dirname, 'localhost.pem'), 'utf8')

/** A backend that answers every request with `answer`, and the sockets that were opened to it. */
async function backend(
  test: Pick<typeof t, 'teardown'>,
  answer: string,
): Promise<{ url: string; sockets: Socket[] }> {
  const sockets: Socket[] = []
  const url = await rawBackend(test, (socket) => {
    sockets.push(socket)
    perRequest(socket, () => answer)
  })
  return { url, sockets }
}

t.test('one connection serves one request after another', async (t) => {
  const { url, sockets } = await backend(t, OK)
  const { port } = await gateway(t, url)
  for (let i = 0; i < 3; i++) t.match(await raw(port, get('/')), /ok$/)
  t.equal(sockets.length, 1)
})

t.test('a connection is not used again after an answer that might not be over', async (t) => {
  const answers = {
    'closed by its word': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok',
    'of the old protocol': 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok',
    'with something behind it': `${OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`,
    'kept for no time': 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok',
    'to HEAD, with a body': OK,
  }
  for (const [what, answer] of Object.entries(answers)) {
    const { url, sockets } = await backend(t, answer)
    const { port } = await gateway(t, url)
    const method = what.startsWith('to HEAD') ? 'HEAD' : 'GET'
    for (let i = 0; i < 2; i++) t.match(await raw(port, get('/', '', method)), /^HTTP\/1\.1 200 /, what)
    t.equal(sockets.length, 2, what)
  }
})

t.test('what an upstream says unasked is nobody’s answer', async (t) => {
  const { url, sockets } = await backend(t, OK)
  const { port } = await gateway(t, url)
  await raw(port, get('/'))
  const [socket] = sockets
  if (socket === undefined) throw new Error('no connection')
  const over = closed(socket)
  socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison')
  await over
  t.match(await raw(port, get('/')), /ok$/)
  t.equal(sockets.length, 2)
})

t.test('idle connections are closed after a time, without harm', async (t) => {
  const { url, sockets } = await backend(t, OK)
  const { port, failures } = await gateway(t, url, { keepAliveTimeout: 80 })
  await raw(port, get('/'))
  const [socket] = sockets
  if (socket === undefined) throw new Error('no connection')
  await closed(socket)
  t.match(await raw(port, get('/')), /ok$/)
  t.strictSame(failures, [])
})

t.test('requests at once have connections of their own', async (t) => {
  const both = later()
  let heads = 0
  const url = await rawBackend(t, (socket) => {
    perRequest(socket, () => {
      if (++heads === 2) both.resolve()
      void both.promise.then(() => socket.write(OK))
      return undefined
    })
  })
  const { port } = await gateway(t, url)
  const answers = await Promise.all([raw(port, get('/1')), raw(port, get('/2'))])
  for (const answer of answers) t.match(answer, /ok$/)
})

t.test('an upstream that stops inside its answer is given up', async (t) => {
  const { url } = await backend(t, 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')
  const { port, report } = await gateway(t, url, { bodyTimeout: 50 })
  t.match(await raw(port, get('/')), /half$/)
  t.match(await report(), { kind: 'cut', status: 200, cause: { code: 'ETIMEDOUT' } })
})

t.test('an upstream that does not take the upload is given up', async (t) => {
  const url = await rawBackend(t, (socket) => socket.pause())
  const { port, failures } = await gateway(t, url, { headersTimeout: 100 })
  const stuck = raw(port, Buffer.concat([Buffer.from(post(50_000_000)), Buffer.alloc(50_000_000)]))
  t.match(await stuck, /^HTTP\/1\.1 504 /)
  t.strictSame(failures, ['upstream_timeout'])
})

/** Resolves after so many milliseconds by the clock that a request to a silent upstream is given up by. */
async function aWhile(test: Pick<typeof t, 'teardown'>, milliseconds: number): Promise<void> {
  const silent = await rawBackend(test, (socket) => socket.resume())
  await raw((await gateway(test, silent, { headersTimeout: milliseconds })).port, get('/'))
}

t.test('a client that is slow with its upload is waited for, longer than an upstream would be', async (t) => {
  const brief = { connectTimeout: 50, headersTimeout: 50, keepAliveTimeout: 50 }
  const pieces = {
    'before its body': ['', 'one', 'two'],
    'inside its body': ['one', 'two'],
  }
  for (const [what, [first = '', ...rest]] of Object.entries(pieces)) {
    const total = first.length + rest.join('').length
    let got = 0
    let arrived = later()
    const url = await rawBackend(t, (socket) => {
      socket.on('data', (chunk: Buffer) => {
        const end = chunk.indexOf('\r\n\r\n')
        if (chunk.includes('GET /warm')) return void socket.write(OK)
        got += end === -1 ? chunk.length : chunk.length - end - 4
        if (got >= first.length) arrived.resolve()
        if (got === total) socket.write(OK)
      })
    })
    const { port, failures } = await gateway(t, url, brief)
    for (const warm of [false, true]) {
      got = 0
      arrived = later()
      if (warm) await raw(port, get('/warm'))
      const client = connect(port, '127.0.0.1')
      client.write(`${post(total)}${first}`)
      if (first !== '') await arrived.promise
      for (const piece of rest) {
        await aWhile(t, 200)
        client.write(piece)
      }
      t.match(await until(client, 'ok'), /^HTTP\/1\.1 200 /, `${what}, ${warm ? 'used' : 'new'} connection`)
      client.destroy()
    }
    t.strictSame(failures, [], what)
  }
})

t.test('an upstream that has taken all there was is not waited for', async (t) => {
  const url = await rawBackend(t, (socket) => {
    let got = 0
    socket.on('data', (chunk: Buffer) => (got += chunk.length) >= 200_005 && socket.write(OK))
  })
  const times = { connectTimeout: 5_000, headersTimeout: 50, bodyTimeout: 5_000, keepAliveTimeout: 5_000 }
  const pool = new ConnectionPool(url, { ...times, maxHeaderSize: 8_192 })
  t.teardown(() => pool.destroy())
  const drained = later()
  const ended = later<Error | undefined>()
  const connection = pool.start(
    {
      method: 'POST',
      onReady: (ready) => {
        ready.send('head', true)
        const takesMore = ready.together((to) => to.sendPiece(Buffer.alloc(200_000)), drained.resolve)
        t.notOk(takesMore)
      },
      onBegun: () => undefined,
      onHead: () => undefined,
      onData: () => undefined,
      onEnd: () => ended.resolve(undefined),
      onError: ended.resolve,
    },
    false,
  )
  await drained.promise
  await aWhile(t, 200)
  connection.together((to) => to.sendPiece('.'), drained.resolve)
  connection.sent()
  t.equal(await ended.promise, undefined)
})

t.test(
  'an upload whose connection closes before anything of it was sent goes by another one, once',
  async (t) => {
    const seen: string[] = []
    const sockets: Socket[] = []
    const url = await rawBackend(t, (socket) => {
      sockets.push(socket)
      perRequest(socket, (head) => {
        seen.push(head.slice(0, head.indexOf(' ')))
        return OK
      })
    })
    const { port, upstream, failures } = await gateway(t, url)
    await raw(port, get('/'))
    const client = connect(port, '127.0.0.1')
    client.write(post(3))
    while (upstream.inFlight === 0) await new Promise(setImmediate)
    sockets[0]?.end()
    while (sockets.length < 2) await new Promise(setImmediate)
    client.write('abc')
    t.match(await until(client, 'ok'), /^HTTP\/1\.1 200 /)
    client.destroy()
    t.strictSame(seen, ['GET', 'POST'])
    t.strictSame(failures, [])
  },
)

function post(length: number): string {
  return `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n`
}

t.test('over TLS, to the host that the certificate names and no other', async (t) => {
  setDefaultCACertificates([...getCACertificates(), PEM])
  const server = createHttpsServer({ key: PEM, cert: PEM }, (req, res) => res.end(`${req.method} ${req.url}`))
  const port = await portOf(server)
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const good = await gateway(t, `https://localhost:${port}`)
  t.match(await raw(good.port, get('/x')), /GET \/x$/)
  t.match(await raw(good.port, `${post(3)}abc`), /POST \/$/)
  const { port: other, report } = await gateway(t, `https://127.0.0.1:${port}`)
  t.match(await raw(other, get('/x')), /^HTTP\/1\.1 502 /)
  t.match(await report(), { kind: 'failed', cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' } })
})

t.test('an upstream that never finishes the handshake is given up', async (t) => {
  const server = createServer((socket) => socket.on('error', () => undefined).resume())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const { port: edge, failures } = await gateway(t, `https://127.0.0.1:${port}`, { connectTimeout: 50 })
  t.match(await raw(edge, get('/')), /^HTTP\/1\.1 504 /)
  t.strictSame(failures, ['upstream_timeout'])
})

t.test('closing leaves no connection open', async (t) => {
  const { url, sockets } = await backend(t, OK)
  const { port, upstream } = await gateway(t, url)
  await raw(port, get('/'))
  await upstream.close(0)
  for (const socket of sockets) await closed(socket)
  t.equal(sockets.length, 1)
})

/** In a process of its own, since what is thrown is caught by nobody. */
const THROWER = `
  import { ConnectionPool } from ${JSON.stringify(new URL('../../../src/upstream/http1/pool.ts', import.meta.url).href)}
  const bounds = { connectTimeout: 9000, headersTimeout: 9000, bodyTimeout: 9000, keepAliveTimeout: 9000, maxHeaderSize: 8192 }
  const pool = new ConnectionPool(process.argv[1], bounds)
  const ask = (onEnd) => pool.start({
    method: 'GET',
    onReady: (connection) => connection.send('GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n', false),
    onBegun() {},
    onHead() {},
    onData() {},
    onEnd,
    onError: (error) => console.log('failed:', error.message),
  }, false)
  process.on('uncaughtException', ({ message }) => console.log('thrown:', message))
  ask(() => {
    ask(() => console.log('answered') ?? pool.destroy())
    throw new Error('behind the first')
  })`

t.test('what is thrown behind an exchange does not fail the next one on its connection', async (t) => {
  const { url, sockets } = await backend(t, OK)
  const child = spawn(process.execPath, ['--input-type=module', '-e', THROWER, url])
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout })) lines.push(line)
  t.same(lines, ['thrown: behind the first', 'answered'])
  t.equal(sockets.length, 1)
})
