import { EventEmitter, on, once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import { as, freshStandin } from '../support/romm/ask.ts'
import type { Standin } from '../support/romm/standin.ts'
import {
  curl,
  freshFolder,
  headerOptions,
  readiness,
  serve,
  sets,
  type LogLine,
  type Serving,
} from './processes.ts'

const VERA = as('rmm vera all')
const LARGE = 8 * 1024 * 1024

const isListening = ({ msg }: LogLine): boolean => msg === 'listening'
const isRefused = ({ msg }: LogLine): boolean =>
  msg === 'not reloaded: the configuration before stays in force'
const takesRestart = ({ level, msg }: LogLine): boolean =>
  level === 40 && msg === 'limits.headerBytes has another value now, which takes a restart'
const isStopping = ({ msg }: LogLine): boolean => msg === 'stopping'

/** A gateway whose file can be written anew. */
async function withFile(
  t: Test,
  rules: string,
): Promise<{ serving: Serving; standin: Standin; write: (rest: string) => Promise<void> }> {
  const standin = await freshStandin(t)
  const folder = await freshFolder(t)
  const file = join(folder, 'postern.yaml')
  const write = (rest: string): Promise<void> => writeFile(file, `upstream: ${standin.url}\n${rest}`)
  await write(rules)
  return { serving: await serve(t, ['--config', file], { folder }), standin, write }
}

/** Has downloads begin and wait: `next` resolves with the answer that is to be ended. */
function hold(standin: Standin): () => Promise<ServerResponse> {
  const news = new EventEmitter()
  const begun = on(news, 'begun')
  standin.intercept = ({ url }, response) => {
    if (url?.startsWith('/api/roms/') !== true) return false
    response.writeHead(200, { 'Content-Length': LARGE }).write(Buffer.alloc(LARGE / 2))
    return news.emit('begun', response)
  }
  return async () => ((await begun.next()).value as [ServerResponse])[0]
}

function download({ url }: Serving, id: number): ReturnType<typeof curl> {
  return curl(
    '-o',
    '/dev/null',
    ...headerOptions(VERA),
    '-w',
    '%{size_download}\n%{http_code}',
    `${url}/api/roms/${id}`,
  )
}

const COMPLETE = { status: 200, body: String(LARGE) }

t.test('SIGHUP puts a changed file in place', async (t) => {
  const { serving, write } = await withFile(t, 'rules: [{ path: /api/roms, closed: true }]\n')
  const status = async (): Promise<number> =>
    (await curl(...headerOptions(VERA), `${serving.url}/api/roms`)).status
  t.equal(await status(), 404)
  await write('')
  await serving.after(() => serving.kill('SIGHUP'), isListening)
  t.equal(await status(), 200)
  await write('log: { level: warn }\nlimits: { headerBytes: 32KiB }\n')
  await serving.after(() => serving.kill('SIGHUP'), takesRestart)
  const lines = serving.log.length
  t.equal(await status(), 200)
  t.equal(serving.log.length, lines, 'the level of the log is another, too')
})

t.test('SIGHUP with a file that is not valid changes nothing, and says why', async (t) => {
  const { serving, write } = await withFile(t, 'rules: [{ path: /api/roms, closed: true }]\n')
  for (const [text, cause] of [
    ['ruels: []\n', /postern\.yaml:2 ruels: is not a setting \(did you mean "rules"\?\)/],
    ['rules: [\n', /postern\.yaml:\d/],
    ['rules: [{ path: /api/**, public: true }]\n', /\/api\/\*\*/],
  ] as const) {
    await write(text)
    const line = await serving.after(() => serving.kill('SIGHUP'), isRefused)
    t.match(line, { level: 50, code: 'config_invalid', cause })
    t.equal((await curl(`${serving.url}/api/roms`)).status, 404)
    t.same(await readiness(serving), { status: 200, body: { status: 'ok', troubles: [] } })
  }
})

t.test('SIGHUP says which settings take a restart', async (t) => {
  const { serving, write } = await withFile(t, '')
  await write('limits: { headerBytes: 32KiB }\n')
  await serving.after(() => serving.kill('SIGHUP'), takesRestart)
  await write('')
  const since = serving.log.length
  await serving.after(() => serving.kill('SIGHUP'), isListening)
  t.same(
    serving.log.slice(since).filter(({ level }) => Number(level) >= 40),
    [],
  )
})

t.test('SIGHUP loses no request that is under way, and cuts no answer', async (t) => {
  const { serving, standin, write } = await withFile(t, '')
  const next = hold(standin)
  const downloads = Array.from({ length: 4 }, (_, id) => download(serving, id))
  const held: ServerResponse[] = []
  while (held.length < downloads.length) held.push(await next())
  const enough = new AbortController()
  const statuses = new Set<number>()
  const traffic = Array.from({ length: 4 }, async () => {
    while (!enough.signal.aborted)
      statuses.add((await fetch(`${serving.url}/api/roms`, { headers: VERA })).status)
  })
  for (let round = 0; round < 4; round++) {
    await write(`rules: [{ path: /round/${round}, closed: true }]\n`)
    await serving.after(() => serving.kill('SIGHUP'), isListening)
  }
  for (const response of held) response.end(Buffer.alloc(LARGE / 2))
  for (const ended of downloads) t.same(await ended, COMPLETE)
  enough.abort()
  await Promise.all(traffic)
  t.same([...statuses], [200])
})

t.test('several SIGHUPs at once are taken in turn, and the last file counts', async (t) => {
  const { serving, write } = await withFile(t, 'rules: [{ path: /api/roms, closed: true }]\n')
  for (let i = 0; i < 3; i++) serving.kill('SIGHUP')
  await write('')
  await serving.after(() => serving.kill('SIGHUP'), isListening)
  serving.kill('SIGHUP')
  serving.kill('SIGTERM')
  t.same(await serving.ended, { code: 0, err: '' })
})

t.test('SIGTERM waits for a download, and takes nobody new', async (t) => {
  const standin = await freshStandin(t)
  const next = hold(standin)
  const serving = await serve(t, ['--upstream', standin.url])
  const ended = download(serving, 1)
  const response = await next()
  const socket = new WebSocket(
    `${serving.url.replace('http', 'ws')}/ws/socket.io/?EIO=4&transport=websocket`,
    {
      headers: VERA,
    },
  )
  await once(socket, 'message')
  const closed = once(socket, 'close')
  await serving.after(() => serving.kill('SIGTERM'), isStopping)
  t.same(await readiness(serving), {
    status: 503,
    body: { status: 'not_ready', troubles: ['shutting down'] },
  })
  await t.rejects(curl(`${serving.url}/`), /refused|reset|connect/i)
  await closed
  response.end(Buffer.alloc(LARGE / 2))
  t.same(await ended, COMPLETE)
  t.same(await serving.ended, { code: 0, err: '' })
})

t.test('a download that outlasts the grace is cut', async (t) => {
  const standin = await freshStandin(t)
  const next = hold(standin)
  const serving = await serve(t, ['--upstream', standin.url, ...sets({ 'shutdown.grace': '200ms' })])
  const ended = download(serving, 1)
  await next()
  serving.kill('SIGTERM')
  await t.rejects(ended, /bytes remaining|closed|reset/)
  t.same(await serving.ended, { code: 0, err: '' })
})

t.test('a second SIGTERM ends it at once', async (t) => {
  const standin = await freshStandin(t)
  const next = hold(standin)
  const serving = await serve(t, ['--upstream', standin.url])
  const cut = t.rejects(download(serving, 1), /bytes remaining|closed|reset/)
  await next()
  await serving.after(() => serving.kill('SIGTERM'), isStopping)
  serving.kill('SIGTERM')
  t.equal((await serving.ended).code, 1)
  await cut
})
