import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingMessage, request as httpRequest } from 'node:http'
import t from 'tap'
import { freshGateway } from '../support/gateway.ts'
import { as, ask, freshStandin } from '../support/romm/ask.ts'
import { FILE } from '../support/romm/reply.ts'
import type { Received } from '../support/romm/standin.ts'
import { ASK_FREELY, fixture, isRefusal, lines, message, RawClient } from './support.ts'

const standin = await freshStandin(t)
const settings = { ...ASK_FREELY, 'upstream.url': standin.url, 'romm.secret': fixture.secret }
const { port } = await freshGateway(t, settings)

const ADMIN = lines(as('rmm admin all'))
const UPLOAD = '/api/saves?rom_id=1'
const MiB = 1024 * 1024
/** What a loopback connection may hold in the buffers of both ends, beyond what we read. */
const IN_BUFFERS = 16 * MiB

const uploads = (): Received[] => standin.requests.filter(({ target }) => target === UPLOAD)

/** Writes until everything is taken or the connection breaks; how many bytes went. */
async function pour(client: RawClient, total: number, frame: (block: Buffer) => Buffer): Promise<number> {
  const block = frame(Buffer.alloc(64 * 1024, 'x'))
  let sent = 0
  while (sent < total && !client.socket.destroyed && client.socket.writable) {
    sent += block.length
    if (!client.socket.write(block)) {
      await Promise.race([once(client.socket, 'drain').catch(() => undefined), client.ended()])
    }
  }
  return sent
}

const asChunk = (block: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${block.length.toString(16)}\r\n`), block, Buffer.from('\r\n')])
const asItIs = (block: Buffer): Buffer => block

for (const [what, framing, frame] of [
  ['of a known length', `Content-Length: ${200 * MiB}`, asItIs],
  ['in chunks', 'Transfer-Encoding: chunked', asChunk],
] as const) {
  t.test(`a refused upload ${what} is not read to its end, and its client reads the 401`, async (t) => {
    standin.forget()
    const client = await RawClient.open(t, port)
    client.send(message(UPLOAD, [framing, ...lines(as('rmm unknown'))], 'POST'))
    const pouring = pour(client, 200 * MiB, frame)
    const answer = await client.answer()
    isRefusal(t, answer, 401, 'invalid_credential')
    t.equal(answer.one('connection'), 'close')
    const sent = await pouring
    t.ok(sent <= IN_BUFFERS, `${sent} bytes`)
    await client.ended()
    t.same(uploads(), [])
  })
}

t.test('a client that sends all of a small upload before it reads finds the 401', async (t) => {
  const client = await RawClient.open(t, port)
  const body = 'x'.repeat(MiB / 2)
  client.send(message(UPLOAD, [`Content-Length: ${body.length}`], 'POST') + body)
  isRefusal(t, await client.answer(), 401, 'no_credential')
  await client.ended()
  t.equal(client.failure, undefined, 'not reset')
})

t.test('no 100 before the permit', async (t) => {
  standin.forget()
  const refused = await RawClient.open(t, port)
  const fields = ['Expect: 100-continue', `Content-Length: ${200 * MiB}`]
  isRefusal(t, await refused.send(message(UPLOAD, fields, 'POST')).answer(), 401, 'no_credential')
  const unknown = await RawClient.open(t, port)
  isRefusal(t, await unknown.send(message('/api/unknown', fields, 'POST')).answer(), 404, 'no_route')
  t.same(uploads(), [])
})

t.test('a 100 with the permit, then the answer', async (t) => {
  standin.forget()
  const client = await RawClient.open(t, port)
  client.send(message(UPLOAD, ['Expect: 100-continue', 'Content-Length: 5', ...ADMIN], 'POST'))
  t.equal((await client.answer()).status, 100)
  t.equal((await client.send('hello').answer()).status, 200)
  t.equal(uploads()[0]?.bytes, 5)
  t.equal(uploads()[0]?.headers.expect, undefined)
  t.equal((await client.send(message('/api/heartbeat')).answer()).status, 200, 'the connection goes on')
})

t.test('no backend, no 100', async (t) => {
  const away = await freshStandin(t)
  const ours = await freshGateway(t, { ...settings, 'upstream.url': away.url })
  t.equal((await ask(ours.port, '/api/roms', { headers: as('rmm admin all') })).status, 200)
  await away.close()
  const client = await RawClient.open(t, ours.port)
  client.send(message(UPLOAD, ['Expect: 100-continue', 'Content-Length: 5', ...ADMIN], 'POST'))
  isRefusal(t, await client.answer(), 502, 'upstream_unreachable')
})

for (const [what, framing, frame, end] of [
  ['its length', `Content-Length: ${64 * MiB}`, asItIs, ''],
  ['its chunks', 'Transfer-Encoding: chunked', asChunk, '0\r\n\r\n'],
] as const) {
  t.test(`an accepted upload streams through with ${what}`, async (t) => {
    standin.forget()
    const client = await RawClient.open(t, port)
    client.send(message(UPLOAD, [framing, ...ADMIN], 'POST'))
    const sent = await pour(client, 64 * MiB, frame)
    const answer = await client.send(end).answer()
    t.equal(answer.status, 200)
    const [upload] = uploads()
    t.equal(upload?.bytes, 64 * MiB, `${sent} sent`)
    t.equal(upload?.headers['content-length'], frame === asItIs ? String(64 * MiB) : undefined)
    t.equal(upload?.headers['transfer-encoding'], frame === asItIs ? undefined : 'chunked')
    t.equal((await client.send(message('/api/heartbeat')).answer()).status, 200, 'the connection goes on')
  })
}

t.test('a connection is kept after a refusal without body, also for POST', async (t) => {
  const client = await RawClient.open(t, port)
  const bytes = [
    message(UPLOAD, ['Content-Length: 0'], 'POST'),
    message(UPLOAD, [], 'POST'),
    message('/api/users/1', [], 'DELETE'),
    message('/api/roms'),
  ]
  for (const one of bytes) {
    const answer = await client.send(one).answer()
    t.equal(answer.status, 401)
    t.not(answer.one('connection'), 'close')
  }
  t.equal((await client.send(message('/api/heartbeat')).answer()).status, 200)
})

const GAME = '/api/roms/1/content/game.zip'

t.test('downloads: whole, in part, and beyond the end', async (t) => {
  const whole = await ask(port, GAME, { headers: as('rmm admin all') })
  t.equal(whole.status, 200)
  t.equal(whole.headers['content-length'], String(FILE.length))
  t.ok(Buffer.from(whole.text, 'latin1').equals(FILE))
  const part = await ask(port, GAME, { headers: { ...as('rmm admin all'), range: 'bytes=1000-1999' } })
  t.equal(part.status, 206)
  t.equal(part.headers['content-range'], `bytes 1000-1999/${FILE.length}`)
  t.ok(Buffer.from(part.text, 'latin1').equals(FILE.subarray(1000, 2000)))
  const changed = { ...as('rmm admin all'), range: 'bytes=0-9', 'if-range': '"old"' }
  t.equal((await ask(port, GAME, { headers: changed })).status, 200)
  const beyond = await ask(port, GAME, {
    headers: { ...as('rmm admin all'), range: `bytes=${FILE.length}-` },
  })
  t.equal(beyond.status, 416)
  const head = await RawClient.open(t, port)
  const answer = await head.send(message(GAME, ADMIN, 'HEAD')).answer('HEAD')
  t.equal(answer.one('postern-reason'), undefined)
})

t.test('a client that reads slowly slows the backend down, and gets every byte', async (t) => {
  const total = 64 * MiB
  let written = 0
  const ended = Promise.withResolvers<void>()
  standin.intercept = ({ url }, response) => {
    if (url !== GAME) return false
    response.writeHead(200, { 'content-length': String(total) })
    const block = Buffer.alloc(MiB, 'y')
    const more = (): void => {
      while (written < total) {
        written += block.length
        if (!response.write(block)) return void response.once('drain', more)
      }
      response.end(() => ended.resolve())
    }
    more()
    return true
  }
  t.teardown(() => (standin.intercept = undefined))
  const request = httpRequest({ port, path: GAME, headers: as('rmm admin all') }).end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  await standstill(() => written)
  t.ok(written < total, `${written} of ${total} were written while nobody read`)
  const hash = createHash('sha256')
  let read = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    read += chunk.length
    hash.update(chunk)
  }
  t.equal(read, total)
  t.equal(hash.digest('hex'), createHash('sha256').update(Buffer.alloc(total, 'y')).digest('hex'))
  await ended.promise
})

/** Resolves when a number has not changed over many rounds of the event loop. */
async function standstill(look: () => number): Promise<void> {
  for (let still = 0, last = -1; still < 30; still = look() === last ? still + 1 : 0) {
    last = look()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

t.test('a client that leaves is noticed by the backend, while it waits and while it reads', async (t) => {
  for (const begun of [false, true]) {
    const gone = Promise.withResolvers<void>()
    const here = Promise.withResolvers<void>()
    standin.intercept = ({ url }, response) => {
      if (url !== GAME) return false
      if (begun) response.write('some')
      response.once('close', () => gone.resolve())
      here.resolve()
      return true
    }
    t.teardown(() => (standin.intercept = undefined))
    const client = await RawClient.open(t, port)
    client.send(message(GAME, ADMIN))
    await here.promise
    client.socket.destroy()
    await gone.promise
    t.pass(begun ? 'while it read' : 'while it waited')
  }
})

t.test('a client that leaves in the middle of its upload takes it along', async (t) => {
  const gone = Promise.withResolvers<void>()
  const here = Promise.withResolvers<void>()
  standin.intercept = (request) => {
    if (request.url !== UPLOAD) return false
    request.once('data', () => here.resolve())
    request.once('close', () => gone.resolve())
    return true
  }
  t.teardown(() => (standin.intercept = undefined))
  const client = await RawClient.open(t, port)
  client.send(message(UPLOAD, ['Content-Length: 1000000', ...ADMIN], 'POST')).send('x'.repeat(1000))
  await here.promise
  client.socket.destroy()
  await gone.promise
  t.pass('the backend has no half an upload that looks whole')
})

t.test('a request that changes identities reaches its end though its client left', async (t) => {
  const answered = Promise.withResolvers<boolean>()
  const here = Promise.withResolvers<() => void>()
  standin.intercept = ({ url, method }, response) => {
    if (method !== 'DELETE' || url !== '/api/client-tokens/2') return false
    response.once('close', () => answered.resolve(response.writableFinished))
    here.resolve(() => response.writeHead(204).end())
    return true
  }
  t.teardown(() => (standin.intercept = undefined))
  const client = await RawClient.open(t, port)
  client.send(message('/api/client-tokens/2', ADMIN, 'DELETE'))
  const finish = await here.promise
  client.socket.destroy()
  await once(client.socket, 'close')
  finish()
  t.ok(await answered.promise, 'the backend could answer')
})

t.test('a backend that breaks off leaves an answer that is visibly incomplete', async (t) => {
  standin.intercept = ({ url }, response) => {
    if (url !== GAME) return false
    response.writeHead(200, { 'content-length': '1000' })
    response.write('some', () => response.destroy())
    return true
  }
  t.teardown(() => (standin.intercept = undefined))
  const client = await RawClient.open(t, port)
  await t.rejects(client.send(message(GAME, ADMIN)).answer(), /the connection ended/)
})
