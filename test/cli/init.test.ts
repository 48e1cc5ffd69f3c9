import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { runInit } from '../../src/cli/init/init.ts'
import { loadConfig } from '../../src/config/load.ts'
import { postern } from './processes.ts'

interface Made {
  readonly folder: string
  /** What was said besides the configuration and the change. */
  readonly said: readonly string[]
  readonly out: string
  /** Of a file, as it is afterwards. */
  text(name: string): string
  readonly services: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

/** Runs `postern init --write` beside these files. */
async function init(
  t: Test,
  files: Readonly<Record<string, string>>,
  args: readonly string[] = [],
  answers: readonly string[] = [],
): Promise<Made> {
  const folder = t.testdir({ ...files })
  const said: string[] = []
  const printed: string[] = []
  const left = [...answers]
  const compose = Object.keys(files).find((name) => name.includes('compose'))
  const all = compose === undefined ? args : ['--compose', join(folder, compose), ...args]
  await runInit(all, {
    out: (line) => printed.push(line),
    err: (line) => said.push(line),
    endWith: () => undefined,
    ask: async () => left.shift(),
    env: {},
    readSecret: () => Promise.reject(new Error('nobody is asked')),
    now: Date.now,
    signals: {
      stopped: new Promise(() => undefined),
      onReload: () => undefined,
      onRestart: () => undefined,
      leaveToOthers: () => undefined,
      onExit: () => undefined,
      onCrash: () => undefined,
    },
  })
  const text = (name: string): string => readFileSync(join(folder, name), 'utf8')
  return {
    folder,
    said,
    out: printed.join('\n'),
    text,
    get services() {
      return (parse(text(compose ?? '')) as { readonly services: Made['services'] }).services
    },
  }
}

/** What is written is good, and nothing of the file went but what is named. */
function isSound(t: Test, made: Made, name: string, before: string, gone: readonly string[]): void {
  const environment: unknown = made.services['postern']?.['environment'] ?? {}
  const pairs = Array.isArray(environment)
    ? environment.map((line) => String(line).split(/=(.*)/s))
    : Object.entries(environment as object)
  const env = Object.fromEntries(pairs.filter(([key]) => !key?.endsWith('_FILE'))) as Record<string, string>
  for (const given of [{}, env]) {
    const loaded = loadConfig({ file: join(made.folder, 'postern.yaml'), env: given })
    t.same(loaded.ok ? [] : loaded.problems, [], 'postern check finds nothing')
  }
  const after = made.text(name).split('\n')
  let from = 0
  for (const line of before.trimEnd().split('\n')) {
    if (gone.includes(line.trim())) continue
    const at = after.indexOf(line, from)
    t.ok(at >= from, `kept in its place: ${line}`)
    from = at + 1
  }
  t.equal(made.text(`${name}.before-postern`), before)
}

/** How the admin listener is reached by what was written. */
function adminOf({ folder }: Made): string | undefined {
  const loaded = loadConfig({ file: join(folder, 'postern.yaml'), env: {} })
  if (!loaded.ok) return undefined
  const { admin } = loaded.config.listen
  return admin === 'off' ? admin : admin.kind
}

const LIST = `# My games.
services:
  romm:
    image: rommapp/romm:latest   # updated by hand
    environment:
      - DB_HOST=romm-db
      - DB_NAME=romm # as in the database below
      - DB_USER=romm-user
      - DB_PASSWD=sesame
      - ROMM_AUTH_SECRET_KEY=0123456789abcdef
      - IGDB_CLIENT_ID=not-ours
      - KIOSK_MODE=true
    ports:
      - 80:8080
    depends_on: [romm-db]

  # The database.
  romm-db:
    image: mariadb:latest

volumes:
  mysql_data:
`

t.test('a list of variables, and a port of RomM alone', async (t) => {
  const made = await init(t, { 'docker-compose.yml': LIST }, ['--write'])
  isSound(t, made, 'docker-compose.yml', LIST, ['ports:', '- 80:8080'])
  t.match(made.text('docker-compose.yml'), /\n {4}depends_on: \[romm-db\]\n\n {2}postern:\n/)
  t.match(made.text('docker-compose.yml'), /\n\n {2}# The database\.\n {2}romm-db:\n/)
  const { romm = {}, postern: ours = {} } = made.services
  t.same([romm['ports'], romm['expose'], ours['ports']], [undefined, ['8080'], ['80:8090']])
  t.same(ours['environment'], [
    'DB_HOST=romm-db',
    'DB_NAME=romm',
    'DB_USER=romm-user',
    'DB_PASSWD=sesame',
    'ROMM_AUTH_SECRET_KEY=0123456789abcdef',
    'KIOSK_MODE=true',
  ])
  t.match(made.text('postern.yaml'), /^ {2}url: http:\/\/romm:8080$/m)
  t.same([ours['read_only'], ours['cap_drop'], ours['stop_grace_period']], [true, ['ALL'], '35s'])
  t.match(made.said.join('\n'), /note: RomM has no REDIS_HOST/)
  const file = join(made.folder, 'docker-compose.yml')
  t.same(made.said.slice(-4), [
    'next:',
    '  docker build -t postern:0.1.0 .   # in a checkout of Postern',
    `  docker compose -f ${file} up -d`,
    `  docker compose -f ${file} exec postern postern doctor`,
  ])
  t.notMatch(made.said.join('\n'), /no ROMM_AUTH_SECRET_KEY/)
})

t.test('a map of variables, an anchor, secrets, networks, and one port of several', async (t) => {
  const text = `x-database: &database
    DB_HOST: db
    DB_USER: romm
    REDIS_HOST: valkey
services:
    games:
        image: ghcr.io/rommapp/romm:5.2.0
        environment:
            <<: *database
            DB_PASSWD_FILE: /run/secrets/db
            ROMM_AUTH_SECRET_KEY: "\${SECRET:?set it}" # in .env
            ROMM_PORT: '9000'
        secrets: [db]
        ports:
            - "127.0.0.1:8080:9000/tcp"
            - "6379:6379"
        networks:
            front:
                aliases: [library]
            back:
    db: { image: mariadb }
secrets: { db: { file: ./db } }
networks: { front: {}, back: {} }
`
  const made = await init(t, { 'compose.yaml': text }, [
    '--write',
    '--public-url',
    'https://romm.example.org',
  ])
  isSound(t, made, 'compose.yaml', text, ['- "127.0.0.1:8080:9000/tcp"'])
  t.match(made.text('postern.yaml'), /^ {2}url: http:\/\/games:9000$/m)
  t.match(made.text('postern.yaml'), /^publicUrl: https:\/\/romm\.example\.org$/m)
  t.same(made.services['games']?.['ports'], ['6379:6379'])
  t.notMatch(made.said.join('\n'), /REDIS_HOST|ROMM_AUTH_SECRET_KEY/)
  t.match(made.services['postern'], {
    depends_on: ['games'],
    ports: ['127.0.0.1:8080:8090/tcp'],
    networks: ['front', 'back'],
    secrets: ['db'],
  })
  t.match(made.text('compose.yaml'), /postern:\n(?: {8}.*\n)*? {12}<<: \*database\n {12}DB_PASSWD_FILE: /)
  t.match(parse(made.text('compose.yaml')) as object, { volumes: { 'postern-data': null } })
})

t.test('variables in files, ports written long, and no volumes yet', async (t) => {
  const text = `services:
  romm:
    image: rommapp/romm
    env_file:
      - romm.env
      - path: more.env
        required: false
    ports:
      - target: 8080
        published: "80"
        protocol: tcp
`
  const env = 'DB_HOST=db\nDB_USER=romm\nREDIS_HOST=valkey\n'
  const made = await init(t, { 'compose.yml': text, 'romm.env': env }, ['--write', '--observe'])
  isSound(t, made, 'compose.yml', text, ['ports:', '- target: 8080', 'published: "80"', 'protocol: tcp'])
  t.match(made.services['postern'], {
    env_file: ['romm.env', { path: 'more.env', required: false }],
    ports: [{ target: 8090, published: '80', protocol: 'tcp' }],
  })
  t.match(made.text('postern.yaml'), /^enforcement: observe$/m)
  t.match(made.said.join('\n'), /note: RomM has no ROMM_AUTH_SECRET_KEY/)
  t.notMatch(made.said.join('\n'), /no REDIS_HOST/)
})

t.test('the network of the host, of another service, and no published port', async (t) => {
  const host = `services:
  romm: { image: rommapp/romm }
  other:
    image: rommapp/romm
    network_mode: host
`
  const onHost = await init(t, { 'compose.yml': host }, ['--write', '--service', 'other'])
  isSound(t, onHost, 'compose.yml', host, [])
  t.match(onHost.text('postern.yaml'), /^ {2}url: http:\/\/127\.0\.0\.1:8080$/m)
  t.equal(onHost.services['postern']?.['network_mode'], 'host')
  t.equal(adminOf(onHost), 'unix', 'RomM is on the same loopback')
  t.match(onHost.said.join('\n'), /listens on every address of this machine at 8080/)

  const vpn = `services:
  vpn:
    image: gluetun
    ports: ["8080:8080", '9:9']   # RomM's, and another's
  romm:
    image: rommapp/romm
    network_mode: service:vpn
`
  const behind = await init(t, { 'compose.yml': vpn }, ['--write'])
  t.same(behind.services['vpn']?.['ports'], ['8080:8090', '9:9'])
  t.match(behind.services['postern'], { network_mode: 'service:vpn' })
  t.equal(adminOf(behind), 'unix')
  t.match(behind.text('compose.yml'), /'9:9'\] {3}# RomM's, and another's/)

  const hidden = `services:\n  romm:\n    image: rommapp/romm\n    volumes:\n      - a:/b   # mine\n\n\n`
  const noPort = await init(t, { 'compose.yml': hidden }, ['--write'])
  t.equal(adminOf(noPort), 'tcp', 'loopback is its own')
  isSound(t, noPort, 'compose.yml', hidden, [])
  t.match(noPort.said.join('\n'), /point your proxy at postern:8090 instead of romm:8080/)
})

t.test('without --write it shows the configuration and a diff, and touches nothing', async (t) => {
  const made = await init(t, { 'docker-compose.yml': LIST })
  t.equal(made.text('docker-compose.yml'), LIST)
  t.same(readdirSync(made.folder), ['docker-compose.yml'])
  t.match(made.out, /^# postern\.yaml\n[^]*\nprofile: romm\n[^]*\n--- .*docker-compose\.yml\n\+\+\+ /)
  const diff = made.out.slice(made.out.indexOf('--- ')).split('\n').slice(2)
  const side = (mark: string): string[] =>
    diff.filter((line) => line.startsWith(mark) || line.startsWith(' ')).map((line) => line.slice(1))
  const written = await init(t, { 'docker-compose.yml': LIST }, ['--write'])
  const [before, after] = [LIST.split('\n'), written.text('docker-compose.yml').split('\n')]
  t.ok(side('-').every((line) => before.includes(line)) && side('+').every((line) => after.includes(line)))
  t.equal(diff.filter((line) => line.startsWith('-')).length, 2)
  const heads = diff.flatMap(
    (line) => /^@@ -(\d+),(\d+) \+(\d+),(\d+) @@$/.exec(line)?.slice(1).map(Number) ?? [],
  )
  t.same([heads[0], heads[2]], [10, 10], 'where the first hunk begins, before and after')
})

t.test('nothing is overwritten without being told, and twice changes nothing', async (t) => {
  const taken = { 'compose.yml': LIST, 'postern.yaml': '# mine\n' }
  await t.rejects(init(t, taken, ['--write']), {
    code: 'usage',
    message: /postern\.yaml would be overwritten/,
  })
  const made = await init(t, taken, ['--write', '--force'])
  t.equal(made.text('postern.yaml.before-postern'), '# mine\n')
  const again = await init(t, { 'compose.yml': made.text('compose.yml') }, ['--write'])
  t.match(again.said.join('\n'), /There is a service postern already/)
  t.notOk(existsSync(join(again.folder, 'compose.yml.before-postern')))
})

t.test('what cannot be understood is said, with its place', async (t) => {
  for (const [text, message] of [
    ['services:\n  a: [\n', /compose\.yml:\d+: /],
    ['version: 3\n', /has no services/],
    [
      'services:\n  db:\n    image: mariadb\n  web:\n    image: nginx\n',
      /which service is RomM\? .*: db, web\./,
    ],
    ['services:\n  a: { image: romm }\n  b: { image: x/romm:1 }\n', /has several RomMs: .*: a, b\./],
  ] as const) {
    await t.rejects(init(t, { 'compose.yml': text }), { code: 'usage', message })
  }
})

t.test('without a compose file RomM is asked for, of a person or the command line', async (t) => {
  const here = process.cwd()
  t.teardown(() => process.chdir(here))
  process.chdir(t.testdir({}))
  const asked = await init(t, {}, [], ['http://192.168.1.9:8080', 'https://games.example'])
  t.match(asked.out, /\n {2}url: http:\/\/192\.168\.1\.9:8080\n[^]*\npublicUrl: https:\/\/games\.example\n/)
  process.chdir(here)
  const folder = t.testdir({})
  const told = await postern(['init', '--upstream', 'http://romm:8080', '--write'], { cwd: folder })
  t.same([told.code, told.out], [0, ''])
  const { code, out } = await postern(['check'], { cwd: folder })
  t.same([code, out], [0, './postern.yaml: a valid configuration.\n'])
  const nobody = await postern(['init'], { cwd: t.testdir({}) })
  t.equal(nobody.code, 64)
  t.match(
    nobody.err,
    /There is no compose file here: --compose names one, or --upstream says where RomM is\./,
  )
})
