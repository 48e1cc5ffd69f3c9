import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { generateKey } from '../../src/assertion/keys.ts'
import { virtualClock } from '../support/clock.ts'
import { configOf, databaseSettings, freshGateway, inFolder, type TestGateway } from '../support/gateway.ts'
import { freshProxy } from '../support/proxy.ts'
import { as, ask, freshStandin } from '../support/romm/ask.ts'
import { fillSessions } from '../support/romm/fixture.ts'
import { signJwt } from '../support/romm/jwt.ts'
import { startStandin } from '../support/romm/standin.ts'
import { freshRedis } from '../support/services.ts'
import { eventually, fixture, freshLadder, lines, message, RawClient, talk } from './support.ts'

const ladder = await freshLadder(t)
const SECOND = 1_000

async function statusOf({ port }: TestGateway, name: string, path = '/api/roms'): Promise<number> {
  return (await ask(port, path, { headers: as(name) })).status
}

interface Ready {
  readonly code: number
  readonly status: string
  readonly troubles: readonly string[]
}

async function readyz({ probesPort }: TestGateway): Promise<Ready> {
  const answer = await ask(probesPort, '/readyz')
  return { code: answer.status, ...(JSON.parse(answer.text) as Omit<Ready, 'code'>) }
}

t.test('without RomM’s Redis, sessions are asked of RomM', async (t) => {
  const clock = virtualClock(Date.now())
  const standin = await freshStandin(t)
  const gateway = await freshGateway(t, { ...ladder.settings, 'upstream.url': standin.url }, { clock })
  t.equal(await statusOf(gateway, 'session vera'), 200)
  t.equal((await readyz(gateway)).status, 'ok')
  standin.forget()
  await ladder.redis.stop()
  await eventually(async () => (await readyz(gateway)).status === 'degraded')
  t.match(await readyz(gateway), { code: 200, troubles: [/RomM's Redis is away/] })
  t.equal(await statusOf(gateway, 'session vera'), 200)
  clock.advance(20 * SECOND)
  t.equal(await statusOf(gateway, 'session vera'), 200)
  t.equal(standin.questions, 0, 'what was confirmed lately still counts')
  clock.advance(20 * SECOND)
  t.equal(await statusOf(gateway, 'session vera'), 200)
  t.equal(await statusOf(gateway, 'session gus'), 200)
  t.equal(standin.questions, 2)
  t.equal(await statusOf(gateway, 'session unknown'), 401, 'RomM says so')
  t.equal(await statusOf(gateway, 'rmm vera all'), 200)
  await ladder.redis.start()
  const redis = new Redis(ladder.redis.url)
  await fillSessions(redis)
  redis.disconnect()
  await eventually(async () => {
    clock.advance(2 * SECOND)
    await statusOf(gateway, 'session vera')
    return (await readyz(gateway)).status === 'ok'
  })
  standin.forget()
  t.equal(await statusOf(gateway, 'session edith'), 200)
  t.equal(standin.questions, 0)
})

const CREDENTIALS = ['session vera', 'basic vera', 'jwt vera all', 'rmm vera all']

for (const how of ['is gone', 'hangs'] as const) {
  t.test(
    `a database that ${how}: known credentials count, then RomM is asked, then 503, and never 401`,
    async (t) => {
      const clock = virtualClock(Date.now())
      let standin = await startStandin()
      t.teardown(() => standin.close())
      const proxy = await freshProxy(t, ladder.reader.port)
      const behind = { ...ladder.settings, ...databaseSettings({ ...ladder.reader, port: proxy.port }) }
      const gateway = await freshGateway(t, { ...behind, 'upstream.url': standin.url }, { clock })
      for (const name of CREDENTIALS) t.equal(await statusOf(gateway, name), 200, name)
      standin.forget()

      const waited = how === 'hangs' ? proxy.hang() : Promise.resolve(proxy.cut())
      clock.advance(20 * SECOND)
      await waited
      clock.advance(2 * SECOND)
      for (const name of CREDENTIALS) t.equal(await impatient(clock, gateway, name), 200, `${name}, known`)
      t.equal(standin.questions, 0)
      t.match(await readyz(gateway), { code: 200, status: 'degraded' })

      clock.advance(20 * SECOND)
      for (const name of CREDENTIALS) t.equal(await impatient(clock, gateway, name), 200, `${name}, asked`)
      t.equal(standin.questions, 4)
      t.equal(await impatient(clock, gateway, 'rmm gus all'), 200, 'a new one is asked too')
      t.equal(await impatient(clock, gateway, 'rmm unknown'), 401, 'which RomM itself refused')

      await standin.close()
      t.equal(await impatient(clock, gateway, 'rmm vera all'), 502, 'known, but nobody is there')
      clock.advance(40 * SECOND)
      for (const name of [...CREDENTIALS, 'rmm unknown', 'rmm ovid all', 'basic wrong password']) {
        t.equal(await impatient(clock, gateway, name), 503, `${name} cannot be checked`)
      }
      t.equal((await ask(gateway.port, '/api/roms')).status, 401, 'nobody is nobody, whatever is away')

      standin = await startStandin({ port: standin.port })
      proxy.resume()
      await eventually(async () => {
        clock.advance(2 * SECOND)
        await statusOf(gateway, 'rmm vera all')
        return (await readyz(gateway)).status === 'ok'
      })
      standin.forget()
      for (const name of CREDENTIALS) t.equal(await statusOf(gateway, name), 200, `${name}, again`)
      t.equal(await statusOf(gateway, 'rmm unknown'), 401)
      t.equal(standin.questions, 0)
    },
  )
}

/** The status, while time passes until it is there. */
async function impatient(
  clock: ReturnType<typeof virtualClock>,
  gateway: TestGateway,
  name: string,
): Promise<number> {
  const answer = statusOf(gateway, name)
  let status: number | undefined
  void answer.then((value) => (status = value))
  await eventually(() => {
    if (status === undefined) clock.advance(100)
    return Promise.resolve(status !== undefined)
  })
  return answer
}

const OTHER_SECRET = 'another secret, as long as it should be'
const jwtOf = (secret: string, changes: object = {}): Record<string, string> => {
  const claims = {
    sub: 'vera',
    iss: 'romm:oauth',
    scopes: 'me.read roms.read',
    type: 'access',
    exp: 4e9,
    ...changes,
  }
  return { authorization: `Bearer ${signJwt(claims, secret)}` }
}

t.test('a wrong secret: tokens are asked of RomM, and this replica is not ready', async (t) => {
  const standin = await freshStandin(t, { csrf: true, secret: OTHER_SECRET })
  const gateway = await freshGateway(t, { ...ladder.settings, 'upstream.url': standin.url })
  t.equal((await ask(gateway.port, '/api/roms', { headers: jwtOf(OTHER_SECRET) })).status, 200)
  t.equal((await ask(gateway.port, '/api/users', { headers: jwtOf(OTHER_SECRET) })).status, 403)
  t.equal((await ask(gateway.port, '/api/roms', { headers: jwtOf('no secret of anybody') })).status, 401)
  t.match(await readyz(gateway), {
    code: 503,
    status: 'not_ready',
    troubles: [/^romm\.secret is not RomM's ROMM_AUTH_SECRET_KEY/],
  })
})

t.test('a secret that RomM changes: tokens are asked, and nobody is taken out of service', async (t) => {
  const clock = virtualClock(Date.now())
  let standin = await startStandin({ csrf: true })
  t.teardown(() => standin.close())
  const gateway = await freshGateway(t, { ...ladder.settings, 'upstream.url': standin.url }, { clock })
  t.equal((await readyz(gateway)).status, 'ok')
  await standin.close()
  standin = await startStandin({ csrf: true, secret: OTHER_SECRET, port: standin.port })
  clock.advance(10 * SECOND)
  t.equal((await ask(gateway.port, '/api/roms', { headers: jwtOf(OTHER_SECRET) })).status, 200)
  t.match(await readyz(gateway), { code: 200, status: 'degraded', troubles: [/^RomM changed its secret/] })
})

/** Settings of replicas that share a Redis, and a folder with a key. */
async function replicaSettings(t: Test, url: string): Promise<Record<string, string>> {
  const keys = await mkdtemp(join(tmpdir(), 'postern-keys-'))
  t.teardown(() => rm(keys, { recursive: true, force: true }))
  await generateKey(keys, 'EdDSA', Date.now())
  return { 'redis.url': url, 'cache.secret': 'the replicas’ own secret', 'keys.folder': keys }
}

t.test('the shared Redis away: less is shared, nothing is refused', async (t) => {
  const shared = await freshRedis(t)
  const standin = await freshStandin(t)
  const settings = {
    ...ladder.settings,
    'upstream.url': standin.url,
    ...(await replicaSettings(t, shared.url)),
  }
  const replicas = [await freshGateway(t, settings), await freshGateway(t, settings)]
  for (const replica of replicas) t.equal((await readyz(replica)).status, 'ok')
  for (const replica of replicas) t.equal(await statusOf(replica, 'rmm vera all'), 200)
  await shared.stop()
  for (const replica of replicas) {
    await eventually(async () => (await readyz(replica)).status === 'degraded')
    t.match(await readyz(replica), { code: 200, troubles: [/the shared Redis is away/] })
    for (const name of [...CREDENTIALS, 'rmm gus all']) t.equal(await statusOf(replica, name), 200, name)
    t.equal(await statusOf(replica, 'rmm unknown'), 401)
  }
  await shared.start()
  for (const replica of replicas) await eventually(async () => (await readyz(replica)).status === 'ok')
  const late = await freshGateway(t, { ...settings, 'redis.url': 'redis://127.0.0.1:1' })
  t.equal(await statusOf(late, 'rmm vera all'), 200, 'a start without it')
  t.equal((await readyz(late)).status, 'degraded')
})

t.test('a start while everything is away serves what it can, and recovers', async (t) => {
  const standin = await startStandin()
  await standin.close()
  const gateway = await freshGateway(t, { 'upstream.url': standin.url })
  t.match(await readyz(gateway), { code: 200, status: 'degraded' })
  t.equal(await statusOf(gateway, 'rmm vera all'), 503)
  t.equal((await ask(gateway.port, '/-/postern/me')).status, 401)
  const back = await startStandin({ port: standin.port })
  t.teardown(() => back.close())
  t.equal(await statusOf(gateway, 'rmm vera all'), 200)
  t.equal((await ask(gateway.port, '/api/unknown')).status, 404)
  t.equal((await readyz(gateway)).status, 'ok')
})

const MADE_UP = 'made-up-by-a-client'
const METRIC = /^(?:# (?:HELP|TYPE) \w+ .+|\w+(?:\{(?:\w+="[^"\\\n]*",?)*\})? -?[\d.e+-]+)$/

t.test('probes, metrics and log lines: one per decision, and no credential anywhere', async (t) => {
  const standin = await freshStandin(t)
  const settings = { ...ladder.settings, 'upstream.url': standin.url, 'log.level': 'debug' }
  const gateway = await freshGateway(t, settings)
  const before = gateway.log.length
  const ids: unknown[] = []
  for (const name of Object.keys(fixture.credentials)) {
    for (const path of ['/api/roms', '/api/heartbeat', `/api/roms/${MADE_UP}/content/x`]) {
      ids.push(
        (await ask(gateway.port, `${path}?token=${MADE_UP}`, { headers: as(name) })).headers['x-request-id'],
      )
    }
  }
  const odd = [message('/api/../x'), `BREW / HTTP/1.1\r\n\r\n`, message(`/${MADE_UP}`, [], 'PUT')]
  for (const bytes of odd) {
    ids.push((await talk(t, gateway.port, bytes)).one('x-request-id'))
  }
  await eventually(() => Promise.resolve(gateway.log.length - before >= ids.length))
  const decisions = gateway.log.filter((line) => 'decision' in line)
  t.same(new Set(decisions.map(({ id }) => id)), new Set(ids))

  const metrics = await ask(gateway.probesPort, '/metrics')
  t.equal(metrics.status, 200)
  t.match(metrics.headers['content-type'], /^text\/plain; version=/)
  const rows = metrics.text.trimEnd().split('\n')
  t.same(
    rows.filter((row) => row !== '' && !METRIC.test(row)),
    [],
  )
  t.match(
    metrics.text,
    /^postern_requests_total\{[^}]*decision="permit"[^}]*route="\/api\/roms"[^}]*\} \d+$/m,
  )
  const written = { log: gateway.log.map((line) => JSON.stringify(line)).join('\n'), metrics: metrics.text }
  t.notOk(written.metrics.includes(MADE_UP), 'no label is of a client’s making')
  t.notOk(written.log.includes(`token=${MADE_UP}`), 'no query is logged')
  for (const secret of secrets()) {
    for (const [where, text] of Object.entries(written))
      if (text.includes(secret)) t.fail(`${where}: ${secret}`)
  }
  t.match(await ask(gateway.probesPort, '/livez'), { status: 200, text: '{"status":"ok"}' })
})

/** Everything in the fixture and the settings that would let somebody in. */
function secrets(): string[] {
  const presented = Object.values(fixture.credentials).flatMap(({ authorization, cookie }) => [
    ...(authorization?.split(' ').slice(1) ?? []),
    ...(cookie?.split('=').slice(1) ?? []),
  ])
  const signatures = presented.flatMap((text) => text.split('.').slice(1))
  const passwords = fixture.users.flatMap(({ password, hashed_password: hash }) => [
    password ?? '',
    hash ?? '',
  ])
  const digests = fixture.client_tokens.map(({ hashed_token: digest }) => digest)
  const own = [fixture.secret, ladder.reader.password]
  return [...presented, ...signatures, ...passwords, ...digests, ...own].filter((text) => text.length > 6)
}

t.test('closing: what is under way ends, sockets are closed, and nobody else is let in', async (t) => {
  const standin = await freshStandin(t)
  const gateway = await freshGateway(t, {
    ...ladder.settings,
    'upstream.url': standin.url,
    'shutdown.grace': '1m',
  })
  const held = Promise.withResolvers<() => void>()
  standin.intercept = ({ url }, response) => {
    if (url === '/api/roms') held.resolve(() => response.end('at last'))
    return url === '/api/roms'
  }
  const busy = await RawClient.open(t, gateway.port)
  busy.send(message('/api/roms', lines(as('rmm vera all'))))
  const release = await held.promise
  const idle = await RawClient.open(t, gateway.port)
  t.equal((await idle.send(message('/api/heartbeat')).answer()).status, 200)
  const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/ws/socket.io/?EIO=4&transport=websocket`, {
    headers: as('session vera'),
  })
  socket.on('error', () => undefined)
  await once(socket, 'message')
  const socketClosed = once(socket, 'close')

  const closing = gateway.gateway.close()
  await Promise.all([socketClosed, idle.ended()])
  t.match(await readyz(gateway), { code: 503, status: 'not_ready', troubles: ['shutting down'] })
  await t.rejects(ask(gateway.port, '/api/heartbeat'), { code: 'ECONNREFUSED' })
  release()
  const answer = await busy.answer()
  t.equal(answer.body, 'at last')
  await busy.ended()
  await closing
  await t.rejects(ask(gateway.probesPort, '/livez'), { code: 'ECONNREFUSED' })
})

t.test('closing does not wait for a socket that was permitted too late', async (t) => {
  const standin = await freshStandin(t)
  const { gateway, port } = await freshGateway(t, { 'upstream.url': standin.url })
  const asked = Promise.withResolvers<void>()
  const mayAnswer = Promise.withResolvers<void>()
  standin.intercept = ({ url, headers }, response) => {
    if (url !== '/api/users/me' || headers.authorization === undefined) return false
    asked.resolve()
    const user = { id: 2, username: 'vera', enabled: true, role: 'user', oauth_scopes: ['me.read'] }
    void mayAnswer.promise.then(() =>
      response.setHeader('Content-Type', 'application/json').end(JSON.stringify(user)),
    )
    return true
  }
  const client = await RawClient.open(t, port)
  const handshake = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']
  const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
  client.send(message('/ws/socket.io/', [...handshake, key, ...lines(as('basic vera'))]))
  await asked.promise
  const closed = gateway.close()
  mayAnswer.resolve()
  await Promise.all([closed, client.ended()])
  t.equal(client.rest, '')
})

t.test('closing does not wait longer than the grace', async (t) => {
  const standin = await freshStandin(t)
  const gateway = await freshGateway(t, { 'upstream.url': standin.url, 'shutdown.grace': '50ms' })
  standin.intercept = ({ url }) => url === '/'
  const client = await RawClient.open(t, gateway.port)
  client.send(message('/'))
  await eventually(() => Promise.resolve(standin.requests.some(({ target }) => target === '/')))
  await gateway.gateway.close()
  await client.ended()
})

const CLOSED = "rules: [{ path: '/api/roms', closed: true }]"
const CONFLICT = "rules: [{ path: '/api/**', public: true }]"

t.test('a reload is whole, or not at all', async (t) => {
  const clock = virtualClock(Date.now())
  const standin = await freshStandin(t)
  const settings = { ...ladder.settings, 'upstream.url': standin.url, 'shutdown.grace': '1ms' }
  const gateway = await freshGateway(t, settings, { clock })
  const all = { ...inFolder(gateway.folder), ...settings }
  const reload = (more: Record<string, string>, text?: string): Promise<void> =>
    gateway.gateway.reload(configOf({ ...all, ...more }, text))
  const held = Promise.withResolvers<() => void>()
  standin.intercept = ({ url }, response) => {
    if (url === '/slow') held.resolve(() => response.end('slow'))
    return url === '/slow'
  }
  const slow = await RawClient.open(t, gateway.port)
  slow.send(message('/slow'))
  const release = await held.promise
  t.equal(await statusOf(gateway, 'rmm vera all'), 200)

  await reload({}, CLOSED)
  t.equal(await statusOf(gateway, 'rmm vera all'), 404, 'the new rules')
  release()
  t.equal((await slow.answer()).body, 'slow', 'what was under way ended, however long it took')

  await t.rejects(reload({}, CONFLICT), { code: 'config_invalid' })
  t.equal(await statusOf(gateway, 'rmm vera all'), 404, 'the rules from before')
  const file = join(gateway.folder, 'a-file')
  await writeFile(file, '')
  await t.rejects(reload({ 'keys.folder': file }), { code: 'keys_unusable' })
  t.equal(await statusOf(gateway, 'rmm vera all'), 404)
  await reload({})
  t.equal(await statusOf(gateway, 'rmm vera all'), 200)

  // Those that were replaced end when what was under way in them has.
  await eventually(async () => {
    standin.forget()
    clock.advance(61 * SECOND)
    await eventually(() => Promise.resolve(standin.questions > 0))
    t.equal(await statusOf(gateway, 'rmm vera all'), 200)
    return standin.questions === 1
  })
})
