import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import t from 'tap'
import {
  closed,
  type Flood,
  flood,
  gateway,
  get,
  httpBackend,
  later,
  perRequest,
  raw,
  rawBackend,
  until,
} from './support.ts'

const MB = 1024 * 1024

function post(headers: string, target = '/upload'): string {
  return `POST ${target} HTTP/1.1\r\nHost: games.example\r\n${headers}\r\n`
}

/** Writes `total` bytes as fast as they are taken. */
async function pour(socket: Socket, total: number, wrote: (bytes: number) => void = () => {}): Promise<void> {
  const block = Buffer.alloc(256 * 1024, 'x')
  const over = closed(socket)
  for (let left = total; left > 0 && !socket.destroyed; left -= block.length) {
    const piece = left < block.length ? block.subarray(0, left) : block
    wrote(piece.length)
    if (!socket.write(piece))
      await Promise.race([new Promise((drained) => socket.once('drain', drained)), over])
  }
}

t.test('200 MB go up with their Content-Length, no faster than they are read there', async (t) => {
  const total = 200 * MB
  let length: string | undefined
  let sent = 0
  let peak = 0
  const url = await httpBackend(t, (req, res) => {
    length = req.headers['content-length']
    let got = 0
    req.on('data', (chunk: Buffer) => {
      got += chunk.length
      peak = Math.max(peak, sent - got)
    })
    req.on('end', () => res.end(`got ${got}`))
  })
  const { port } = await gateway(t, url)
  const client = connect(port, '127.0.0.1')
  client.write(post(`Content-Length: ${total}\r\n`))
  const answer = until(client, `got ${total}`)
  await pour(client, total, (bytes) => (sent += bytes))
  await answer
  t.equal(length, String(total))
  t.ok(peak < 40 * MB, `${Math.round(peak / MB)} MB on their way at most, kernel buffers included`)
  client.write(get('/again'))
  await until(client, 'got 0')
  await closed(client)
})

t.test('a chunked upload stays chunked, its trailers are dropped', async (t) => {
  const seen = later<string>()
  const started = later()
  const url = await rawBackend(t, (socket) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (text.includes('hello')) started.resolve()
      if (!text.endsWith('0\r\n\r\n')) return
      seen.resolve(text)
      socket.write('HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n')
    })
  })
  const { port } = await gateway(t, url)
  const client = connect(port, '127.0.0.1')
  client.write(post('Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n') + '5\r\nhello\r\n')
  await started.promise
  client.write('6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n')
  t.match(await until(client, '\r\n\r\n'), /^HTTP\/1\.1 201 /)
  const text = await seen.promise
  t.match(text, /\r\nTransfer-Encoding: chunked\r\n/)
  t.notMatch(text, /content-length|x-sum|trailer/i)
  t.equal(text.slice(text.indexOf('\r\n\r\n')).replace(/\r\n[0-9a-f]*/g, ''), 'hello world')
  client.destroy()
})

t.test('a POST without body and a GET with one arrive as such', async (t) => {
  const url = await httpBackend(t, (req, res) => {
    let body = ''
    req.on('data', (chunk: Buffer) => (body += chunk.toString()))
    req.on('end', () => res.end(`${req.method} ${req.headers['content-length']} ${body}`))
  })
  const { port } = await gateway(t, url)
  t.match(await raw(port, get('/', 'Content-Length: 0\r\n', 'POST')), /POST 0 $/)
  t.match(await raw(port, `${get('/', 'Content-Length: 3\r\n')}abc`), /GET 3 abc$/)
  t.match(await raw(port, `${get('/', 'Content-Length: 3\r\n', 'DELETE')}abc`), /DELETE 3 abc$/)
})

t.test('pipelined requests with bodies are answered in order on one connection', async (t) => {
  const url = await httpBackend(t, (req, res) => {
    req.resume().on('end', () => res.end(`<${req.url}>`))
  })
  const { port } = await gateway(t, url)
  const text = `${post('Content-Length: 2\r\n', '/1')}ab${post('Content-Length: 3\r\n', '/2')}abc${get('/3')}`
  t.match(await raw(port, text), /<\/1>[^]*<\/2>[^]*<\/3>$/)
})

t.test(
  '100 Continue is sent by us, after the upstream is connected, and Expect goes no further',
  async (t) => {
    let head = ''
    const url = await rawBackend(t, (socket) => {
      perRequest(socket, (text) => {
        if (head === '') head = text
        return 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
      })
    })
    const { port } = await gateway(t, url)
    const client = connect(port, '127.0.0.1')
    client.write(post('Content-Length: 4\r\nExpect: 100-continue\r\n'))
    t.equal(await until(client, '\r\n\r\n'), 'HTTP/1.1 100 Continue\r\n\r\n')
    client.write('body')
    t.match(await until(client, '\r\n\r\n'), /^HTTP\/1\.1 200 /)
    t.notMatch(head, /expect/i)
    client.destroy()
  },
)

t.test('no 100 Continue where the upstream cannot be reached', async (t) => {
  const { port } = await gateway(t, 'http://127.0.0.1:1')
  const client = connect(port, '127.0.0.1')
  client.write(post('Content-Length: 4\r\nExpect: 100-continue\r\n'))
  t.match(await until(client, 'upstream_unreachable'), /^HTTP\/1\.1 502 /)
  client.destroy()
})

t.test('a slow reader slows the upstream down instead of filling our memory', async (t) => {
  const started = later<Flood>()
  const url = await httpBackend(t, (_req, res) => started.resolve(flood(res, 100 * MB)))
  const { port, report } = await gateway(t, url)
  const client = connect(port, '127.0.0.1')
  client.pause()
  client.write(get('/'))
  const { sent, stalled } = await started.promise
  await stalled
  t.ok(sent() < 50 * MB, `${Math.round(sent() / MB)} MB left the upstream`)
  client.resume()
  await closed(client)
  t.match(await report(), { kind: 'answered', status: 200 })
  t.equal(sent(), 100 * MB)
})

t.test('a download arrives byte for byte', async (t) => {
  const body = randomBytes(5 * MB + 13)
  const url = await httpBackend(t, (_req, res) => res.setHeader('Content-Length', body.length).end(body))
  const { port } = await gateway(t, url)
  const answer = await raw(port, get('/'))
  t.ok(answer.endsWith(`\r\n\r\n${body.toString('latin1')}`))
})

t.test('the client leaves: the upstream is told, in either direction', async (t) => {
  const gone = [later(), later(), later()]
  const url = await rawBackend(t, (socket) => {
    socket.once('data', (chunk: Buffer) => {
      const nth = Number(/\/(\d)/.exec(chunk.toString())?.[1])
      socket.once('close', () => gone[nth]?.resolve()).resume()
      if (nth === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nsome')
    })
  })
  const { port, report, failures, upstream } = await gateway(t, url)

  const waiting = connect(port, '127.0.0.1')
  waiting.write(get('/0'))
  while (upstream.inFlight === 0) await new Promise(setImmediate)
  waiting.destroy()
  t.strictSame(await report(), { kind: 'aborted', status: undefined })
  await gone[0]?.promise

  const reading = connect(port, '127.0.0.1')
  reading.write(get('/1'))
  await until(reading, 'some')
  reading.destroy()
  t.strictSame(await report(), { kind: 'aborted', status: 200 })
  await gone[1]?.promise

  const sending = connect(port, '127.0.0.1')
  sending.write(`${post('Content-Length: 100\r\n', '/2')}part`)
  while (upstream.inFlight === 0) await new Promise(setImmediate)
  sending.destroy()
  t.strictSame(await report(), { kind: 'aborted', status: undefined })
  await gone[2]?.promise
  t.strictSame(failures, [], 'that is nobody’s failure')
  t.equal(upstream.inFlight, 0)
})

t.test('the upstream dies in mid-upload: the client can read the 502', async (t) => {
  const url = await rawBackend(t, (socket) => {
    let got = 0
    socket.on('data', (chunk: Buffer) => {
      got += chunk.length
      if (got > 100_000) socket.destroy()
    })
  })
  const { port, report } = await gateway(t, url)
  const client = connect(port, '127.0.0.1')
  client.on('error', () => undefined)
  client.write(post(`Content-Length: ${10 * MB}\r\n`))
  const answer = until(client, 'upstream_unreachable')
  client.write(Buffer.alloc(200_000))
  t.match(await answer, /^HTTP\/1\.1 502 /)
  t.match(await report(), { kind: 'failed', reason: 'upstream_unreachable' })
  client.destroy()
})

t.test('an answer that comes before the body is there is read, then we close', async (t) => {
  const url = await rawBackend(t, (socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig')
      socket.resume()
    })
  })
  const { port, report } = await gateway(t, url)
  for (const rest of [1, 20 * MB]) {
    const client = connect(port, '127.0.0.1')
    client.on('error', () => undefined)
    const answer = until(client, 'big')
    client.write(`${post(`Content-Length: ${rest + 4}\r\n`)}part`)
    if (rest > 1) void pour(client, rest)
    t.match(await answer, /^HTTP\/1\.1 413 [^]*Connection: close\r\n\r\nbig$/)
    t.match(await report(), { kind: 'answered', status: 413 })
    if (rest === 1) client.write('!')
    await closed(client)
  }
  // One that reads only when all is sent: a connection closed at once would have lost it the answer.
  const patient = connect(port, '127.0.0.1')
  const errors: Error[] = []
  patient.on('error', (error) => errors.push(error)).pause()
  patient.write(`${post(`Content-Length: ${MB / 2 + 4}\r\n`)}part`)
  t.match(await report(), { kind: 'answered', status: 413 })
  for (let piece = 0; piece < 8; piece++) {
    await new Promise((written) => patient.write(Buffer.alloc(MB / 16), written))
    // A round for either end of the connection.
    for (let round = 0; round < 4; round++) await new Promise(setImmediate)
  }
  t.match(await until(patient.resume(), 'big'), /^HTTP\/1\.1 413 /)
  await closed(patient)
  t.strictSame(errors, [])
})
