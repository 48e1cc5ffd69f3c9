import { once } from 'node:events'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { curl, freshFolder, postern, serve, sets } from './processes.ts'

const UPSTREAM = ['--upstream', 'http://127.0.0.1:9']

t.test('an address that is taken is named in one sentence', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await once(other, 'listening')
  const address = `127.0.0.1:${String((other.address() as { port: number }).port)}`
  const folder = await freshFolder(t)
  const base = { 'keys.folder': join(folder, 'keys'), 'openapi.cache': 'off' }
  for (const [setting, rest] of [
    ['listen.edge', { 'listen.probes': 'off', 'listen.admin': 'off' }],
    ['listen.probes', { 'listen.edge': '127.0.0.1:0' }],
  ] as const) {
    const { code, err } = await postern([
      'serve',
      ...UPSTREAM,
      ...sets({ ...base, ...rest, [setting]: address }),
    ])
    t.equal(code, 69)
    t.equal(err, `cannot listen on ${address} (${setting}): another program listens there already\n`)
  }
})

t.test('a socket that a killed process left behind is no obstacle', async (t) => {
  const path = join(await freshFolder(t), 'edge.sock')
  const settings = [...UPSTREAM, ...sets({ 'listen.edge': `unix:${path}` })]
  const killed = await serve(t, settings)
  t.equal(killed.listening['edge'], `unix:${path}`)
  const { code, err } = await postern(
    ['serve', ...settings, ...sets({ 'listen.probes': 'off', 'listen.admin': 'off' })],
    {
      cwd: killed.folder,
    },
  )
  t.same(
    { code, err },
    { code: 69, err: `cannot listen on unix:${path} (listen.edge): another program listens there already\n` },
  )
  killed.kill('SIGKILL')
  await killed.ended
  const next = await serve(t, settings)
  t.match(await curl('--unix-socket', path, 'http://localhost/-/postern/me'), { status: 401 })
  next.kill('SIGTERM')
  t.equal((await next.ended).code, 0)
  const file = join(next.folder, 'file')
  await writeFile(file, 'precious')
  t.match(
    await postern(
      [
        'serve',
        ...UPSTREAM,
        ...sets({ 'listen.edge': `unix:${file}`, 'listen.probes': 'off', 'listen.admin': 'off' }),
      ],
      { cwd: next.folder },
    ),
    { code: 69 },
  )
  t.equal(await readFile(file, 'utf8'), 'precious')
})

t.test('keys that others could use are refused, with the command that helps', async (t) => {
  const folder = join(await freshFolder(t), 'keys')
  await mkdir(folder)
  await chmod(folder, 0o755)
  const { code, err } = await postern([
    'serve',
    ...UPSTREAM,
    ...sets({
      'keys.folder': folder,
      'openapi.cache': 'off',
      'listen.edge': '127.0.0.1:0',
      'listen.probes': 'off',
      'listen.admin': 'off',
    }),
  ])
  t.equal(code, 78)
  t.match(err.trimEnd().split('\n'), [`Others on this machine may use ${folder}: chmod 700 ${folder}`])
})

t.test('replicas make no keys of their own', async (t) => {
  const folder = join(await freshFolder(t), 'keys')
  const settings = sets({
    'keys.folder': folder,
    'openapi.cache': 'off',
    'listen.edge': '127.0.0.1:0',
    'listen.probes': 'off',
    'listen.admin': 'off',
    replicas: '2',
  })
  t.match(await postern(['serve', ...UPSTREAM, ...settings]), {
    code: 78,
    err: /^There is no key in .*`postern keys generate` once\.\n$/,
  })
  t.match(await postern(['keys', 'generate', ...UPSTREAM, ...settings]), { code: 0 })
  t.ok(await serve(t, [...UPSTREAM, ...settings]))
})

t.test('an error that nobody caught is one line without what it was about, and the end', async (t) => {
  const secret = 'correct horse'
  for (const crash of [
    'throw new Error(process.env.SECRET)',
    'Promise.reject(new Error(process.env.SECRET))',
    'Promise.reject({ password: process.env.SECRET })',
  ]) {
    const preload = `process.on("SIGUSR2", () => { ${crash} })`
    const serving = await serve(t, UPSTREAM, { env: { SECRET: secret }, preload })
    serving.kill('SIGUSR2')
    t.same(await serving.ended, { code: 70, err: '' }, crash)
    t.match(serving.log.at(-1), { level: 60, cause: String, msg: 'an error that nobody caught: ending' })
    t.notMatch(JSON.stringify(serving.log), secret)
  }
})
