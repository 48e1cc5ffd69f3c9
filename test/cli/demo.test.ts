import { execFile, spawn } from 'node:child_process'
import { on, once } from 'node:events'
import { readFileSync, rmSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { buffer, text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import { startDemoBackend } from '../../src/cli/demo/backend.ts'
import { DEMO_DOCUMENT } from '../../src/cli/demo/document.ts'
import { seedDemo } from '../../src/cli/demo/seed.ts'
import { readOpenApi } from '../../src/routes/openapi.ts'
import { newFile, openStore } from '../support/standalone.ts'
import { environment, sets } from './processes.ts'

const exec = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const { scripts: SCRIPTS } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  readonly scripts: { readonly start: string }
}

t.test('the backend answers what its document says', async (t) => {
  const { url } = await backend(t)
  t.same(await (await fetch(`${url}/openapi.json`)).json(), DEMO_DOCUMENT)
  t.equal((await fetch(url)).status, 200)
  t.equal((await fetch(`${url}/nowhere`)).status, 404)
  t.equal((await fetch(`${url}/notes`, { method: 'DELETE' })).status, 404)
  const post = (body: string, headers = {}): Promise<Response> =>
    fetch(`${url}/notes`, { method: 'POST', body, headers })
  t.equal((await post('{"text":1}')).status, 400)
  t.equal((await post('null')).status, 400)
  t.equal((await post('{')).status, 400)
  t.equal((await post(JSON.stringify({ text: 'x'.repeat(20_000) }))).status, 413)
  const claims = Buffer.from(JSON.stringify({ preferred_username: 'alice' })).toString('base64url')
  const assertion = { 'X-Postern-Assertion': `${claims}.${claims}.signature` }
  t.equal((await post('{"text":"Hello"}', assertion)).status, 201)
  t.equal((await post('{"text":"Hello"}', { 'X-Postern-Assertion': 'x.y.z' })).status, 201)
  t.match(await (await fetch(`${url}/notes`)).json(), [
    {},
    { text: 'Hello', by: 'alice' },
    { text: 'Hello', by: 'somebody' },
  ])
  t.match(await (await fetch(`${url}/whoami`, { headers: assertion })).json(), {
    headers: { 'x-postern-assertion': /signature$/ },
    assertion: { claims: { preferred_username: 'alice' } },
  })
})

t.test('the document says who may do what', (t) => {
  const reading = readOpenApi(JSON.stringify(DEMO_DOCUMENT), {
    dialect: 'standard',
    undeclared: 'authenticated',
    backendChecksScopes: false,
  })
  const rows = reading.ok
    ? reading.rules.map(({ template, methods, requirement }) => [
        `${String(methods)} ${template}`,
        requirement.kind === 'scopes' ? requirement.scopes.toString() : requirement.kind,
      ])
    : reading.faults
  t.same(rows, [
    ['GET /', 'public'],
    ['GET /notes', 'notes.read'],
    ['POST /notes', 'notes.write'],
    ['GET /whoami', 'authenticated'],
  ])
  t.end()
})

t.test('the socket sends every text back', async (t) => {
  const socket = await open(t, `${(await backend(t)).url}/echo`)
  for (const length of [0, 5, 125, 126, 65_535, 65_536]) {
    const sent = 'ü'.repeat(length / 2).padEnd(length - Math.floor(length / 2), 'x')
    socket.send(sent)
    const [data, isBinary] = (await once(socket, 'message')) as [Buffer, boolean]
    t.equal(isBinary, false)
    t.equal(data.toString(), sent, `${length} bytes`)
  }
  const both = on(socket, 'message')
  socket.send('one')
  socket.send('two')
  t.equal(String((await both.next()).value?.[0]), 'one')
  t.equal(String((await both.next()).value?.[0]), 'two')
  socket.ping('still there')
  t.equal(String((await once(socket, 'pong'))[0]), 'still there')
  socket.close(4_000)
  t.equal((await once(socket, 'close'))[0], 4_000, 'closed with the code that was sent')
})

t.test('what it does not take closes the socket with a code that says why', async (t) => {
  const { url } = await backend(t)
  const closing = async (send: (socket: WebSocket) => void): Promise<number> => {
    const socket = await open(t, `${url}/echo`)
    send(socket)
    return (await once(socket, 'close'))[0] as number
  }
  t.equal(await closing((socket) => socket.close()), 1000)
  t.equal(await closing((socket) => socket.send(Buffer.from('x'))), 1003)
  t.equal(await closing((socket) => socket.send('x', { fin: false })), 1003)
  t.equal(await closing((socket) => socket.send('x'.repeat(65_537))), 1009)
  t.equal(await closing((socket) => socket.send(Buffer.from([0xff]), { binary: false })), 1007)
})

t.test('frames may come in pieces, and must be masked', async (t) => {
  const { url } = await backend(t)
  const key = Buffer.from([1, 2, 3, 4])
  const hello = Buffer.concat([
    Buffer.from([0x81, 0x85]),
    key,
    Buffer.from('hello').map((b, i) => b ^ (key[i % 4] ?? 0)),
  ])
  const pieces = await raw(url, HANDSHAKE)
  for (const byte of hello) pieces.write(Buffer.from([byte]))
  const [answer] = (await once(pieces, 'data')) as [Buffer]
  t.same(answer, Buffer.concat([Buffer.from([0x81, 5]), Buffer.from('hello')]))
  pieces.destroy()

  const unmasked = await raw(url, HANDSHAKE)
  unmasked.write(Buffer.from([0x81, 1, 0x78]))
  t.same((await buffer(unmasked)).subarray(0, 2), Buffer.from([0x88, 2]))
})

t.test('an upgrade that is no WebSocket handshake is refused', async (t) => {
  const { url } = await backend(t)
  t.match(await answerTo(url, HANDSHAKE.replace('Version: 13', 'Version: 8')), /^HTTP\/1\.1 400 /)
  t.match(await answerTo(url, HANDSHAKE.replace(/Sec-WebSocket-Key.*\r\n/, '')), /^HTTP\/1\.1 400 /)
  t.match(await answerTo(url, HANDSHAKE.replace('/echo', '/notes')), /^HTTP\/1\.1 404 /)
})

t.test('the people of the demo are made once', async (t) => {
  const database = newFile(t)
  const file = join(t.testdirName, 'data', 'credentials.json')
  const store = openStore(t, database)
  const first = await seedDemo(store, file)
  t.equal(statSync(file).mode & 0o077, 0, 'for nobody else to read')
  t.same(await seedDemo(store, file), first)
  rmSync(file)
  const second = await seedDemo(store, file)
  t.not(second.bobToken, first.bobToken, 'anew when what they present is lost')
  t.equal(store.listTokens().length, 1)
  store.removeUser('alice')
  t.not((await seedDemo(store, file)).alicePassword, second.alicePassword, 'and when they are')
  t.same(
    store.listUsers().map(({ username, scopes }) => [username, ...scopes]),
    [
      ['alice', 'notes.read', 'notes.write'],
      ['bob', 'notes.read'],
    ],
  )
})

t.test('each command that the demo prints does what is said above it', async (t) => {
  const { lines, credentials, end } = await demo(t)
  const commands = lines.flatMap((line, i) =>
    /^(curl|npx) /.test(line) ? [[lines[i - 1] ?? '', line] as const] : [],
  )
  t.equal(commands.length, 7)
  t.ok(Object.values(credentials).filter((secret) => lines.join('\n').includes(secret)).length >= 2)
  for (const [said, command] of commands) {
    // As it would be pasted, in the folder of the checkout.
    const { stdout } = await exec('sh', ['-c', command], { cwd: ROOT })
    const status = /^# (\d{3}):/.exec(said)?.[1]
    if (status !== undefined) t.match(stdout, new RegExp(`^HTTP/1\\.1 ${status} `), said)
    else if (command.startsWith('npx')) t.equal(stdout, 'hello\n', said)
    else
      t.match(JSON.parse(stdout), {
        headers: { authorization: undefined, 'x-postern-assertion': String },
        assertion: {
          header: { typ: 'postern+jwt' },
          claims: { preferred_username: 'bob', scope: 'notes.read' },
        },
      })
  }
  t.equal(await end(), 0)
})

async function backend(t: Test): Promise<{ url: string }> {
  const started = await startDemoBackend(0)
  t.teardown(() => started.close())
  return started
}

async function open(t: Test, url: string): Promise<WebSocket> {
  const socket = new WebSocket(url, { perMessageDeflate: false })
  t.teardown(() => socket.terminate())
  await once(socket, 'open')
  return socket
}

const HANDSHAKE =
  'GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'

/** A connection on which the handshake is through. */
async function raw(url: string, handshake: string): Promise<ReturnType<typeof connect>> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.write(handshake)
  const [answer] = (await once(socket, 'data')) as [Buffer]
  // The accept value is RFC 6455 §1.3's own example.
  if (!answer.includes('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=')) throw new Error(answer.toString())
  return socket
}

async function answerTo(url: string, request: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.write(request)
  return text(socket)
}

/** Runs what `npm start` runs, on free ports, until it has printed everything. */
async function demo(t: Test): Promise<{
  readonly lines: readonly string[]
  readonly credentials: Readonly<Record<string, string>>
  /** Ctrl-C; resolves with the exit code. */
  readonly end: () => Promise<number | null>
}> {
  const data = t.testdir()
  const settings = sets({
    'listen.edge': '127.0.0.1:0',
    'listen.probes': 'off',
    'listen.admin': 'off',
    'standalone.database': join(data, 'postern.sqlite'),
    'keys.folder': join(data, 'keys'),
    'openapi.cache': 'off',
    'log.level': 'warn',
  })
  const [node = '', main = '', command = ''] = SCRIPTS.start
    .replace(/^node /, `${process.execPath} `)
    .split(' ')
  const child = spawn(node, [main, command, '--upstream', 'http://127.0.0.1:0', ...settings], {
    cwd: ROOT,
    env: environment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const ended = once(child, 'close')
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    if (line.startsWith('# Ctrl-C')) break
  }
  const file = readFileSync(join(data, 'credentials.json'), 'utf8')
  return {
    lines,
    credentials: JSON.parse(file) as Record<string, string>,
    async end() {
      child.kill('SIGINT')
      return ((await ended) as [number | null])[0]
    },
  }
}
