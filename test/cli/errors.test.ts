import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import t from 'tap'
import { freshFolder, postern, serve, sets } from './processes.ts'

const UPSTREAM = ['--upstream', 'http://127.0.0.1:9']

t.test('a command line that is not understood ends with 64 and says how it is written', async (t) => {
  const cases: readonly (readonly [readonly string[], string])[] = [
    [['nope'], "'nope' is not a command."],
    [['serve', '--nope'], "Unknown option '--nope'."],
    [['serve', 'now'], "'now' is not expected here."],
    [['serve', '--set', 'nonsense'], "--set takes setting=value, not 'nonsense'."],
    [['explain', 'GET'], 'PATH is missing.'],
    [['keys', 'turn'], 'postern keys is followed by one of: generate, rotate, list, prune.'],
    [['user', 'list', ...UPSTREAM], "With profile romm people and tokens are the backend's own."],
  ]
  for (const [args, sentence] of cases) {
    const { code, out, err } = await postern(args)
    const [first, ...usage] = err.trimEnd().split('\n')
    t.same({ code, out, first }, { code: 64, out: '', first: sentence }, args.join(' '))
    t.ok(usage.length > 0 && usage.every((line) => /^Usage:$|^ {2}postern /.test(line)), err)
  }
})

t.test('help is no mistake', async (t) => {
  const all = await postern([])
  t.same([all.code, all.err], [0, ''])
  t.match(all.out, /postern serve .*\n(.*\n)* {2}postern docs/)
  t.same(await postern(['--help']), all)
  t.same(await postern(['help']), all)
  const one = await postern(['explain', '--help'])
  t.same([one.code, one.err], [0, ''])
  t.match(one.out, /^Usage:\n {2}postern explain METHOD PATH .*\n$/)
})

t.test('a broken file is refused with every problem, its line, its path and what to do', async (t) => {
  const folder = await freshFolder(t)
  const file = join(folder, 'postern.yaml')
  await writeFile(
    file,
    [
      'profile: rom',
      'upstream: {}',
      'listne: { edge: 0.0.0.0:80 }',
      'cache:',
      '  revalidate: 2',
      'rules:',
      '  - path: /a',
      '    publik: true',
      'romm:',
      '  secret: ${NOT_THERE}',
      '',
    ].join('\n'),
  )
  const runs = ['serve', 'check', 'routes'].map((command) => postern([command, '--config', file]))
  for (const { code, out, err } of await Promise.all(runs)) {
    t.equal(code, 78)
    t.equal(out, '')
    const lines = err.trimEnd().split('\n')
    for (const problem of [
      /postern\.yaml:1 profile: .*/,
      /upstream\.url: must be given.*POSTERN_UPSTREAM_URL/,
      /postern\.yaml:3 listne: is not a setting \(did you mean "listen"\?\)/,
      /postern\.yaml:5 cache\.revalidate: .*\(.*\)/,
      /postern\.yaml:8 rules\[0\]\.publik: .*"public"/,
      /postern\.yaml:10 romm\.secret: .*NOT_THERE.*\(.*\)/,
    ])
      t.equal(lines.filter((line) => problem.test(line)).length, 1, `${String(problem)} in\n${err}`)
  }
})

t.test('a file that is not there, or is no YAML, is refused', async (t) => {
  const folder = await freshFolder(t)
  t.match(await postern(['check', '--config', '/nowhere.yaml']), {
    code: 78,
    err: /^\/nowhere\.yaml: the file cannot be read/,
  })
  await writeFile(join(folder, 'postern.yaml'), 'a: [\nb: 1\n')
  const { code, err } = await postern(['check'], { cwd: folder })
  t.equal(code, 78)
  t.match(err, /^\.\/postern\.yaml:\d+: /)
})

t.test('check says what works and deserves a word, and connects to nothing', async (t) => {
  t.same(await postern(['check', ...UPSTREAM]), {
    code: 0,
    out: 'The environment: a valid configuration.\n',
    err: '',
  })
  const folder = await freshFolder(t)
  await writeFile(join(folder, 'postern.yaml'), 'upstream: http://127.0.0.1:9\nreplicas: 2\n')
  t.match(await postern(['check'], { cwd: folder }), {
    code: 0,
    out: './postern.yaml: a valid configuration.\n',
    err: /^warning: redis: replicas without a shared Redis/,
  })
})

t.test('every example is valid with nothing else given', async (t) => {
  for (const name of ['romm', 'standalone', 'demo']) {
    const file = new URL(`../../config/${name}.yaml`, import.meta.url).pathname
    t.match(await postern(['check', '--config', file]), { code: 0, err: '' }, name)
  }
})

t.test('an address that is taken is named in one sentence', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await once(other, 'listening')
  const address = `127.0.0.1:${String((other.address() as { port: number }).port)}`
  const folder = await freshFolder(t)
  const base = { 'keys.folder': join(folder, 'keys'), 'openapi.cache': 'off' }
  for (const [setting, rest] of [
    ['listen.edge', { 'listen.probes': 'off' }],
    ['listen.probes', { 'listen.edge': '127.0.0.1:0' }],
  ] as const) {
    const { code, err } = await postern([
      'serve',
      ...UPSTREAM,
      ...sets({ ...base, ...rest, [setting]: address }),
    ])
    t.equal(code, 69)
    t.equal(err, `cannot listen on ${address}: another program listens there already\n`)
  }
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

t.test('the pages that are made from tables are up to date', async (t) => {
  const root = new URL('../..', import.meta.url).pathname
  t.same(await postern(['docs'], { cwd: root }), { code: 0, out: '', err: '' })
  const empty = await freshFolder(t)
  t.match(await postern(['docs'], { cwd: empty }), {
    code: 64,
    err: /^Not up to date: docs\/configuration\.md, .*docs\/reasons\.md\. Run `npm run docs`\.\n/,
  })
  await postern(['docs', '--write'], { cwd: empty })
  t.equal((await postern(['docs'], { cwd: empty })).code, 0)
  await writeFile(join(empty, 'docs/reasons.md'), '# Reasons\n')
  t.match((await postern(['docs'], { cwd: empty })).err, /^Not up to date: docs\/reasons\.md\. /)
})
