import * as fc from 'fast-check'
import t from 'tap'
import { ChunkReader } from '../../../src/upstream/http1/chunks.ts'
import { BadAnswer, HeadReader, parseHead } from '../../../src/upstream/http1/head.ts'
import { requestHead } from '../../../src/upstream/http1/request.ts'

t.test('a head is read with its framing', (t) => {
  const { framing, persistent, ...head } = parseHead(
    'HTTP/1.1 206 Some Of It\r\nA:1\r\nX: 2\r\ncontent-LENGTH: \t5 \r\nConnection: x\r\nConnection: y\r\n' +
      'Y: 3\r\nKeep-Alive: timeout=7, max=3\r\nUpgrade: h2c\r\nTrailer: z',
    'GET',
  )
  t.strictSame(head, {
    status: 206,
    reason: 'Some Of It',
    headers: ['A', '1', 'content-LENGTH', '5'],
    length: 5,
    keepAlive: 7,
  })
  t.strictSame({ framing, persistent }, { framing: { kind: 'length', length: 5 }, persistent: true })
  t.end()
})

t.test('what of an answer is its body, and whether the connection outlives it', (t) => {
  const cases: readonly (readonly [head: string, method: string, kind: string, persistent: boolean])[] = [
    ['HTTP/1.1 200', 'GET', 'close', true],
    ['HTTP/1.0 200 OK', 'GET', 'close', false],
    ['HTTP/1.0 200 OK\r\nConnection: Keep-Alive', 'GET', 'close', true],
    ['HTTP/1.1 200 OK\r\nConnection: close', 'GET', 'close', false],
    ['HTTP/1.1 200 OK\r\nConnection: x, CLOSE', 'GET', 'close', false],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked', 'GET', 'chunked', true],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked', 'HEAD', 'length', true],
    ['HTTP/1.1 200 OK\r\nContent-Length: 9', 'HEAD', 'length', true],
    ['HTTP/1.1 204 No\r\nContent-Length: 9', 'GET', 'length', true],
    ['HTTP/1.1 304 No\r\nContent-Length: 9', 'GET', 'length', true],
    ['HTTP/1.1 103 Hints', 'GET', 'length', true],
  ]
  for (const [head, method, kind, persistent] of cases) {
    const found = parseHead(head, method)
    t.equal(found.framing.kind, kind, head)
    t.equal(found.persistent, persistent, head)
    if (kind === 'length') t.strictSame(found.framing, { kind: 'length', length: 0 }, head)
  }
  t.end()
})

t.test('heads that could be read in two ways are refused', (t) => {
  const bad = [
    '',
    'HTTP/2 200 OK',
    'HTTP/1.2 200 OK',
    'http/1.1 200 OK',
    'HTTP/1.1  200 OK',
    'HTTP/1.1 099 Low',
    'HTTP/1.1 20 OK',
    'HTTP/1.1 2000 OK',
    'HTTP/1.1 200\tOK',
    'HTTP/1.1 200 O\x00K',
    'HTTP/1.1 200 OK\nX: 1',
    'HTTP/1.1 200 OK\r\nX: 1\nY: 2',
    'HTTP/1.1 200 OK\r\nX: 1\rY: 2',
    'HTTP/1.1 200 OK\r\nX : 1',
    'HTTP/1.1 200 OK\r\n X: 1',
    'HTTP/1.1 200 OK\r\nX: 1\r\n folded',
    'HTTP/1.1 200 OK\r\nX: 1\r\n\tfolded',
    'HTTP/1.1 200 OK\r\n: 1',
    'HTTP/1.1 200 OK\r\nX',
    'HTTP/1.1 200 OK\r\nX\xe9: 1',
    'HTTP/1.1 200 OK\r\nX: \x7f',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5',
    'HTTP/1.1 200 OK\r\nContent-Length: 5, 5',
    'HTTP/1.1 200 OK\r\nContent-Length: +5',
    'HTTP/1.1 200 OK\r\nContent-Length: 0x5',
    'HTTP/1.1 200 OK\r\nContent-Length: ',
    'HTTP/1.1 200 OK\r\nContent-Length: 9007199254740993',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: identity',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked',
    'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked',
  ]
  for (const head of bad) t.throws(() => parseHead(head, 'GET'), BadAnswer, JSON.stringify(head))
  t.end()
})

t.test('heads are found however the bytes come, and are bounded together with the interim ones', (t) => {
  const text = 'HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nX: 1\r\n\r\n'
  const body = 'the body'
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: text.length }), { maxLength: 6 }), (cuts) => {
      const reader = new HeadReader(text.length)
      const found: number[] = []
      let rest = ''
      const all = Buffer.from(text + body)
      const ends = [...cuts.sort((a, b) => a - b), all.length]
      let from = 0
      for (const end of ends) {
        const piece = all.subarray(from, end)
        from = end
        let at = 0
        while (at < piece.length && found.at(-1) !== 200) {
          const head = reader.read(piece, at, 'GET')
          at = reader.at
          if (head !== undefined) found.push(head.status)
        }
        rest += piece.toString('latin1', at)
      }
      return found.join() === '103,200' && rest === body
    }),
  )
  const reader = new HeadReader(text.length - 8)
  const bytes = Buffer.from(text)
  t.equal(reader.read(bytes, 0, 'GET')?.status, 103)
  t.equal(reader.read(bytes, reader.at, 'GET')?.status, 200)
  t.throws(
    () => new HeadReader(40).read(Buffer.from(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(40)}`), 0, 'GET'),
    BadAnswer,
  )
  const short = new HeadReader(40)
  short.read(bytes, 0, 'GET')
  t.throws(() => short.read(bytes, short.at, 'GET'), BadAnswer)
  t.end()
})

function chunked(text: string, cut = text.length): { body: string; over: boolean; at: number } {
  const reader = new ChunkReader()
  let body = ''
  let at = 0
  for (const [from, to] of [[0, cut] as const, [cut, text.length] as const]) {
    if (reader.isOver) break
    const bytes = Buffer.from(text.slice(from, to), 'latin1')
    at = from + reader.read(bytes, 0, (piece) => (body += piece.toString('latin1')))
  }
  return { body, over: reader.isOver, at }
}

t.test('chunks are taken apart wherever the bytes are cut', (t) => {
  const text = '5\r\nhello\r\n00A;x="y"\r\n, chunked!\r\n0\r\nX-Sum: 1\r\n\r\n'
  for (let cut = 0; cut <= text.length; cut++)
    t.strictSame(chunked(text, cut), { body: 'hello, chunked!', over: true, at: text.length })
  t.equal(chunked(`${text}HTTP/1.1 200`).at, text.length, 'what follows is left')
  t.end()
})

t.test('chunks that could be read in two ways are refused', (t) => {
  const bad = [
    '\r\n',
    'g\r\n',
    '-1\r\n',
    '0x5\r\nhello\r\n',
    '5\nhello\r\n',
    ' 5\r\nhello\r\n',
    '5 \r\nhello\r\n',
    '5\r\nhello, more\r\n',
    '5\r\nhello\n',
    '5\r\nhello\r5\r\n',
    '5;\x00\r\nhello\r\n',
    `5;${'x'.repeat(5_000)}\r\nhello\r\n`,
    'fffffffffffff\r\n',
    '0\r\nnot a field\r\n\r\n',
    '0\r\nX: 1\n\r\n',
    `0\r\n${'X: 1\r\n'.repeat(2_000)}\r\n`,
  ]
  for (const text of bad) t.throws(() => chunked(text), BadAnswer, JSON.stringify(text.slice(0, 40)))
  t.end()
})

t.test('a request’s head is one line for each header, and nothing can be written into it', (t) => {
  const headers = ['Host', 'a', 'Expect', '100-continue', 'X', '\xe9']
  t.equal(
    requestHead('GET', '/x?y', headers, 'nothing'),
    'GET /x?y HTTP/1.1\r\nHost: a\r\nX: \xe9\r\nConnection: keep-alive\r\n\r\n',
  )
  t.match(requestHead('POST', '/', ['Host', 'a'], 'nothing'), /\r\nContent-Length: 0\r\n/)
  t.notMatch(requestHead('POST', '/', ['content-length', '3'], 'length'), /Content-Length/)
  t.match(requestHead('POST', '/', ['Host', 'a'], 'chunks'), /\r\nTransfer-Encoding: chunked\r\n/)
  for (const bad of [
    'a\r\nX: b',
    'a\nX: b',
    'a\rX: b',
    'a\r\n\r\nGET / HTTP/1.1',
    'a\u010aX: b',
    'a\u010d\u010aX: b',
  ])
    for (const pair of [
      ['X', bad],
      [bad, 'x'],
    ])
      t.throws(() => requestHead('GET', '/', pair, 'nothing'), { code: 'internal' }, JSON.stringify(pair))
  for (const target of ['/ HTTP/1.1\r\nX: y', '/ HTTP/1.1'])
    t.throws(() => requestHead('GET', target, [], 'nothing'), { code: 'internal' })
  t.throws(() => requestHead('GET', '/', ['X', 'a\0'], 'nothing'), { code: 'internal' })
  for (const name of ['Transfer-Encoding', 'connection'])
    t.throws(() => requestHead('POST', '/', [name, 'chunked'], 'nothing'), { code: 'internal' }, name)
  t.throws(() => requestHead('POST', '/', ['content-length', '3'], 'chunks'), { code: 'internal' })
  t.end()
})
