/** Configuration and operation: a document, a file or a listener that somebody else has a hand in. */
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { fixture, lines, talk } from '../gateway/support.ts'
import { configOf } from '../support/gateway.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import { startStandin } from '../support/romm/standin.ts'
import { rommDocument } from '../support/routes.ts'
import { cameOf, type Outcome, stage } from './support.ts'

/** A stand-in that serves this document. */
async function serving(t: Test, text: string): Promise<Awaited<ReturnType<typeof freshStandin>>> {
  const standin = await freshStandin(t)
  standin.intercept = ({ url }, response) => url === '/openapi.json' && Boolean(response.end(text))
  return standin
}

const documentOf = (paths: object, more: object = {}): string =>
  JSON.stringify({ openapi: '3.1.0', info: { title: 'x', version: '1' }, paths, ...more })
const OPEN = { get: { security: [] } }
const ADMIN = lines(as('rmm admin all'))

t.test('a remote $ref is fetched by nobody, and the document of no use', async (t) => {
  let fetched = 0
  const server = createServer(() => fetched++)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => server.close())
  // A TCP server that listens has an address of this type.
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  for (const reference of [
    `http://${host}/x.json`,
    `//${host}/x`,
    'file:///etc/passwd',
    '../x.json',
    'other.json#/x',
  ]) {
    const standin = await serving(t, documentOf({ '/api/x': { $ref: reference } }))
    const { ask, gateway } = await stage(t, { before: standin })
    cameOf(t, await ask(t, '/api/x', ADMIN), '503 route_table_unavailable')
    t.match(gateway.gateway.health(), {
      status: 'degraded',
      troubles: [/only references into this document/],
    })
  }
  t.equal(fetched, 0)
})

t.test(
  'an operation of which the document says nothing is not open, but where FastAPI means it',
  async (t) => {
    const standin = await serving(t, documentOf({ '/v1/x': { get: {} }, '/v1/open': OPEN }))
    const settings = { profile: 'standalone', 'openapi.document': '/openapi.json' }
    const { ask } = await stage(t, { before: standin, settings })
    cameOf(t, await ask(t, '/v1/x'), '401 no_credential')
    cameOf(t, await ask(t, '/v1/open'), '> /v1/open')
    cameOf(t, await ask(t, '/v1/none'), '404 no_route')
  },
)

const FAULTY: Readonly<Record<string, string>> = {
  'larger than 16 MiB': documentOf({ '/api/x': OPEN }, { 'x-fill': 'x'.repeat(17 * 1024 * 1024) }),
  'cut in half': rommDocument.slice(0, rommDocument.length / 2),
  'of a web page': '<!doctype html>',
  'of another kind': JSON.stringify({ swagger: '2.0', paths: { '/api/x': OPEN } }),
  'with a security that is no list': documentOf({ '/api/x': { get: { security: {} } } }),
  'with scopes that are no names': documentOf({ '/api/x': { get: { security: [{ a: ['x y'] }] } } }),
  'with references in a circle': documentOf({ '/api/x': { $ref: '#/paths/~1api~1x' } }),
  'with a template that is none': documentOf({ '/api/{': OPEN }),
  'without paths': JSON.stringify({ openapi: '3.1.0', info: {} }),
}

for (const [what, text] of Object.entries(FAULTY)) {
  t.test(`a document ${what} opens nothing, and replaces nothing`, async (t) => {
    const standin = await serving(t, text)
    const { ask, gateway } = await stage(t, { before: standin })
    cameOf(t, await ask(t, '/api/x', ADMIN), '503 route_table_unavailable')
    cameOf(t, await ask(t, '/api/heartbeat'), '503 route_table_unavailable')
    standin.intercept = undefined
    cameOf(t, await ask(t, '/api/heartbeat'), '> /api/heartbeat')
    standin.intercept = ({ url }, response) => url === '/openapi.json' && Boolean(response.end(text))
    await gateway.gateway.runtime.router.refresh().catch(() => undefined)
    cameOf(t, await ask(t, '/api/roms'), '401 no_credential')
    cameOf(t, await ask(t, '/api/roms', ADMIN), '> /api/roms')
  })
}

t.test('the last copy of another upstream or dialect, or half a one, counts for nothing', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-copy-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'last-good.json')
  const settings = { 'openapi.cache': folder }
  let standin = await startStandin()
  const first = await stage(t, { before: standin, settings })
  await first.gateway.gateway.close()
  const kept = await readFile(file, 'utf8')
  await standin.close()
  const routesWith = async (text: string, more: Record<string, string> = {}): Promise<boolean> => {
    await writeFile(file, text)
    const own = await stage(t, { before: standin, settings: { ...settings, ...more } })
    const { said } = await own.ask(t, '/api/roms')
    await own.gateway.gateway.close()
    return said === '401 no_credential'
  }
  t.equal(await routesWith(kept), true, 'its own')
  t.equal(await routesWith(kept, { 'upstream.url': `http://localhost:${standin.port}` }), false)
  t.equal(await routesWith(kept, { 'openapi.dialect': 'standard' }), false)
  t.equal(await routesWith(kept.slice(0, -40)), false)
  t.equal(await routesWith(JSON.stringify({ ...(JSON.parse(kept) as object), text: '{}' })), false)
  standin = await startStandin({ port: standin.port })
  t.teardown(() => standin.close())
})

t.test('a rule speaks for its twin, for HEAD, and for what it covers', async (t) => {
  const { ask } = await stage(t, {
    text: "rules: [{ path: /private, scopes: [users.write] }, { path: '/shut/**', closed: true }, { path: /once/, methods: [GET], authenticated: true }]",
  })
  for (const target of ['/private', '/private/', '/private//', '//private/', '/once', '/once/', '/%6fnce']) {
    cameOf(t, await ask(t, target), '401 no_credential')
    cameOf(t, await ask(t, target, [], 'HEAD'), '401 no_credential')
  }
  for (const target of ['/shut', '/shut/', '/shut/x', '/shut//x/'])
    cameOf(t, await ask(t, target, ADMIN), '404 no_route')
})

t.test('a file that is half written, or says what nobody knows, is refused whole', async (t) => {
  const whole = [
    'upstream: http://127.0.0.1:1',
    'rules:',
    '  - path: /api/x',
    '    scopes: [users.write]',
    'trustedProxies: [10.0.0.1]',
    '',
  ]
  t.match(configOf({}, whole.join('\n')), { trustedProxies: [{ entry: '10.0.0.1' }] })
  for (const text of [
    'upstream: http://127.0.0.1:1\nrules:\n  - path: /api/x\n    scopes: [users.wr',
    'upstream: http://127.0.0.1:1\nrules:\n  - path: /api/x\n',
    'upstream: http://127.0.0.1:1\nrules:\n  - pa',
    'upstream: http://127.0.0.1:1\ntrusted_proxies: [10.0.0.1]\n',
    'upstream: http://127.0.0.1:1\nrules: []\nrules: []\n',
    'upstream: http://127.0.0.1:1\ntrustedProxies: ["*"]\n',
    'upstream: http://127.0.0.1:1\ntrustedProxies: [10.0.0.1/33]\n',
    'upstream: http://127.0.0.1:1\ndangerouslyTrustAllProxies: "yes"\n',
    'upstream: http://127.0.0.1:1\nrules: [{ path: /api/x, public: true, scopes: [a] }]\n',
    'upstream: file:///etc/passwd\n',
    'upstream: http://user:pw@127.0.0.1:1\n',
  ]) {
    t.throws(() => configOf({}, text), text)
  }
})

t.test(
  'the probes say nothing secret to whoever gets at them, by DNS rebinding too, and change nothing',
  async (t) => {
    const { gateway } = await stage(t, { settings: { 'romm.secret': fixture.secret } })
    for (const target of ['/livez', '/readyz', '/metrics', '/', '/-/postern/me', '/api/roms']) {
      const answer = await talk(
        t,
        gateway.probesPort,
        `GET ${target} HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n\r\n`,
      )
      t.notOk(answer.body.includes(fixture.secret))
      t.equal(answer.one('access-control-allow-origin'), undefined, 'no page may read it')
      t.equal(answer.one('set-cookie'), undefined)
      const post = `POST ${target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n`
      t.equal((await talk(t, gateway.probesPort, post)).status, 404, target)
    }
  },
)

const controls = ({ answer }: Outcome): string => answer.all('cache-control').join(', ')

t.test('what was permitted to one is stored for others by no cache in front', async (t) => {
  const { ask, standin } = await stage(t, { settings: { 'romm.resources': 'closed' } })
  const COVER = '/assets/romm/resources/roms/1/1/cover/big.png'
  let said: string | undefined
  standin.intercept = (request, response) => {
    if (request.headers['x-request-id'] === undefined) return false
    if (said !== undefined) response.setHeader('Cache-Control', said)
    response.setHeader('ETag', '"x"')
    return Boolean(response.end('x'))
  }
  for (const [control, wanted] of [
    [undefined, 'private'],
    ['public, max-age=3600, must-revalidate', 'public, max-age=3600, must-revalidate, private'],
    ['max-age=31536000, immutable', 'max-age=31536000, immutable, private'],
    ['private, max-age=60', 'private, max-age=60'],
    ['no-store', 'no-store'],
    ['x="private"', 'x="private", private'],
  ] as const) {
    said = control
    for (const target of ['/api/roms', COVER]) t.equal(controls(await ask(t, target, ADMIN)), wanted)
    t.equal(
      controls(await ask(t, '/api/heartbeat', ADMIN)),
      control ?? '',
      'what is public is the backend’s affair',
    )
  }
})
