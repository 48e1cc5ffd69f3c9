/** Where one message ends and the next begins, how much of it comes, and how slowly. */
import { once } from 'node:events'
import t from 'tap'
import { ASK_FREELY, fixture, isRefusal, lines, message, RawClient, talk } from '../gateway/support.ts'
import { freshGateway } from '../support/gateway.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import type { Received } from '../support/romm/standin.ts'
import { holdHeartbeat } from './support.ts'

const standin = await freshStandin(t)
const settings = { ...ASK_FREELY, 'upstream.url': standin.url, 'romm.secret': fixture.secret }
const { port } = await freshGateway(t, settings)

/** What was forwarded: the gateway's own questions have no id. */
const forwarded = (): Received[] => standin.requests.filter(({ headers }) => 'x-request-id' in headers)

const HOST = 'Host: games.example\r\n'
const OPEN = 'GET /api/heartbeat HTTP/1.1\r\n'
const GOOD = `${OPEN}${HOST}\r\n`
/** The same for Node's server: connections of plain requests have a reader of their own. */
const UNUSUAL = `${OPEN}${HOST}Content-Length: 0\r\n\r\n`
const SAVES = '/api/saves?rom_id=1'
const MiB = 1024 * 1024
const chunked = `Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`
/** As one who may: what is refused is the form. */
const upload = (fields: string): string =>
  `POST ${SAVES} HTTP/1.1\r\n${HOST}${lines(as('rmm admin all')).join('\r\n')}\r\n${fields}`

const malformed = (what: string, bytes: string) => ({ what, bytes })

for (const { what, bytes } of [
  malformed('length and chunked', upload(`Content-Length: 5\r\n${chunked}`)),
  malformed('two lengths', upload('Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello')),
  malformed('the same length twice', upload('Content-Length: 0\r\nContent-Length: 0\r\n\r\n')),
  malformed('a list of lengths', upload('Content-Length: 0, 0\r\n\r\n')),
  malformed('a signed length', upload('Content-Length: +5\r\n\r\nhello')),
  malformed('a hexadecimal length', upload('Content-Length: 0x5\r\n\r\nhello')),
  malformed('another coding before chunked', upload('Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n')),
  malformed('another coding', upload('Transfer-Encoding: gzip\r\n\r\n')),
  malformed('chunked twice', upload(`Transfer-Encoding: chunked\r\n${chunked}`)),
  malformed('chunked with a tab', upload('Transfer-Encoding:\tchunked, identity\r\n\r\n0\r\n\r\n')),
  malformed('chunked in HTTP/1.0', upload(chunked).replace('HTTP/1.1', 'HTTP/1.0')),
  malformed('a folded header', `${OPEN}${HOST}X-A: b\r\n c\r\n\r\n`),
  malformed('bare line feeds', `${OPEN}${HOST}\r\n`.replaceAll('\r', '')),
  malformed('a bare carriage return', `${OPEN}${HOST}X-A: b\rX-B: c\r\n\r\n`),
  malformed('a space before the colon', `${OPEN}${HOST}X-A : b\r\n\r\n`),
  malformed('NUL in a value', `${OPEN}${HOST}X-A: b\0c\r\n\r\n`),
  malformed('HTTP/2.0', `${OPEN}${HOST}\r\n`.replace('1.1', '2.0')),
  malformed('HTTP/0.9', `${OPEN}${HOST}\r\n`.replace('1.1', '0.9')),
  malformed('no version', 'GET /api/heartbeat\r\n\r\n'),
  malformed('CONNECT', `CONNECT games.example:443 HTTP/1.1\r\n${HOST}\r\n`),
  malformed('a method in small letters', `get /api/heartbeat HTTP/1.1\r\n${HOST}\r\n`),
  malformed('TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
  malformed('HTTP/2 with prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  malformed('a NUL in the target', `GET /api/\0 HTTP/1.1\r\n${HOST}\r\n`),
  malformed('a space in the target', `GET /api/ x HTTP/1.1\r\n${HOST}\r\n`),
  malformed('raw UTF-8 in the target', `GET /api/\xc3\xa9 HTTP/1.1\r\n${HOST}\r\n`),
]) {
  t.test(`${what}: 400, nothing of it reaches the backend, and nothing behind it is read`, async (t) => {
    standin.forget()
    const client = await RawClient.open(t, port)
    const answer = await client.send(bytes).answer()
    isRefusal(t, answer, 400, 'malformed_request')
    t.match(answer.one('connection'), /close/)
    await client.ended()
    t.equal(client.rest, '')
    t.same(forwarded(), [])
  })
}

t.test('TRACE is refused, and its connection goes on', async (t) => {
  const answer = await talk(t, port, `TRACE /api/heartbeat HTTP/1.1\r\n${HOST}\r\n`)
  isRefusal(t, answer, 400, 'malformed_request')
  t.equal((await answer.client.send(GOOD).answer()).status, 200)
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

t.test('a 100 that was expected behind an answer that is due does not get into the next one', async (t) => {
  const held = Promise.withResolvers<() => void>()
  const answered = Promise.withResolvers<void>()
  standin.intercept = ({ url }, response) => {
    if (url === '/api/heartbeat') held.resolve(() => response.end())
    if (url !== SAVES) return url === '/api/heartbeat'
    response.once('finish', answered.resolve).end('saved')
    return true
  }
  t.teardown(() => (standin.intercept = undefined))
  const client = await RawClient.open(t, port)
  client.send(`${GOOD}${upload('Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello')}`)
  const release = await held.promise
  await answered.promise
  // Whatever was asked on another connection after it has come back: so has the answer to the upload.
  t.equal((await talk(t, port, message('/api/platforms', lines(as('rmm admin all'))))).status, 200)
  release()
  t.equal((await client.answer()).status, 200)
  const answer = await client.answer()
  t.equal(answer.status, 200)
  t.equal(answer.body, 'saved')
  t.equal(client.rest, '')
})

t.test('what is malformed after an answer does not become part of one', async (t) => {
  const client = await RawClient.open(t, port)
  t.equal((await client.send(`${OPEN}${HOST}\r\n`).answer()).status, 200)
  const answer = await client.send('nonsense\r\n\r\n').answer()
  isRefusal(t, answer, 400, 'malformed_request')
  await client.ended()
})

t.test('what is malformed behind a request is not its answer', async (t) => {
  const held = holdHeartbeat(t, standin, 'the answer')
  const client = await RawClient.open(t, port)
  client.send(UNUSUAL)
  const release = await held
  client.send('nonsense\r\n\r\n')
  await client.ended()
  t.equal(client.rest, '', 'an answer to the nonsense would have been read as one to the request')
  release()
})

t.test('what is malformed behind a plain request is refused after its answer', async (t) => {
  const held = holdHeartbeat(t, standin, 'the answer')
  const client = await RawClient.open(t, port)
  client.send(GOOD)
  const release = await held
  client.send('nonsense\r\n\r\n')
  t.equal((await talk(t, port, message('/api/platforms', lines(as('rmm admin all'))))).status, 200)
  t.equal(client.rest, '')
  release()
  t.equal((await client.answer()).body, 'the answer')
  isRefusal(t, await client.answer(), 400, 'malformed_request')
  await client.ended()
})

t.test('a client may be ahead of its answers for as long as it likes, if not too far', async (t) => {
  const client = await RawClient.open(t, port)
  client.send(GOOD.repeat(10))
  for (let i = 0; i < 100; i++) {
    if ((await client.send(GOOD).answer()).status !== 200) t.fail(`answer ${i}`)
  }
  for (let i = 0; i < 10; i++) t.equal((await client.answer()).status, 200)
})

t.test('who pipelines without end and reads nothing is cut off', async (t) => {
  const held = holdHeartbeat(t, standin, '')
  const client = await RawClient.open(t, port)
  client.send(UNUSUAL)
  const release = await held
  client.send(message('/api/roms').repeat(65))
  await client.ended()
  t.equal(client.rest, '')
  release()
})

t.test('who sends on behind a plain request, and reads nothing, is cut off', async (t) => {
  const own = await freshStandin(t)
  const held = Promise.withResolvers<void>()
  let heartbeats = 0
  own.intercept = ({ url, headers }) => {
    if (url !== '/api/heartbeat' || !('x-request-id' in headers)) return false
    heartbeats++
    held.resolve()
    return true
  }
  const gateway = await freshGateway(t, { ...settings, 'upstream.url': own.url })
  const client = await RawClient.open(t, gateway.port)
  client.send(GOOD)
  await held.promise
  client.send(GOOD.repeat(1_000))
  await client.ended()
  t.equal(client.rest, '')
  t.equal((await talk(t, gateway.port, message('/api/platforms', lines(as('rmm admin all'))))).status, 200)
  t.equal(heartbeats, 1)
})

const filled = (headers: number): string => `${OPEN}${HOST}${'X-A: b\r\n'.repeat(headers - 1)}\r\n`

t.test('as many headers as may be, and not one more: none is dropped', async (t) => {
  standin.forget()
  t.equal((await talk(t, port, filled(100))).status, 200)
  t.equal(forwarded()[0]?.rawHeaders.filter((name) => name.toLowerCase() === 'x-a').length, 99)
  for (const count of [101, 102, 1_000]) {
    isRefusal(t, await talk(t, port, filled(count)), 431, 'headers_too_large')
  }
  const late = `${filled(1_000).slice(0, -2)}${lines(as('rmm unknown')).join('')}\r\n\r\n`
  isRefusal(t, await talk(t, port, late), 431, 'headers_too_large')
  t.equal(forwarded().length, 1)
})

for (const [what, bytes] of [
  ['a header', `${OPEN}${HOST}X-A: ${'b'.repeat(20_000)}\r\n\r\n`],
  ['headers', `${OPEN}${HOST}${`X-A: ${'b'.repeat(1_000)}\r\n`.repeat(20)}\r\n`],
  ['a target', `GET /api/heartbeat?${'b'.repeat(20_000)} HTTP/1.1\r\n${HOST}\r\n`],
  ['the name of a header', `${OPEN}${HOST}${'b'.repeat(20_000)}: c\r\n\r\n`],
  ['a request line without end', `GET /${'b'.repeat(20_000)}`],
] as const) {
  t.test(`${what} beyond 16 KiB: 431`, async (t) => {
    const answer = await talk(t, port, bytes)
    isRefusal(t, answer, 431, 'headers_too_large')
    await answer.client.ended()
  })
}

t.test('slow headers are 408, and so are none at all', async (t) => {
  const hasty = await freshGateway(t, { ...settings, 'limits.headersTimeout': '200ms' })
  for (const bytes of [`${OPEN}Host: games`, OPEN, '']) {
    const client = await RawClient.open(t, hasty.port)
    isRefusal(t, await client.send(bytes).answer(), 408, 'request_timeout')
    await client.ended()
  }
})

t.test('chunk extensions without end are 413', async (t) => {
  const client = await RawClient.open(t, port)
  client.send(upload(`Transfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(20_000)}\r\n`))
  isRefusal(t, await client.answer(), 413, 'content_too_large')
  await client.ended()
})

t.test('an upload that stops is 408, and the backend is left', async (t) => {
  const hasty = await freshGateway(t, { ...settings, 'limits.idleTimeout': '300ms' })
  const here = Promise.withResolvers<void>()
  const gone = Promise.withResolvers<void>()
  standin.intercept = (request) => {
    if (request.url !== SAVES) return false
    request.once('data', () => here.resolve())
    request.once('close', () => gone.resolve())
    return true
  }
  t.teardown(() => (standin.intercept = undefined))
  const client = await RawClient.open(t, hasty.port)
  client.send(upload('Content-Length: 1000\r\n\r\nhello'))
  await here.promise
  isRefusal(t, await client.answer(), 408, 'request_timeout')
  client.socket.end()
  await gone.promise
  await client.ended()
})

t.test('a refused body that stops coming does not keep its connection', async (t) => {
  for (const framing of ['Content-Length: 1000000000', 'Transfer-Encoding: chunked']) {
    const client = await RawClient.open(t, port)
    const answer = await client.send(message(SAVES, [framing], 'POST')).answer()
    isRefusal(t, answer, 401, 'no_credential')
    t.equal(answer.one('connection'), 'close')
    await client.ended()
  }
})

t.test('neither does one that never ends', async (t) => {
  const client = await RawClient.open(t, port)
  client.send(message(SAVES, ['Transfer-Encoding: chunked'], 'POST'))
  const block = `10000\r\n${'x'.repeat(65_536)}\r\n`
  let sent = 0
  for (; client.socket.writable && sent < 64 * MiB; sent += block.length) {
    if (client.socket.write(block)) continue
    await Promise.race([once(client.socket, 'drain').catch(() => undefined), client.ended()])
  }
  await client.ended()
  t.ok(sent < 64 * MiB, `${sent} bytes`)
})

t.test('an idle connection is closed without a word, which would be read as an answer', async (t) => {
  const hasty = await freshGateway(t, { ...settings, 'limits.keepAliveTimeout': '200ms' })
  const { status, client } = await talk(t, hasty.port, GOOD)
  t.equal(status, 200)
  await client.ended()
  t.equal(client.rest, '')
})
