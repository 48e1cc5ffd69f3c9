import t from 'tap'
import { loadConfig, type ConfigInput } from '../../src/config/load.ts'
import type { Config } from '../../src/config/schema.ts'
import type { Problem, Warning } from '../../src/config/problem.ts'

const UPSTREAM = 'upstream: http://romm:8080\n'

function problemsOf(text: string, input: Partial<ConfigInput> = {}): readonly Problem[] {
  const loaded = loadConfig({ env: {}, file: 'postern.yaml', text, ...input })
  return loaded.ok ? [] : loaded.problems
}

function load(
  text: string,
  input: Partial<ConfigInput> = {},
): { config: Config; warnings: readonly Warning[] } {
  const loaded = loadConfig({ env: {}, file: 'postern.yaml', text, ...input })
  if (loaded.ok) return loaded
  throw new Error(JSON.stringify(loaded.problems))
}

/** Which settings are refused, in a configuration that is good but for `text`. */
function refused(text: string): readonly string[] {
  return problemsOf(UPSTREAM + text).map(({ path }) => path)
}

function remarked(text: string): readonly string[] {
  return load(UPSTREAM + text).warnings.map(({ path }) => path)
}

function kiosk(text: string, input: Partial<ConfigInput>): boolean {
  return load(UPSTREAM + text, input).config.romm.kiosk
}

function read(file: string): string {
  if (file === '/run/secrets/key') return 's3cret\r\n'
  throw new Error('ENOENT')
}

t.test('a password in a URL that has no place for one is not shown with the problem', async () => {
  for (const url of ['http://ann:hunter2@romm:8080', 'http://ann:hunt/er2#x@y@romm', 'ann:hunter2@romm']) {
    const [problem] = problemsOf(`upstream: "${url}"\n`)
    t.equal(problem?.path, 'upstream.url')
    t.match(problem?.message, /not "(http:\/\/)?…@romm(:8080)?"$/)
  }
  t.match(problemsOf('upstream: romm:8080\n')[0]?.message, /not "romm:8080"$/)
})

t.test("the upstream's URL is all that must be given", async () => {
  const { config, warnings } = load(UPSTREAM)
  t.equal(config.upstream.url, 'http://romm:8080')
  t.equal(config.upstream.credentials, 'pass')
  t.equal(config.cache.revalidate, 2_000)
  t.equal(config.limits.headerBytes, 16_384)
  t.same(config.listen.edge, { kind: 'tcp', host: '0.0.0.0', port: 8090 })
  t.same(config.openapi.document, { kind: 'upstream', path: '/openapi.json' })
  t.equal(config.redis, undefined)
  t.same(warnings, [])
  t.match(problemsOf(''), [{ path: 'upstream.url', hint: /POSTERN_UPSTREAM_URL/ }])
})

t.test('the configuration is frozen throughout', async () => {
  const { config } = load(`${UPSTREAM}rules: [{ path: /x, scopes: [a] }]`)
  t.throws(() => Object.assign(config.cache, { revalidate: 1 }))
  t.ok(Object.isFrozen(config.rules[0]?.scopes))
})

t.test("defaults follow the profile and the database's driver", async () => {
  const { config } = load(`${UPSTREAM}profile: standalone`)
  t.equal(config.upstream.credentials, 'strip')
  t.same(config.openapi.document, { kind: 'none' })
  const database = (driver: string) =>
    load(`${UPSTREAM}romm: { database: { driver: ${driver}, host: d, user: u } }`).config.romm.database
  t.equal(database('mariadb')?.port, 3306)
  t.equal(database('postgresql')?.port, 5432)
})

t.test('every problem is named at once, with its path, its place and what to do', async () => {
  const text = [
    'upstrem: http://romm:8080',
    'cache:',
    '  revalidate: 2',
    '  lifetime: 4s',
    'rules:',
    '  - path: /a',
    '    publik: true',
    'redis:',
    '  port: 6379',
    'ask: { ttl: 1x, concurrency: 0 }',
    'conflict: rejekt',
  ].join('\n')
  const env = { POSTERN_LISTEN_EGDE: '0.0.0.0:1', POSTERN_LOG_LEVEL: 'loud' }
  t.match(problemsOf(text, { env }), [
    { path: 'upstrem', hint: 'did you mean "upstream"?', where: 'postern.yaml:1' },
    { path: 'cache.lifetime', hint: 'did you mean "assertion.lifetime"?', where: 'postern.yaml:4' },
    { path: 'POSTERN_LISTEN_EGDE', hint: 'did you mean "POSTERN_LISTEN_EDGE"?' },
    { path: 'upstream.url', message: /must be given/ },
    { path: 'rules[0].publik', hint: 'did you mean "public"?', where: 'postern.yaml:7' },
    {
      path: 'conflict',
      message: /resolve or reject, not "rejekt"/,
      hint: /"reject"/,
      where: 'postern.yaml:11',
    },
    { path: 'cache.revalidate', hint: 'write a unit: 2s', where: 'postern.yaml:3' },
    { path: 'ask.concurrency', message: 'must be at least 1' },
    { path: 'ask.ttl', message: /duration.*not "1x"/, where: 'postern.yaml:10' },
    { path: 'log.level', where: 'POSTERN_LOG_LEVEL' },
    { path: 'redis.host', message: /must be given/ },
  ])
})

t.test(
  'the command line comes before the environment, the environment before the file, the file before RomM',
  async () => {
    const env = { KIOSK_MODE: 'true' }
    t.equal(kiosk('', {}), false)
    t.equal(kiosk('', { env }), true)
    t.equal(kiosk('romm: { kiosk: false }', { env }), false)
    const ours = { ...env, POSTERN_ROMM_KIOSK: 'yes' }
    t.equal(kiosk('romm: { kiosk: false }', { env: ours }), true)
    t.equal(kiosk('romm: { kiosk: false }', { env: ours, overrides: { 'romm.kiosk': 'no' } }), false)
  },
)

t.test('an option that names no setting is a problem', async () => {
  t.match(problemsOf(UPSTREAM, { overrides: { 'cache.revalidat': '2s' } }), [
    { path: 'cache.revalidat', hint: 'did you mean "cache.revalidate"?' },
  ])
})

t.test('a bare text stands for the first thing that a section is about', async () => {
  const { config } = load(`${UPSTREAM}openapi: none\ncors: off\nredis: redis://r:6379/2\n`)
  t.same(config.openapi.document, { kind: 'none' })
  t.equal(config.cors.mode, 'off')
  t.equal(config.redis?.url, 'redis://r:6379/2')
})

t.test('a section without anything in it is as good as none', async () => {
  t.equal(load(`${UPSTREAM}redis:\ncache:\n`).config.redis, undefined)
  t.match(problemsOf(`${UPSTREAM}cache: 5`), [{ path: 'cache', message: /section/ }])
  t.match(problemsOf(`${UPSTREAM}replicas:`), [{ path: 'replicas', message: 'has no value' }])
})

t.test('texts may name environment variables, whatever the type of the setting', async () => {
  const env = { WORKERS: '3', PROXIES: '10.0.0.0/8, caddy', KEY: 'a ${b}', EMPTY: '' }
  const text = 'replicas: ${WORKERS}\nask: { ttl: "${TTL:-10s}" }\ntrustedProxies: ${PROXIES}\n'
  const { config } = load(`${UPSTREAM}${text}romm: { secret: "\${KEY}-$\${x}" }`, { env })
  t.equal(config.replicas, 3)
  t.equal(config.ask.ttl, 10_000)
  t.match(config.trustedProxies, [
    { kind: 'addresses', entry: '10.0.0.0/8' },
    { kind: 'name', name: 'caddy' },
  ])
  t.equal(config.romm.secret, 'a ${b}-${x}', 'what a variable holds is not read again')
  for (const reference of ['${MISSING}', '${EMPTY}', '${not a name}']) {
    t.match(problemsOf(`${UPSTREAM}log: { level: "${reference}" }`, { env }), [
      { path: 'log.level', hint: /default/, where: 'postern.yaml:2' },
    ])
  }
})

t.test('a secret may be kept in a file, and is never shown', async () => {
  t.equal(
    load(`${UPSTREAM}romm: { secret: { file: /run/secrets/key } }`, { read }).config.romm.secret,
    's3cret',
  )
  const absent = problemsOf(`${UPSTREAM}romm: { secret: { file: /nowhere } }`, { read })
  t.match(absent, [{ path: 'romm.secret', message: /\/nowhere cannot be read/ }])
  const shown = JSON.stringify(
    problemsOf(
      `${UPSTREAM}redis: { url: "http://:hunter2@r", password: 123456 }\nromm: { secret: "hun\\nter2" }`,
    ),
  )
  t.match(shown, /redis\.url.*redis\.password.*romm\.secret/)
  t.notMatch(shown, /hunter2|123456|ter2/)
  t.match(problemsOf(`${UPSTREAM}publicUrl: { file: /run/secrets/key }`, { read }), [{ path: 'publicUrl' }])
})

t.test("RomM's own variables are read under its profile, files included", async () => {
  const env = {
    DB_HOST: 'romm-db',
    DB_USER: 'romm',
    DB_PASSWD_FILE: '/run/secrets/db',
    ROMM_DB_DRIVER: 'postgresql',
    ROMM_AUTH_SECRET_KEY: 'k',
    REDIS_HOST: 'romm-redis',
    REDIS_SSL: 'True',
    REDIS_PASSWORD: '',
    KIOSK_MODE: 'perhaps',
  }
  const { romm } = load(UPSTREAM, { env, read: () => 'pw\n' }).config
  t.match(romm.database, {
    driver: 'postgresql',
    host: 'romm-db',
    port: 5432,
    user: 'romm',
    password: 'pw',
    name: 'romm',
  })
  t.match(romm.redis, { host: 'romm-redis', port: 6379, tls: true })
  t.equal(romm.redis?.password, undefined)
  t.equal(romm.secret, 'k')
  t.equal(romm.kiosk, false, 'as RomM reads it')
  t.equal(load(`${UPSTREAM}profile: standalone`, { env }).config.romm.secret, undefined)
  const byUrl = load(`${UPSTREAM}romm: { redis: redis://other }`, { env, read: () => 'pw' }).config.romm.redis
  t.equal(byUrl?.host, undefined, 'REDIS_HOST gives way to a whole URL')
  t.match(problemsOf(UPSTREAM, { env: { DB_PORT: 'x' } }), [{ path: 'romm.database.port', where: 'DB_PORT' }])
})

t.test('a variable and its file twin exclude each other', async () => {
  const env = { POSTERN_ROMM_SECRET: 'a', POSTERN_ROMM_SECRET_FILE: '/b' }
  t.match(problemsOf(UPSTREAM, { env }), [{ path: 'romm.secret', message: /both/ }])
})

t.test('what Kubernetes says of a service called postern is nobody’s setting', async () => {
  const env = {
    POSTERN_SERVICE_HOST: '10.0.0.1',
    POSTERN_SERVICE_PORT_EDGE: '8090',
    POSTERN_PORT: 'tcp://10.0.0.1:8090',
    POSTERN_PORT_8090_TCP_ADDR: '10.0.0.1',
    POSTERN_REDIS_PORT: 'tcp://10.0.0.2:6379',
  }
  t.equal(load(UPSTREAM, { env }).config.redis, undefined)
})

t.test('settings that contradict each other are refused', async () => {
  t.same(refused('listen: { edge: "127.0.0.1:8091" }'), ['listen.probes'])
  t.same(refused('listen: { edge: "unix:/a", probes: "unix:/a" }'), ['listen.probes'])
  t.same(refused('listen: { edge: "127.0.0.1:0", probes: "127.0.0.1:0" }'), [])
  t.same(refused('cors: { mode: own }'), ['cors.origins'])
  t.same(refused('cors: { mode: own, origins: ["*"], credentials: true }'), ['cors.credentials'])
  t.same(refused('cors: { origins: ["https://a.b"] }'), ['cors.origins'])
  t.same(refused('redis: { host: a, url: "redis://b" }'), ['redis'])
  t.same(refused('redis: { sentinels: ["a:1"] }'), ['redis.sentinelName'])
  t.same(refused('romm: { database: { name: x } }'), ['romm.database.host', 'romm.database.user'])
  t.same(refused('upstream.credentials: x'), ['upstream.credentials'], 'dots in a key are no path')
})

t.test('a rule requires exactly one thing', async () => {
  t.same(refused('rules:\n  - { path: /a }'), ['rules[0]'])
  t.same(refused('rules:\n  - { path: /a, public: true, scopes: [x] }'), ['rules[0]'])
  t.same(refused('rules:\n  - { path: /a, public: false, scopes: [x] }'), [])
  t.same(refused('rules:\n  - { path: /a, methods: [GET], scopesByMethod: { GET: [x] } }'), [
    'rules[0].methods',
  ])
  t.same(refused('rules:\n  - { path: /a/**/b, public: true }'), ['rules[0].path'])
  t.same(refused('rules:\n  - { path: /a, scopesByMethod: { get: [x] } }'), ['rules[0].scopesByMethod'])
  t.same(refused('rules:\n  - { path: /a, scopes: [] }'), ['rules[0].scopes'])
})

t.test('danger is named on every start', async () => {
  const text = 'dangerouslyTrustAllProxies: true\nrules: [{ path: /**, dangerouslyPublic: true }]\n'
  const { warnings } = load(`${UPSTREAM}${text}profile: standalone\n`)
  t.same(warnings.map(({ path }) => path).sort(), [
    'dangerouslyTrustAllProxies',
    'rules[0].dangerouslyPublic',
  ])
})

t.test('what works but may not be meant is remarked', async () => {
  t.same(remarked('replicas: 2'), ['redis'])
  t.same(remarked('redis: redis://r'), ['cache.secret'])
  t.same(remarked('standalone: { tokenPrefix: x_ }'), ['standalone'])
  t.same(remarked('profile: standalone\nreplicas: 2\nredis: redis://r'), ['redis', 'replicas'])
})
