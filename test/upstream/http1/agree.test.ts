/**
 * Our reader of answers against Node's own (llhttp, strict), over sockets: what we understand, it understands alike. That we
 * refuse more is no fault, but for what backends really send.
 */
import { deepStrictEqual } from 'node:assert'
import * as fc from 'fast-check'
import { request, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import t from 'tap'
import { ConnectionPool } from '../../../src/upstream/http1/pool.ts'
import { endToEnd } from '../../../src/upstream/headers.ts'
import type { ResponseHead } from '../../../src/upstream/http1/head.ts'
import { rawBackend } from '../support.ts'

/** What one reader made of the bytes; `'refused'` whatever was wrong with them. */
type Reading =
  'refused' | { readonly status: number; readonly headers: readonly string[]; readonly body: string }

/** The bytes of one answer, in pieces, after which the connection is closed. */
interface Sent {
  readonly method: string
  readonly pieces: readonly string[]
}

let sent: readonly string[] = []

async function send(socket: Socket): Promise<void> {
  for (const piece of sent) {
    socket.write(piece, 'latin1')
    await new Promise(setImmediate)
  }
  socket.end()
}

function byNode(url: string, method: string): Promise<Reading> {
  return new Promise((resolve) => {
    let found: IncomingMessage | undefined
    let body = ''
    const asking = request(url, { method, agent: false }, (answer) => {
      found = answer.on('data', (chunk: Buffer) => (body += chunk.toString('latin1'))).on('error', ignore)
    })
    asking.on('error', ignore)
    asking.on('upgrade', (_answer, socket) => socket.destroy())
    // What comes behind an answer is an error to it, and of no concern here.
    asking.on('close', () =>
      resolve(
        found?.complete === true
          ? {
              status: found.statusCode ?? 0,
              headers: endToEnd(found.rawHeaders, found.headers.connection),
              body,
            }
          : 'refused',
      ),
    )
    asking.end()
  })
}

function ignore(): void {}

function byUs(pool: ConnectionPool, method: string): Promise<Reading> {
  return new Promise((resolve) => {
    let head: ResponseHead | undefined
    let body = ''
    const exchanger = {
      method,
      onReady: (connection: { send(head: string, more: boolean): void }) =>
        connection.send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`, false),
      onBegun: () => undefined,
      onHead: (found: ResponseHead) => (head = found),
      onData: (piece: Buffer) => (body += piece.toString('latin1')),
      onEnd: () => resolve({ status: head?.status ?? 0, headers: head?.headers ?? [], body }),
      onError: () => resolve('refused'),
    }
    pool.start(exchanger, true)
  })
}

const word = fc.constantFrom(
  'a',
  'x',
  'chunked',
  'gzip',
  '5',
  '05',
  '7',
  '0',
  '',
  ' ',
  '\t',
  ',',
  ';',
  '\x00',
  '\xe9',
  '\x0b',
)
const header = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      'Date: d',
      'X-A: 1',
      'Set-Cookie: a=1; Path=/',
      'Connection: close',
      'Connection: keep-alive',
    ),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom('Content-Length: 5', 'content-length: 7', 'Transfer-Encoding: chunked'),
  },
  fc
    .tuple(
      fc.constantFrom('Content-Length', 'Transfer-Encoding', 'Content-Length ', 'X', 'X\xe9', '', ' X'),
      fc.constantFrom(':', ': ', ':\t', ''),
      fc.array(word, { maxLength: 3 }).map((words) => words.join('')),
    )
    .map((parts) => parts.join('')),
)
const ending = fc.oneof({ weight: 40, arbitrary: fc.constant('\r\n') }, fc.constantFrom('\n', '\r', '\r\n '))
const line = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('HTTP/1.1 200 OK', 'HTTP/1.1 404 Not Found', 'HTTP/1.0 200 OK') },
  fc.constantFrom('HTTP/1.1 204 No Content', 'HTTP/1.1 304 Not Modified', 'HTTP/1.1 200', 'HTTP/1.1 200 '),
  fc.constantFrom(
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK',
    'HTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK',
  ),
  fc.constantFrom(
    'HTTP/1.1  200 OK',
    'HTTP/1.2 200 OK',
    'HTTP/1.1 2000 OK',
    'HTTP/1.1 20 OK',
    'ICY 200 OK',
    'HTTP/2 200',
  ),
)
const body = fc.oneof(
  fc.constantFrom(
    'hello',
    'hello, more',
    'hell',
    '',
    '5\r\nhello\r\n0\r\n\r\n',
    '5\r\nhello\r\n2\r\n, \r\n0\r\nX: 1\r\n\r\n',
  ),
  fc.constantFrom(
    '5;a=b\r\nhello\r\n0\r\n\r\n',
    '5\r\nhello\r\n',
    '05\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK',
    '5\nhello\n0\n\n',
  ),
  fc.constantFrom(
    '5 \r\nhello\r\n0\r\n\r\n',
    '5\r\nhelloo\r\n0\r\n\r\n',
    '-5\r\nhello\r\n0\r\n\r\n',
    '0\r\nbad trailer\r\n\r\n',
  ),
)
const answer: fc.Arbitrary<Sent> = fc
  .record({
    method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD', 'POST'),
    text: fc
      .tuple(line, fc.array(fc.tuple(header, ending), { maxLength: 4 }), ending, body)
      .map(([first, headers, end, rest]) => `${first}\r\n${headers.flat().join('')}${end}${rest}`),
    cuts: fc.array(fc.nat({ max: 120 }), { maxLength: 3 }),
  })
  .map(({ method, text, cuts }) => {
    const ends = [...cuts.filter((cut) => cut < text.length).sort((a, b) => a - b), text.length]
    return {
      method,
      pieces: ends.map((end, i) => text.slice(ends[i - 1] ?? 0, end)).filter((piece) => piece !== ''),
    }
  })

t.test('no answer is read otherwise than Node reads it', async (t) => {
  const url = await rawBackend(t, (socket) => void socket.once('data', () => void send(socket)))
  const pool = new ConnectionPool(url, {
    connectTimeout: 10_000,
    headersTimeout: 10_000,
    bodyTimeout: 10_000,
    keepAliveTimeout: 10_000,
    maxHeaderSize: 8_192,
  })
  t.teardown(() => pool.destroy())
  const counts = { both: 0, neither: 0, onlyNode: 0 }
  await fc.assert(
    fc.asyncProperty(answer, async ({ method, pieces }) => {
      sent = pieces
      const [ours, theirs] = [await byUs(pool, method), await byNode(url, method)]
      if (ours === 'refused') counts[theirs === 'refused' ? 'neither' : 'onlyNode']++
      else counts.both++
      if (ours !== 'refused') deepStrictEqual(ours, theirs)
    }),
    { numRuns: 1_500 },
  )
  t.comment(JSON.stringify(counts))
  t.ok(counts.both > 200 && counts.neither > 200, 'good and bad answers were among them')
})
