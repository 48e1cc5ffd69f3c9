/**
 * Our reader of plain requests against Node's own (llhttp, strict), over sockets: what we understand, it understands alike,
 * as a whole request without a body after which the connection goes on.
 */
import { deepStrictEqual } from 'node:assert'
import { once } from 'node:events'
import * as fc from 'fast-check'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import type { Test } from 'tap'
import { readPlain } from '../../../src/edge/plain/head.ts'
import { RawClient } from '../../gateway/support.ts'

interface Reading {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly httpVersion: string
  readonly rawHeaders: readonly string[]
  readonly complete: boolean
}

const anySocket = new Socket()

function byUs(text: string): Reading | undefined {
  const found = readPlain(Buffer.from(text, 'latin1'), anySocket)
  if (found === undefined) return undefined
  const { socket: _, ...reading } = found
  return reading
}

/** What Node makes of bytes; `'other'` for whatever it does not answer, or would not go on after. */
async function startNode(test: Test): Promise<(text: string) => Promise<Reading | 'other'>> {
  let found: Reading | 'other' = 'other'
  const note = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    let body = 0
    for await (const chunk of req) body += (chunk as Buffer).length
    const { method, url, httpVersion, rawHeaders, complete } = req
    found = body === 0 && res.shouldKeepAlive ? { method, url, httpVersion, rawHeaders, complete } : 'other'
    res.shouldKeepAlive = false
    res.end()
  }
  const server = createServer({ requireHostHeader: false }, (req, res) => void note(req, res))
  server.maxHeadersCount = 0
  for (const event of ['checkContinue', 'checkExpectation', 'upgrade', 'connect'])
    server.on(event, ({ socket }: IncomingMessage) => socket.destroy())
  server.on('clientError', (_error, socket) => socket.destroy())
  test.teardown(() => void server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0
  return async (text) => {
    found = 'other'
    const client = await RawClient.open(test, port)
    client.send(text).socket.end()
    await client.ended()
    return found
  }
}

const value = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom('a', 'keep-alive', '1', ' ', '\t', ',', '"', '\xe9', '=') },
    fc.constantFrom('\x00', '\x0b', '\x7f', '\r', '\n', '\x1f'),
  ),
  { maxLength: 4 },
)
const name = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom('Host', 'Accept', 'X-A', 'cookie', 'Connection', "!#$%&'*+-.^_`|~"),
  },
  fc.constantFrom('Content-Length', 'transfer-encoding', 'Expect', 'Upgrade', 'Keep-Alive'),
  fc.constantFrom('proxy-connection', 'TRAILER', 'te', 'Host ', ' Host', '', 'H\xe9', 'a(b', 'X:'),
)
const field = fc
  .tuple(name, fc.constantFrom(':', ': ', ':\t ', ' :', ''), value)
  .map(([n, colon, words]) => `${n}${colon}${words.join('')}`)
const target = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      '/',
      '/api/roms?a=1',
      '//x',
      '/%2e/',
      '/a;b=c',
      '/[x]|^`{}"<>\\',
      '/?#',
      '/a#b',
    ),
  },
  fc.constantFrom('', '*', 'http://a/', 'a', '/ ', '/\xe9', '/\x7f', '/\0', '/\t'),
  fc.string({ unit: 'binary-ascii', maxLength: 6 }).map((text) => `/${text}`),
)
const ending = fc.oneof(
  { weight: 40, arbitrary: fc.constant('\r\n') },
  fc.constantFrom('\n', '\r', '\r\n ', '\r\n\r\n', ''),
)
const request = fc
  .record({
    method: fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom('GET', 'GET', 'HEAD') },
      fc.constantFrom('POST', 'get', 'GET ', ' GET', 'OPTIONS', 'CONNECT', 'PRI', '\r\nGET', ''),
    ),
    target,
    version: fc.oneof(
      { weight: 8, arbitrary: fc.constant('HTTP/1.1') },
      fc.constantFrom('HTTP/1.0', 'HTTP/2.0', 'HTTP/1.10', 'http/1.1', ' HTTP/1.1', ''),
    ),
    first: ending,
    fields: fc.array(fc.tuple(field, ending), { maxLength: 5 }),
    last: ending,
    behind: fc.oneof(
      { weight: 10, arbitrary: fc.constant('') },
      fc.constantFrom('x', '\r\n', 'GET / HTTP/1.1\r\n\r\n', '0\r\n\r\n'),
    ),
  })
  .map(
    (parts) =>
      `${parts.method} ${parts.target} ${parts.version}${parts.first}${parts.fields.flat().join('')}${parts.last}${parts.behind}`,
  )

t.test('no plain request is read otherwise than Node reads it', async (t) => {
  const byNode = await startNode(t)
  const counts = { ours: 0, left: 0 }
  await fc.assert(
    fc.asyncProperty(request, async (text) => {
      const ours = byUs(text)
      if (ours === undefined) return void counts.left++
      counts.ours++
      deepStrictEqual(ours, await byNode(text))
    }),
    { numRuns: 6_000 },
  )
  t.comment(JSON.stringify(counts))
  t.ok(counts.ours > 300 && counts.left > 300, 'plain and other requests were among them')
})

t.test('what apps send is plain', async (t) => {
  const apps = [
    'GET /api/roms?limit=50 HTTP/1.1\r\nHost: a\r\nUser-Agent: okhttp/4\r\nConnection: Keep-Alive\r\n\r\n',
    'GET / HTTP/1.1\r\n\r\n',
    'HEAD /a HTTP/1.1\r\nhost:a\r\ncookie:  romm_session=x \t\r\nx:\r\n\r\n',
  ]
  for (const app of apps) t.ok(byUs(app), app)
  t.same(byUs(apps[2] ?? '')?.rawHeaders, ['host', 'a', 'cookie', 'romm_session=x', 'x', ''])
})

t.test('what says more than that is left alone', async (t) => {
  const left = (line: string): void => {
    t.equal(byUs(`GET / HTTP/1.1\r\nHost: a\r\n${line}\r\n\r\n`), undefined, line)
  }
  left('Content-Length: 0')
  left('transfer-ENCODING: chunked')
  left('Connection: close')
  left('Connection: keep-alive, x-a')
  left('Connection:')
  left('Proxy-Connection: close')
  left('Upgrade: websocket')
  left('HTTP2-Settings: a')
  left('Expect: 100-continue')
  left('Trailer: a')
  t.equal(byUs('GET / HTTP/1.1\r\nHost: a\r\n\r\nGET'), undefined, 'more than one')
  t.equal(byUs('GET / HTTP/1.1\r\nHost: a\r\n'), undefined, 'less than one')
})

t.test('who keeps the name of a program does not keep the head that it came in', async (t) => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const used = (): number => {
    collect()
    return process.memoryUsage().heapUsed
  }
  const padding = `X-A: ${'a'.repeat(10_000)}`
  const kept: unknown[] = []
  const before = used()
  for (let i = 0; i < 1_000; i++) {
    const head = `GET / HTTP/1.1\r\nUser-Agent:  Argosy ${i} for Android \r\nX-Forwarded-For: 192.168.178.${i}\r\n${padding}\r\n\r\n`
    const headers = byUs(head)?.rawHeaders ?? []
    kept.push(headers[1]?.slice(0, 120), headers[3])
  }
  t.equal(kept[2], 'Argosy 1 for Android')
  t.ok(used() - before < 2_000_000, 'a fifth of what the heads are')
})
