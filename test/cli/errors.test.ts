import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { freshFolder, postern } from './processes.ts'

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
  const ended = await Promise.all(cases.map(([args]) => postern(args)))
  for (const [index, { code, out, err }] of ended.entries()) {
    const [args = [], sentence] = cases[index] ?? []
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
  t.match(one.out, /^Usage:\n {2}postern explain REQUEST-ID .*\n {2}postern explain METHOD PATH .*\n$/)
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

t.test('a setting of the command line or the environment is named once', async (t) => {
  const misspelt = { POSTERN_UPSTREM_URL: 'http://romm:8080' }
  for (const [args, env, problem] of [
    [['--upstream', 'romm:8080'], {}, /^--set upstream\.url: must be an http or https URL.*such as/],
    [
      ['--set', 'upstrem.url=x', ...UPSTREAM],
      {},
      /^--set upstrem\.url: is not a setting \(.*"upstream\.url"/,
    ],
    [UPSTREAM, misspelt, /^POSTERN_UPSTREM_URL: is not the variable of any .*"POSTERN_UPSTREAM_URL"/],
  ] as const)
    t.match(await postern(['check', ...args], { env }), { code: 78, err: problem })
})

t.test('every example is valid with nothing else given', async (t) => {
  for (const name of ['romm', 'standalone', 'demo']) {
    const file = new URL(`../../config/${name}.yaml`, import.meta.url).pathname
    t.match(await postern(['check', '--config', file]), { code: 0, err: '' }, name)
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
