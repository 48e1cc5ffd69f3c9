import t from 'tap'
import type { ReadText } from '../../src/config/file.ts'
import { KINDS, type KindName } from '../../src/config/kinds.ts'
import { loadConfig, type ConfigInput } from '../../src/config/load.ts'
import { SETTINGS, type SchemaNode, type Setting } from '../../src/config/tree.ts'

/** A good text of each kind that is nobody's default. */
const SAMPLES: Readonly<Record<KindName, string>> = {
  duration: '7s',
  size: '2KiB',
  listen: '127.0.0.1:7001',
  optionalListen: 'unix:/run/postern.sock',
  origin: 'https://games.example.org',
  proxyRange: '10.0.0.0/8',
  documentPlace: 'https://games.example.org/openapi.json',
  host: 'db.internal',
  text: 'something else',
  secret: 'correct horse, battery staple',
  path: '/var/lib/postern/file',
  pathOrOff: 'off',
  routePath: '/api/**',
  method: 'PATCH',
  headerName: 'X-Who',
  scope: 'roms.read',
  tokenPrefix: 'abc_',
  version: '5.2.0',
  redisUrl: 'redis://:secret@redis:6379/1',
  workers: 'auto',
  hostPort: 'sentinel:26379',
}
const SPECIAL: Readonly<Record<string, { readonly text: string; readonly value: unknown }>> = {
  'upstream.credentials': { text: 'strip', value: 'strip' },
  'decision.listen': { text: '127.0.0.1:7002', value: { kind: 'tcp', host: '127.0.0.1', port: 7_002 } },
  'scopes.implies': { text: '{"a":["b"]}', value: { a: ['b'] } },
  rules: { text: '[{"path":"/x","closed":true}]', value: [{ path: '/x', closed: true }] },
}
/** What a setting must not stand without. */
const COMPANIONS: readonly (readonly [RegExp, Readonly<Record<string, string>>])[] = [
  [/^upstream\.(?!url$)|^(?!upstream)/, { POSTERN_UPSTREAM_URL: 'http://romm:8080' }],
  [/^redis\.(?!url|host|sentinels|sentinelName)/, { POSTERN_REDIS_HOST: 'r' }],
  [/^redis\.sentinels$/, { POSTERN_REDIS_SENTINEL_NAME: 'm' }],
  [/^redis\.sentinelName$/, { POSTERN_REDIS_SENTINELS: 's:1' }],
  [/^romm\.redis\.(?!url|host)/, { POSTERN_ROMM_REDIS_HOST: 'r' }],
  [/^romm\.database\.(?!host)/, { POSTERN_ROMM_DATABASE_HOST: 'd' }],
  [/^romm\.database\.(?!user)/, { POSTERN_ROMM_DATABASE_USER: 'u' }],
  [/^decision\.listen$/, { POSTERN_DECISION_CALLERS: '10.0.0.1', POSTERN_DECISION_DIALECT: 'nginx' }],
  [/^cors\.origins$/, { POSTERN_CORS_MODE: 'own' }],
]

function companions(path: string): Record<string, string> {
  return Object.assign({}, ...COMPANIONS.filter(([form]) => form.test(path)).map(([, env]) => env)) as Record<
    string,
    string
  >
}

function sampleOf({ path, node }: Setting): { readonly text: string; readonly value: unknown } {
  const special = SPECIAL[path]
  if (special) return special
  if (node.enum) return { text: node.enum.at(-1) ?? '', value: node.enum.at(-1) }
  if (node.kind) return { text: SAMPLES[node.kind], value: KINDS[node.kind].parse(SAMPLES[node.kind]) }
  if (node.type === 'integer') return { text: '17', value: 17 }
  if (node.type === 'boolean')
    return { text: node.default === true ? 'off' : 'YES', value: node.default !== true }
  return listSample(node)
}

function listSample({ items }: SchemaNode): { readonly text: string; readonly value: unknown } {
  const kind = items?.kind ?? 'text'
  return { text: ` ${SAMPLES[kind]} ,`, value: [KINDS[kind].parse(SAMPLES[kind])] }
}

function load(input: ConfigInput) {
  const loaded = loadConfig(input)
  if (loaded.ok) return loaded
  throw new Error(JSON.stringify(loaded.problems))
}

/** Reads one file and no other. */
function only(path: string, text: string): ReadText {
  return (file) => (file === path ? text : `not ${path}`)
}

function valueAt(value: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((inner, name) => (inner as Record<string, unknown>)[name], value)
}

t.ok(SETTINGS.length > 80, 'the schema was seen')

for (const setting of SETTINGS) {
  const { path, env } = setting
  const { text, value } = sampleOf(setting)
  const base = companions(path)

  t.test(`${env} gives ${path}`, async () => {
    const { config, written } = load({ env: { ...base, [env]: text } })
    t.same(valueAt(config, path), value)
    t.equal(written.get(path), env)
  })

  t.test(`${env}_FILE gives ${path}`, async () => {
    const { config } = load({
      env: { ...base, [`${env}_FILE`]: '/run/it' },
      read: only('/run/it', `${text}\n`),
    })
    t.same(valueAt(config, path), value)
  })

  t.test(`--set ${path} gives it, before the environment`, async () => {
    const { config } = load({ env: { ...base, [env]: 'nonsense \n' }, overrides: { [path]: text } })
    t.same(valueAt(config, path), value)
  })
}

t.test('no two settings share a variable, file twins included', async () => {
  const names = SETTINGS.flatMap(({ env }) => [env, `${env}_FILE`])
  t.equal(new Set(names).size, names.length)
})

t.test('every setting says what it is, in one sentence', async () => {
  for (const { path, node } of SETTINGS) {
    t.match(node.description, /^[A-Z`].+\.$/s, path)
  }
})

t.test('every default is good by its own kind', async () => {
  for (const { path, node } of SETTINGS) {
    const { kind, default: fallback, defaultBy } = node
    for (const text of [fallback, ...Object.values(defaultBy?.values ?? {})]) {
      if (kind && typeof text === 'string') t.not(KINDS[kind].parse(text), undefined, `${path}: ${text}`)
    }
  }
})
