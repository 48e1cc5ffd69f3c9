/** What the process is told by signals, it tells its workers. */
import { rm, writeFile } from 'node:fs/promises'
import { Agent, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { freshFolder, readiness } from '../cli/processes.ts'
import { eventually } from '../replicas/support.ts'
import { as, ask, freshStandin } from '../support/romm/ask.ts'
import { isAbout, kill, pids, PROBE, serves, serveTogether } from './support.ts'

const VERA = as('rmm vera all')
const READY = { status: 200, body: { status: 'ok', troubles: [] } }
const LISTENING = isAbout('listening')
const NOT_RELOADED = isAbout('not reloaded: the configuration before stays in force')

t.test('SIGUSR2 replaces every worker, and no request is lost', async (t) => {
  const standin = await freshStandin(t)
  let held: ServerResponse | undefined
  standin.intercept = ({ url }, response) => {
    if (url !== '/api/roms/7') return false
    response.writeHead(200, { 'Content-Length': 8 }).write('half')
    held = response
    return true
  }
  const workers = await serveTogether(t, {
    'upstream.url': standin.url,
    'shutdown.grace': '1s',
    'log.decisions': 'off',
  })
  const before = pids(workers)
  const download = ask(workers.port, '/api/roms/7', { headers: VERA, agent: new Agent() })
  await eventually('it flows', async () => held !== undefined)
  const enough = new AbortController()
  const outcomes = new Map<number | string, number>()
  const note = (outcome: number | string): void =>
    void outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  // Connections of each client are kept for as long as the gateway lets them.
  const load = Array.from({ length: 4 }, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    while (!enough.signal.aborted) {
      await ask(workers.port, PROBE, { headers: VERA, agent }).then(({ status }) => note(status), note)
      // Without a pause the new workers would have to start on what the load leaves of the machine.
      await setTimeout(10)
    }
    agent.destroy()
  })
  await workers.after(() => workers.kill('SIGUSR2'), isAbout('every worker was replaced'))
  enough.abort()
  await Promise.all(load)
  t.same([...outcomes.keys()], [200])
  for (const [number, pid] of pids(workers)) t.not(pid, before.get(number), `worker ${number}`)
  // It began before, and outlasts the grace: nobody asked for the end of anything.
  held?.end('half')
  t.equal((await download).text, 'halfhalf')
  t.same(await readiness(workers), READY)
})

t.test('SIGHUP puts a changed file in place everywhere, or nowhere', async (t) => {
  const standin = await freshStandin(t)
  const folder = await freshFolder(t)
  const [file, mark] = [join(folder, 'postern.yaml'), join(folder, 'fail')]
  const write = (rest: string): Promise<void> => writeFile(file, `upstream: ${standin.url}\n${rest}`)
  await write('workers: 2\n')
  // The second worker finds its keys unreadable while the file is there.
  const preload = `import fs from 'node:fs'
    import { syncBuiltinESMExports } from 'node:module'
    const { readdir } = fs.promises
    if (process.argv.slice(-2).join(' ') === 'worker 2') fs.promises.readdir = async (...args) => {
      if (fs.existsSync(${JSON.stringify(mark)})) throw new Error('a bad disk')
      return readdir(...args)
    }
    syncBuiltinESMExports()`
  const options = { folder, preload, env: { POSTERN_CONFIG: file } }
  const workers = await serveTogether(t, {}, options)
  const clients = await workers.clients()
  const statuses = (): Promise<number[]> => Promise.all(clients.map((client) => client.status(VERA)))
  t.same(await statuses(), [200, 200])

  await write('rules: [{ path: /api/roms, closed: true }]\n')
  await workers.after(() => workers.kill('SIGHUP'), LISTENING)
  t.same(await statuses(), [404, 404])

  await write('ruels: []\n')
  t.match(await workers.after(() => workers.kill('SIGHUP'), NOT_RELOADED), { code: 'config_invalid' })
  t.same(await statuses(), [404, 404])

  await writeFile(mark, '')
  await write('')
  t.match(await workers.after(() => workers.kill('SIGHUP'), NOT_RELOADED), {
    code: 'keys_unusable',
    cause: /a bad disk/,
  })
  t.same(await statuses(), [404, 404], 'the worker that could have is as it was')

  await rm(mark)
  await workers.after(() => workers.kill('SIGHUP'), LISTENING)
  t.same(await statuses(), [200, 200])

  // What replaces a worker begins with what is in force, whatever the file says by now.
  await write('rules: [{ path: /api/roms, closed: true }]\n')
  await workers.after(() => kill(pids(workers).get(1)), serves(1))
  t.same(await Promise.all((await workers.clients()).map((client) => client.status(VERA))), [200, 200])
})

t.test('SIGTERM waits for what is under way in every worker', async (t) => {
  const standin = await freshStandin(t)
  const held: ServerResponse[] = []
  standin.intercept = ({ url }, response) => {
    if (url !== '/api/roms/7') return false
    response.writeHead(200, { 'Content-Length': 8 }).write('half')
    return held.push(response) > 0
  }
  const workers = await serveTogether(t, { 'upstream.url': standin.url })
  const downloads = (await workers.clients()).map((client) => client.ask('/api/roms/7', { headers: VERA }))
  await eventually('both flow', async () => held.length === 2)
  // As a terminal does it: every process hears it.
  for (const pid of pids(workers).values()) kill(pid, 'SIGTERM')
  await workers.after(() => workers.kill('SIGTERM'), isAbout('stopping'))
  t.same(await readiness(workers), {
    status: 503,
    body: { status: 'not_ready', troubles: ['shutting down'] },
  })
  await eventually('nobody is let in', async () =>
    fetch(workers.url).then(
      () => false,
      () => true,
    ),
  )
  for (const response of held) response.end('half')
  for (const download of downloads) t.equal((await download).text, 'halfhalf')
  t.same(await workers.ended, { code: 0, err: '' })
})

t.test('workers end with the process that started them', async (t) => {
  const standin = await freshStandin(t)
  const workers = await serveTogether(t, { 'upstream.url': standin.url })
  workers.kill('SIGKILL')
  await workers.ended
  for (const pid of pids(workers).values())
    await eventually(`${pid} is gone`, async () => {
      try {
        return !process.kill(pid, 0)
      } catch {
        return true
      }
    })
})
