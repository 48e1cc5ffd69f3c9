/** What the recipes say that no exchange shows: how long things may take, and that two spellings of one say the same. */
import t from 'tap'
import { parse } from 'yaml'
import { configOf } from '../support/gateway.ts'
import { posternsSide, shipped } from '../support/services/proxies.ts'
import { RECIPES } from './site.ts'

const { limits } = configOf({ 'upstream.url': 'http://romm:8080' })

/** Seconds that a file names behind some words. */
function seconds(file: string, words: RegExp): number[] {
  const found = [...shipped(file).matchAll(new RegExp(`^[^#\\n]*${words.source}:? (\\d+)s\\b`, 'gm'))]
  return found.map((match) => Number(match.at(-1)))
}

/** How long each keeps a connection to Postern that nobody uses, and bears silence on one that somebody does. */
const TIMES: readonly (readonly [file: string, idle: RegExp | undefined, silence: RegExp | undefined])[] = [
  ['Caddyfile.example', /keepalive/, undefined],
  ['deploy/nginx/reverse_proxy.conf', /keepalive_timeout/, /(?:send|read|client_body)_timeout/],
  // Of idle connections to a server it keeps none for longer than 5 s (pool-purge-delay).
  ['deploy/haproxy/haproxy.cfg', undefined, /timeout (?:client|server)/],
  ['deploy/nginx-proxy-manager.md', undefined, /(?:send|read|client_body)_timeout/],
  ['deploy/traefik/traefik.yml', /idleConnTimeout/, undefined],
  ['deploy/envoy/reverse_proxy.yaml', /[{ ]idle_timeout/, /stream_idle_timeout/],
  ['deploy/envoy/ext_authz.yaml', /[{ ]idle_timeout/, /stream_idle_timeout/],
  ['deploy/cloudflared/config.yml', /keepAliveTimeout/, undefined],
]

t.test('no proxy uses a connection that Postern is closing, nor gives up before Postern does', async (t) => {
  for (const [file, idle, silence] of TIMES) {
    for (const [words, fits] of [
      [idle, (time: number) => time * 1_000 < limits.keepAliveTimeout],
      [silence, (time: number) => time * 1_000 > limits.idleTimeout],
    ] as const) {
      if (words === undefined) continue
      const times = seconds(file, words)
      t.ok(times.length > 0 && times.every(fits), `${file} ${words.source} ${times.join(' ')}`)
    }
  }
})

t.test('no proxy limits how long a whole exchange may take', async (t) => {
  const { entryPoints } = parse(shipped('deploy/traefik/traefik.yml')) as {
    readonly entryPoints: Readonly<
      Record<string, { readonly transport?: unknown; readonly forwardedHeaders?: unknown }>
    >
  }
  t.same(entryPoints['websecure']?.transport, { respondingTimeouts: { readTimeout: '0s' } })
  t.equal(entryPoints['websecure']?.forwardedHeaders, undefined, 'no client is believed')
  for (const file of ['reverse_proxy', 'ext_authz'])
    t.same(seconds(`deploy/envoy/${file}.yaml`, /route: \{ cluster: \w+, timeout/), [0])
})

/** Labels as the file of the dynamic configuration that they mean: a path of names, whose case does not count. */
function meant(labels: Readonly<Record<string, unknown>>): unknown {
  const root: Record<string, unknown> = {}
  for (const [path, value] of Object.entries(labels)) {
    const names = path.split('.').slice(1)
    let place = root
    for (const name of names.slice(0, -1))
      place = (place[name.toLowerCase()] ??= {}) as Record<string, unknown>
    place[(names.at(-1) ?? '').toLowerCase()] = String(value)
  }
  delete root['enable']
  return root
}

/** The same of a file: names in lower case, lists as Traefik's labels write them, a server as its port. */
function flattened(value: unknown): unknown {
  if (Array.isArray(value)) return value.join(',')
  if (typeof value !== 'object' || value === null) return String(value)
  const entries = Object.entries(value).map(([name, inner]): [string, unknown] =>
    name === 'servers'
      ? ['server', { port: new URL((inner as readonly [{ readonly url: string }])[0].url).port }]
      : [name.toLowerCase(), flattened(inner)],
  )
  return Object.fromEntries(entries)
}

t.test("Traefik's labels say what its files say", async (t) => {
  for (const [name, service] of [
    ['reverse_proxy', 'postern'],
    ['forward_auth', 'romm'],
  ] as const) {
    const file: unknown = parse(shipped(`deploy/traefik/${name}.yml`))
    const compose = parse(shipped(`deploy/traefik/${name}.labels.yml`)) as {
      readonly services: Readonly<Record<string, { readonly labels: Readonly<Record<string, unknown>> }>>
    }
    const labels = compose.services[service]?.labels ?? {}
    t.equal(labels['traefik.enable'], true)
    t.same(meant(labels), flattened(file))
  }
})

t.test('each recipe says how it was checked, and its Postern is one that starts', async (t) => {
  for (const { file, way } of RECIPES) {
    const text = shipped(file)
    t.match(text.slice(0, 1_200), /^#? ?Checked: /m, file)
    const config = configOf({ 'upstream.url': 'http://romm:8080' }, posternsSide(text))
    if (way === 'before') t.equal(config.trustedProxies.length, 1, file)
    else t.equal(config.decision.callers.length, 1, file)
  }
})
