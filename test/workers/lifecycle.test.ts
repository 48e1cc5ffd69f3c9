/** Workers as one, and what becomes of those that end. */
import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { curl, freshFolder, headerOptions, postern, readiness, sets } from '../cli/processes.ts'
import { eventually } from '../replicas/support.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import { isAbout, kill, pids, PROBE, serves, serveTogether } from './support.ts'

const VERA = as('rmm vera all')
const READY = { status: 200, body: { status: 'ok', troubles: [] } }
const REQUESTS = 'postern_requests_total{decision="permit",reason="none",mode="token",route="/api/roms"}'

/** Run before the program itself: a worker ends at once while the file is there. */
function endsWhile(file: string): string {
  return `import { existsSync } from 'node:fs'
    if (process.argv.includes('worker') && existsSync(${JSON.stringify(file)})) process.exit(70)`
}

t.test('workers answer on one port, and are looked after as one', async (t) => {
  const standin = await freshStandin(t)
  const workers = await serveTogether(t, { 'upstream.url': standin.url })
  t.match(workers.listening, { workers: 2, upstream: standin.url, checks: { token: /asking RomM/ } })
  t.equal(pids(workers).size, 2)
  t.same(await readiness(workers), READY)
  const [one, two] = await workers.clients()
  t.same([one.worker, two.worker], [1, 2])
  for (const client of [one, two, two]) t.equal(await client.status(VERA), 200)
  t.equal(await workers.metric(REQUESTS), 3, 'counts are sums')
  t.equal(await workers.metric('postern_workers'), 2)
  const rows = Number(workers.listening['routes'])
  t.equal(await workers.metric('postern_routes'), rows, 'and what all have is not')
})

t.test('whoever asks what goes on is told of every worker', async (t) => {
  const standin = await freshStandin(t)
  const workers = await serveTogether(t, { 'upstream.url': standin.url })
  const admin = ['--admin', workers.admin]
  const clients = await workers.clients()
  const tail = await fetch(`${workers.admin}/tail`)
  const lines = tail.body?.pipeThrough(new TextDecoderStream()).getReader()
  const ids = await Promise.all(
    clients.map(async (client) => (await client.ask(PROBE)).headers['x-request-id'] as string),
  )
  let heard = ''
  while (!ids.every((id) => heard.includes(id))) heard += (await lines?.read())?.value ?? ''
  await lines?.cancel()
  for (const client of clients) await client.status(VERA)
  const status = await postern(['status', ...admin])
  t.match(status.out, /^workers +2$/m)
  t.match(status.out, /^refused +.*no_credential 2/m)
  const who = JSON.parse((await postern(['who', '--json', ...admin])).out) as { mode: string }[]
  t.equal(who.filter(({ mode }) => mode === 'token').length, 2, 'seen by each')
  for (const id of ids) t.match(await postern(['explain', id, ...admin]), { code: 0, out: /no_credential/ })
})

t.test('who is blocked is refused by every worker, and by one that comes later', async (t) => {
  const standin = await freshStandin(t)
  const workers = await serveTogether(t, { 'upstream.url': standin.url })
  const clients = await workers.clients()
  const statuses = (): Promise<number[]> => Promise.all(clients.map((client) => client.status(VERA)))
  t.same(await statuses(), [200, 200])
  const blocked = await postern(['block', 'user', 'vera', '--for', '1h', '--admin', workers.admin])
  t.equal(blocked.code, 0, blocked.err)
  t.same(await statuses(), [403, 403])
  await workers.after(() => kill(pids(workers).get(2)), serves(2))
  const [, late] = await workers.clients()
  t.equal(await late.status(VERA), 403)
  t.match(await postern(['unblock', 'user', 'vera', '--admin', workers.admin]), { code: 0 })
  t.equal(await late.status(VERA), 200)
})

t.test('a worker that crashes is replaced, and nothing it counted is lost', async (t) => {
  const standin = await freshStandin(t)
  const workers = await serveTogether(t, { 'upstream.url': standin.url })
  const [one] = await workers.clients()
  t.equal(await one.status(VERA), 200)
  t.equal(await workers.metric(REQUESTS), 1)
  const before = pids(workers)
  const replaced = await workers.after(() => kill(before.get(1)), serves(1))
  t.not(replaced['pid'], before.get(1))
  t.match(workers.log.find(isAbout('a worker ended: it is replaced')), {
    level: 50,
    worker: 1,
    signal: 'SIGKILL',
  })
  t.equal(await workers.metric(REQUESTS), 1)
  t.equal(await workers.metric('postern_worker_deaths_total'), 1)
  const [again, other] = await workers.clients()
  for (const client of [again, other]) t.equal(await client.status(VERA), 200)
  t.same(await readiness(workers), READY)
})

t.test('while one worker is missing the others serve, and it is said', async (t) => {
  const standin = await freshStandin(t)
  const file = join(await freshFolder(t), 'end')
  const workers = await serveTogether(t, { 'upstream.url': standin.url }, { preload: endsWhile(file) })
  await writeFile(file, '')
  kill(pids(workers).get(2))
  await workers.line(isAbout('a worker cannot be started'))
  t.same(await readiness(workers), {
    status: 200,
    body: { status: 'degraded', troubles: ['worker 2: does not run'] },
  })
  t.equal((await curl(...headerOptions(VERA), workers.url + PROBE)).status, 200)
  await workers.after(() => rm(file), serves(2))
  t.same(await readiness(workers), READY)
})

t.test('when no worker can be started again, that is the end', async (t) => {
  const file = join(await freshFolder(t), 'end')
  const workers = await serveTogether(t, { upstream: '' }, { preload: endsWhile(file) }).catch(
    () => undefined,
  )
  t.equal(workers, undefined)
  const standin = await freshStandin(t)
  const dying = await serveTogether(t, { 'upstream.url': standin.url }, { preload: endsWhile(file) })
  await writeFile(file, '')
  for (const pid of pids(dying).values()) kill(pid)
  t.match(await dying.ended, {
    code: 70,
    err: /^worker [12] was started 5 times, and each time a worker ended before it answered\n$/,
  })
})

t.test('limits are shared out', async (t) => {
  const standin = await freshStandin(t)
  const workers = await serveTogether(t, {
    'upstream.url': standin.url,
    'limits.connections': '4',
    'listen.admin': 'off',
  })
  // Which of the two gets one is not for us to say: how many stay is.
  const sockets = Array.from({ length: 8 }, () => connect(workers.port, '127.0.0.1'))
  t.teardown(() => sockets.forEach((socket) => socket.destroy()))
  for (const socket of sockets) socket.on('error', () => undefined).resume()
  const closed = (): number => sockets.filter(({ destroyed }) => destroyed).length
  await eventually('half of them at least are refused', async () => {
    const refused = await workers.metric('postern_connections_refused_total{bound="all"}')
    return refused >= 4 && refused === closed()
  })
})

t.test('what keeps the first worker from starting is one sentence', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await once(other, 'listening')
  const address = `127.0.0.1:${(other.address() as AddressInfo).port}`
  const folder = await freshFolder(t)
  const settings = {
    workers: '2',
    'upstream.url': 'http://127.0.0.1:9',
    'keys.folder': join(folder, 'keys'),
    'openapi.cache': 'off',
    'listen.edge': '127.0.0.1:0',
    'listen.probes': '127.0.0.1:0',
    'listen.admin': 'off',
  }
  t.match(await postern(['serve', ...sets({ ...settings, 'listen.edge': address })]), {
    code: 69,
    err: `cannot listen on ${address} (listen.edge): another program listens there already\n`,
  })
  t.match(await postern(['serve', ...sets({ ...settings, workers: '0' })]), {
    code: 78,
    err: '--set workers: must be auto or a whole number, 1 to 64, not "0"\n',
  })
  t.match(
    await postern(['serve', ...sets({ ...settings, replicas: '2', 'keys.folder': join(folder, 'none') })]),
    {
      code: 78,
      err: /no key in/i,
    },
  )
  t.match(await postern(['worker', '1']), { code: 64, err: /started by `serve` alone/ })
})
