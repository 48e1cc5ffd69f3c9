/** An answer on a plain connection against Node's own `ServerResponse`, over sockets: the same to the byte. */
import { equal } from 'node:assert'
import { once } from 'node:events'
import * as fc from 'fast-check'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import t from 'tap'
import type { Test } from 'tap'
import { Conversation } from '../../../src/edge/conversation.ts'
import { PlainConnection } from '../../../src/edge/plain/connection.ts'
import type { OutgoingResponse } from '../../../src/request/exchange.ts'
import { RawClient } from '../../gateway/support.ts'

/** What a handler does with an answer. */
interface Script {
  readonly method: string
  readonly keepAlive: boolean
  readonly status: number
  readonly reason: string | undefined
  readonly headers: readonly string[]
  /** Whether the head is to leave at once. */
  readonly flushed: boolean
  /** Of each piece: its bytes and whether they are given as text. */
  readonly pieces: readonly (readonly [length: number, isText: boolean])[]
  readonly last: string | number | undefined
}

let script: Script
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

async function answer(res: OutgoingResponse): Promise<void> {
  const { keepAlive, status, reason, headers, flushed, pieces, last } = script
  if (!keepAlive) res.shouldKeepAlive = false
  res.writeHead(status, reason, [...headers])
  if (flushed) res.flushHeaders()
  for (const [length, isText] of pieces) {
    res.write(isText ? 'é'.repeat(length) : Buffer.alloc(length, 'b'), 'latin1')
    // Node gathers in chunks what is written in one turn.
    await turn()
  }
  const { socket } = res
  if (typeof last === 'number') res.end(Buffer.alloc(last, 'l'), 'latin1')
  else res.end(last, 'utf8')
  while (!res.writableFinished) await turn()
  socket?.destroySoon()
}

async function listening(test: Test, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  test.teardown(() => void server.close())
  return (server.address() as AddressInfo).port
}

const owner = {
  headerBytes: 1_000,
  headersTimeout: 10_000,
  idleTimeout: 10_000,
  onRequest: (_req: unknown, res: OutgoingResponse) => void answer(res),
  onUnusual: () => t.fail('a plain request was taken for another'),
  onSilent: () => t.fail('it said nothing for too long'),
  onClosed: () => undefined,
}
const listen = (): Server =>
  createServer((socket) => void new PlainConnection(socket, new Conversation(), owner))

async function askedOf(test: Test, port: number): Promise<string> {
  const client = await RawClient.open(test, port)
  client.send(`${script.method} / HTTP/1.1\r\nHost: a\r\n\r\n`)
  await client.ended()
  return client.rest.replace(/\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n/, '\r\nDate: now\r\n')
}

const UNFIT = [
  ['X-A', 'b\r\nX-B: c'],
  ['X-A', 'b\nX-B: c'],
  ['X-A', 'b\rX-B: c'],
  ['X-A', 'b\0'],
  ['X-A', 'b\x7f'],
  ['X-A', 'b\x1bc'],
  ['X-A', 'b\u010ac'],
  ['X-A: b\r\nX-B', 'c'],
  ['Transfer-Encoding', 'chunked'],
  ['connection', 'close'],
]

/** Tries heads that are none, then gives an answer. */
function attempts(test: Test, socket: Socket): void {
  const onRequest = (_req: unknown, res: OutgoingResponse): void => {
    for (const headers of UNFIT)
      test.throws(() => res.writeHead(200, undefined, headers), { code: 'internal' }, headers.join(': '))
    test.throws(() => res.writeHead(200, 'OK\r\nX-A: b', []), { code: 'internal' })
    void answer(res).then(() => test.throws(() => res.writeHead(200, undefined, []), { code: 'internal' }))
  }
  void new PlainConnection(socket, new Conversation(), { ...owner, onRequest })
}

const scripts: fc.Arbitrary<Script> = fc.record({
  method: fc.constantFrom('GET', 'GET', 'HEAD'),
  keepAlive: fc.constantFrom(true, true, false),
  status: fc.constantFrom(200, 200, 201, 204, 304, 404, 500, 599, 799),
  reason: fc.constantFrom(undefined, 'Fine', 'Not  so'),
  headers: fc
    .subarray([
      ['X-A', 'b'],
      ['X-B', 'a  b'],
      ['set-cookie', 'a=1'],
      ['Set-Cookie', 'b=2'],
      ['date', 'then'],
      ['Content-Length', '7'],
      ['Empty', ''],
    ])
    .map((pairs) => pairs.flat()),
  flushed: fc.boolean(),
  pieces: fc.array(fc.tuple(fc.constantFrom(0, 1, 300, 9_000), fc.boolean()), { maxLength: 3 }),
  last: fc.constantFrom(undefined, '', 'seven b', '{"detail":"Täg"}', 0, 7, 20_000),
})

t.test('an answer is what Node would have written', async (t) => {
  const byUs = await listening(t, listen())
  const byNode = await listening(
    t,
    createHttpServer({ keepAliveTimeout: 0 }, (_req, res) => void answer(res)),
  )
  await fc.assert(
    fc.asyncProperty(scripts, async (next) => {
      script = next
      equal(await askedOf(t, byUs), await askedOf(t, byNode))
    }),
    { numRuns: 1_000 },
  )
})

t.test('bytes beyond ASCII in a head stay what they are, whatever follows', async (t) => {
  const port = await listening(t, listen())
  const headers = ['X-B', 'caf\xe9', 'Content-Length', '1']
  const plain = { method: 'GET', keepAlive: true, status: 200, reason: undefined, headers, pieces: [] }
  for (const [flushed, last] of [
    [true, 'x'],
    [false, 'x'],
    [false, 'ä'],
    [false, 1],
  ] as const) {
    script = { ...plain, flushed, last }
    t.match(await askedOf(t, port), /\r\nX-B: caf\xe9\r\n/)
  }
})

t.test('what would be read as another answer is not written', async (t) => {
  const port = await listening(
    t,
    createServer((socket) => attempts(t, socket)),
  )
  script = {
    method: 'GET',
    keepAlive: true,
    status: 200,
    reason: undefined,
    headers: [],
    flushed: false,
    pieces: [],
    last: '',
  }
  t.match(await askedOf(t, port), /^HTTP\/1.1 200 OK\r\n/)
})
