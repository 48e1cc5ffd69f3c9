/** Where the gateway looks people up: what it is told, by whom, and for how long it believes it. */
import { hash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { StandaloneStore } from '../../src/profiles/standalone/store.ts'
import { systemClock } from '../../src/identity/clock.ts'
import { freshLadder, lines, message, RawClient } from '../gateway/support.ts'
import { virtualClock } from '../support/clock.ts'
import { execute } from '../support/database.ts'
import { configOf, inFolder } from '../support/gateway.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import type { StandinOptions } from '../support/romm/standin.ts'
import { freshRedis } from '../support/services.ts'
import { asserted, bare, basic, cameOf, reasonOf, type Stage, stage } from './support.ts'

const BAD = '401 invalid_credential'
const UNCHECKED = '503 could_not_check'
const MODES = ['session vera', 'basic vera', 'jwt vera all', 'rmm vera all']

const isQuestion = ({ url, headers }: IncomingMessage): boolean =>
  url === '/api/users/me' && headers['x-request-id'] === undefined

t.test('a waiter that joins a flight older than the revocation', async (t) => {
  const { standin, gateway, ask } = await stage(t)
  const victim = lines(as('rmm gus all'))
  cameOf(t, await ask(t, '/api/roms', lines(as('rmm admin all'))), '> /api/roms')
  const { promise: held, resolve } = Promise.withResolvers<ServerResponse>()
  standin.intercept = (request, response) => {
    const isIt = isQuestion(request) && request.headers.authorization === as('rmm gus all')['authorization']
    if (isIt) resolve(response)
    if (isIt) standin.intercept = undefined
    return isIt
  }
  const open = async (): Promise<RawClient> =>
    (await RawClient.open(t, gateway.port)).send(message('/api/roms', victim))
  const clients = [await open()]
  const response = await held
  clients.push(await open())
  const id = [...standin.state.tokens.values()].find(({ user_id }) => user_id === 4)?.id ?? 0
  const revoked = await ask(t, `/api/client-tokens/${id}/admin`, lines(as('rmm admin all')), 'DELETE')
  t.equal(revoked.answer.status, 204)
  clients.push(await open())
  response.end(
    JSON.stringify({ id: 4, username: 'gus', enabled: true, role: 'user', oauth_scopes: ['roms.read'] }),
  )
  for (const client of clients) t.equal(reasonOf(await client.answer()), 'invalid_credential')
})

t.test('an idle entry used long after its deletion', async (t) => {
  const ladder = await freshLadder(t)
  const clock = virtualClock(Date.now())
  const { ask, standin } = await stage(t, { settings: ladder.settings, clock })
  const names = ['basic vera', 'jwt vera all', 'rmm vera all', 'session vera']
  for (const name of names) cameOf(t, await ask(t, '/api/roms', lines(as(name))), '> /api/roms')
  await execute(ladder.database, [
    'delete from client_tokens',
    'update users set enabled = false where id = 2',
  ])
  // RomM agrees, should it be asked: time that leaps looks like a database that is too slow.
  standin.state.deleteUser('vera')
  clock.jump(-3_600_000)
  clock.advance(10 * 60_000)
  for (const name of names) cameOf(t, await ask(t, '/api/roms', lines(as(name))), BAD)
})

t.test('Redis in the hands of an attacker', async (t) => {
  const ladder = await freshLadder(t)
  const shared = await freshRedis(t)
  const redis = new Redis(shared.url)
  t.teardown(() => redis.disconnect())
  const sharing = {
    ...ladder.settings,
    'redis.url': shared.url,
    'cache.secret': 'what the replicas share',
    // Long enough for the attacker: it is not their age that entries are refused for.
    'cache.revalidate': '4m',
    // Replicas make no keys of their own.
    'assertion.enabled': 'false',
  }
  const first = await stage(t, { settings: sharing })
  const second = await stage(t, { settings: sharing, before: first.standin })
  const admin = bare('rmm admin all')
  for (const name of ['rmm admin all', 'rmm vera all', 'basic vera', 'jwt vera all', 'session vera']) {
    cameOf(t, await first.ask(t, '/api/roms', lines(as(name))), '> /api/roms')
  }
  const texts = async (): Promise<Map<string, string>> => {
    const keys = await redis.keys('*')
    return new Map(await Promise.all(keys.map(async (key) => [key, (await redis.get(key)) ?? ''] as const)))
  }
  const entries = await texts()
  const adminKey = [...entries.keys()].find((key) => key.includes(hash('sha256', admin))) ?? ''
  const good = entries.get(adminKey) ?? ''
  const [expiry = '', mac = ''] = good.split('.')
  const body = good.slice(expiry.length + mac.length + 2)
  const place = (key: string, text: string): Promise<unknown> => redis.set(key, text, 'PX', 200_000)

  await t.test('what is in it is used', async (t) => {
    cameOf(t, await second.ask(t, '/api/users', lines(as('rmm admin all'))), '> /api/users')
    const tokens = second.gateway.gateway.runtime.profile.lookups.find(({ name }) => name === 'token')
    t.match(tokens?.counts, { shared: 1, source: 0 })
  })

  await t.test('nothing in it is a credential, or made from a password', async (t) => {
    const text = JSON.stringify([...entries])
    const secrets = ['rmm admin all', 'rmm vera all', 'jwt vera all', 'session vera'].map(bare)
    for (const secret of [...secrets, 'pw-vera', '$2']) t.notOk(text.includes(secret), secret.slice(0, 12))
  })

  const forgeries: Readonly<Record<string, string>> = {
    'another key’s entry': good,
    'a principal of its own': `${expiry}..{"id":"1","userId":"1","digest":"x","scopes":["users.read"]}`,
    'the signature of another': `${expiry}.${mac}.${body.replace('"id":"1"', '"id":"2"')}`,
    'no expiry': `.${mac}.${body}`,
    'an endless expiry': `Infinity.${mac}.${body}`,
    'what is no entry': 'true',
    'a list': '[]',
  }
  for (const [i, [what, text]] of Object.entries(forgeries).entries()) {
    await t.test(`forged, with ${what}`, async (t) => {
      const unknown = `rmm_${String(i).padStart(64, 'a')}`
      await place(adminKey.replace(hash('sha256', admin), hash('sha256', unknown)), text)
      cameOf(t, await second.ask(t, '/api/users', [`Authorization: Bearer ${unknown}`]), BAD)
    })
  }

  await t.test('a token’s own entry, widened', async (t) => {
    const narrow = lines(as('rmm admin me.read'))
    cameOf(t, await first.ask(t, '/api/users/me', narrow), '> /api/users/me')
    const [key = '', text = ''] =
      [...(await texts())].find((entry) => entry[1].includes('"scopes":["me.read"]')) ?? []
    await place(key, text.replace('"me.read"', '"me.read","users.read"'))
    cameOf(t, await second.ask(t, '/api/users', narrow), '403 insufficient_scope')
  })

  await t.test('entries of another installation', async (t) => {
    await execute(ladder.database, ['delete from client_tokens'])
    const settings = { ...sharing, 'cache.secret': 'of somebody else' }
    const other = await stage(t, { settings, before: first.standin })
    cameOf(t, await other.ask(t, '/api/users', lines(as('rmm admin all'))), BAD)
  })

  await t.test('messages on its channels', async (t) => {
    for (const channel of ['postern', 'postern:revoke', 'postern:*', '__keyspace@0__:x', 'socketio']) {
      await redis.publish(channel, JSON.stringify({ kind: 'clear', user: '2', principal: { sub: '1' } }))
    }
    cameOf(t, await first.ask(t, '/api/roms', lines(as('basic vera'))), '> /api/roms')
    cameOf(t, await first.ask(t, '/api/users', lines(as('basic vera'))), '403 insufficient_scope')
  })
})

/** What RomM, or somebody in its place, answers to our question; who then passes. */
interface Answered {
  readonly answer: (response: ServerResponse, url: string) => unknown
  /** By mode; every other one is `UNCHECKED`. */
  readonly wanted: Readonly<Record<string, string>>
  readonly standin?: StandinOptions
}
const json = (status: number, value: unknown) => (response: ServerResponse) =>
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value))
const USER = { id: 2, username: 'vera', enabled: true, role: 'user', oauth_scopes: ['roms.read'] }
const refusedAll = Object.fromEntries(MODES.map((name) => [name, BAD]))

const ANSWERS: Readonly<Record<string, Answered>> = {
  'HTML with 200, of a web app or a login page': {
    answer: (response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html>'),
    wanted: {},
  },
  'a redirect to a login page': {
    answer: (response) => response.writeHead(302, { Location: '/login' }).end(),
    wanted: {},
  },
  'JSON of another shape': { answer: json(200, { ok: true }), wanted: {} },
  'JSON that is no object': { answer: json(200, [USER]), wanted: {} },
  null: { answer: json(200, null), wanted: {} },
  'the id −1 of the kiosk’s guest': { answer: json(200, { ...USER, id: -1 }), wanted: refusedAll },
  'the id 0': { answer: json(200, { ...USER, id: 0 }), wanted: refusedAll },
  'an id as text': { answer: json(200, { ...USER, id: '2' }), wanted: {} },
  'an id between two': { answer: json(200, { ...USER, id: 1.5 }), wanted: {} },
  'a user who is disabled': { answer: json(200, { ...USER, enabled: false }), wanted: refusedAll },
  'enabled as text': { answer: json(200, { ...USER, enabled: 'true' }), wanted: {} },
  'scopes as text': { answer: json(200, { ...USER, oauth_scopes: 'users.write' }), wanted: {} },
  '404': { answer: json(404, { detail: 'Not Found' }), wanted: {} },
  '429': { answer: json(429, {}), wanted: {} },
  '500 while its heartbeat fails too': { answer: json(500, {}), wanted: {} },
  '502 of a web server before it': { answer: json(502, {}), wanted: {} },
  nothing: { answer: (response) => response.destroy(), wanted: {} },
}

for (const [what, { answer, wanted }] of Object.entries(ANSWERS)) {
  t.test(`asked, RomM answers with ${what}`, async (t) => {
    const { standin, ask } = await stage(t)
    standin.intercept = (request, response) => {
      const { url = '' } = request
      const isOurs = request.headers['x-request-id'] === undefined
      if (isOurs && /^\/api\/(?:users\/me|heartbeat)$/.test(url)) answer(response, url)
      return isOurs
    }
    for (const name of MODES) cameOf(t, await ask(t, '/api/roms', lines(as(name))), wanted[name] ?? UNCHECKED)
    cameOf(t, await ask(t, '/api/roms'), '401 no_credential')
  })
}

t.test('500 is a refusal where RomM crashes on bad credentials, and is well', async (t) => {
  const { standin, ask } = await stage(t)
  standin.intercept = (request, response) => isQuestion(request) && Boolean(json(500, {})(response))
  for (const [name, wanted] of [
    ['jwt vera all', BAD],
    ['basic vera', BAD],
    ['session vera', UNCHECKED],
    ['rmm vera all', UNCHECKED],
  ] as const) {
    cameOf(t, await ask(t, '/api/roms', lines(as(name))), wanted)
  }
})

t.test('403 says nothing for a credential where nobody is told 403 too (RomM until 5.1)', async (t) => {
  const { ask } = await stage(t, { standin: { version: '5.1.0' } })
  for (const name of [
    'rmm unknown',
    'rmm expired',
    'jwt wrong issuer',
    'basic wrong password',
    'session unknown',
  ]) {
    cameOf(t, await ask(t, '/api/roms', lines(as(name))), '403 invalid_credential')
  }
  cameOf(t, await ask(t, '/api/roms', lines(as('rmm vera all'))), '> /api/roms')
})

t.test('two credentials in one request are never in one question', async (t) => {
  const { standin, ask } = await stage(t)
  const client = [
    'X-Forwarded-For: 1.2.3.4',
    'X-CSRFToken: x',
    'Cookie: theme=dark',
    'User-Agent: app',
    'Accept-Language: de',
  ]
  for (const name of ['rmm admin all', 'rmm vera all', 'jwt vera all', 'basic admin', 'jwt garbage']) {
    for (const session of ['session vera', 'session unknown']) {
      await ask(t, '/api/roms', [...client, ...lines(as(session)), ...lines(as(name))])
      for (const { target, headers } of standin.requests) {
        if (headers['x-request-id'] !== undefined || target !== '/api/users/me') continue
        t.not(
          headers.cookie !== undefined && headers.authorization !== undefined,
          true,
          `${session}, ${name}`,
        )
        t.same(
          Object.keys(headers).filter(
            (header) => !['host', 'connection', 'accept', 'cookie', 'authorization'].includes(header),
          ),
          [],
        )
        t.notMatch(headers.cookie, /theme/)
      }
    }
  }
})

t.test('a flood of questions leaves known credentials alone', async (t) => {
  const settings = { 'ask.ratePerAddress': '3', 'ask.rate': '3' }
  const { ask, gateway, standin } = await stage(t, { settings, clock: virtualClock(Date.now()) })
  cameOf(t, await ask(t, '/api/roms', lines(as('rmm vera all'))), '> /api/roms')
  const client = await RawClient.open(t, gateway.port)
  const statuses = new Set<number>()
  for (let i = 0; i < 60; i++) {
    const token = `rmm_${i.toString(16).padStart(64, '0')}`
    const { status } = await client.send(message('/api/roms', [`Authorization: Bearer ${token}`])).answer()
    statuses.add(status)
  }
  t.ok(statuses.has(503) || statuses.has(429), [...statuses].join())
  t.ok(standin.questions < 60)
  cameOf(t, await ask(t, '/api/roms', lines(as('rmm vera all'))), '> /api/roms')
})

t.test('strangers who make the backend fail do not empty what is known', async (t) => {
  const clock = virtualClock(Date.now())
  const { standin, ask } = await stage(t, { clock })
  const vera = lines(as('rmm vera all'))
  const isAsked = async (): Promise<number> => {
    cameOf(t, await ask(t, '/api/roms', vera), '> /api/roms')
    return standin.questions
  }
  t.equal(await isAsked(), 1)
  standin.intercept = ({ url }, response) => {
    if (url === '/api/reset-password') response.writeHead(500).end()
    return url === '/api/reset-password'
  }
  const asked: number[] = []
  for (let i = 0; i < 9; i++) {
    t.equal((await ask(t, '/api/reset-password', [], 'POST')).said, '500')
    clock.advance(3_000)
    asked.push(await isAsked())
  }
  t.same(asked, [1, 0, 0, 0, 0, 0, 0, 0, 0], 'the first counts at once')
})

t.test('a storm of unknown credentials puts nobody out of memory', async (t) => {
  const ladder = await freshLadder(t)
  const { ask, gateway } = await stage(t, {
    settings: { ...ladder.settings, 'cache.entries': '20' },
    clock: virtualClock(Date.now()),
  })
  cameOf(t, await ask(t, '/api/roms', lines(as('rmm vera all'))), '> /api/roms')
  const client = await RawClient.open(t, gateway.port)
  for (let i = 0; i < 200; i++) {
    const token = `rmm_${i.toString(16).padStart(64, '0')}`
    await client.send(message('/api/roms', [`Authorization: Bearer ${token}`])).answer()
  }
  const tokens = gateway.gateway.runtime.profile.lookups.find(({ name }) => name === 'token')
  const before = { ...tokens?.counts }
  cameOf(t, await ask(t, '/api/roms', lines(as('rmm vera all'))), '> /api/roms')
  t.match(tokens?.counts, { source: before.source, memory: (before.memory ?? 0) + 1 })
})

t.test('no answer clears a cookie but of a session that is dead for certain', async (t) => {
  const { ask, standin } = await stage(t, {
    text: "rules: [{ path: '/api/hidden', authenticated: true, conceal: true }]",
  })
  const clears = async (target: string, fields: readonly string[]): Promise<boolean> =>
    (await ask(t, target, fields)).answer.all('set-cookie').length > 0
  t.equal(await clears('/api/roms', lines(as('session unknown'))), true)
  t.equal(await clears('/api/roms', lines(as('session without sub'))), false, 'a sign-in under way')
  t.equal(await clears('/api/roms', ['Cookie: romm_session=a b']), false, 'one that is malformed')
  t.equal(await clears('/api/hidden', lines(as('session unknown'))), false, 'on a concealed route')
  t.equal(await clears('/api/roms', lines(as('rmm unknown'))), false, 'another credential')
  t.equal(await clears('/api/roms', []), false)
  standin.intercept = (request, response) => isQuestion(request) && Boolean(response.destroy())
  t.equal(await clears('/api/roms', lines(as('session gus'))), false, 'one that could not be checked')
})

t.test('a revocation by whatever spelling, whose answer is lost or says that it failed', async (t) => {
  const ladder = await freshLadder(t)
  const { ask, standin } = await stage(t, { settings: ladder.settings })
  const redis = new Redis(ladder.redis.url)
  t.teardown(() => redis.disconnect())
  /** In every mode; with a session of its own each time, since one that was dead stays dead. */
  const credentials = async (): Promise<readonly (readonly string[])[]> => {
    const id = standin.state.addSession('gus')
    await redis.set(`session:${id}`, JSON.stringify({ iss: 'romm:auth', sub: 'gus' }))
    return [lines(as('basic gus')), lines(as('rmm gus all')), [`Cookie: romm_session=${id}`]]
  }
  const set = (enabled: boolean) =>
    execute(ladder.database, [`update users set enabled = ${enabled} where id = 4`])
  const ENDS: Readonly<Record<string, (response: ServerResponse) => unknown>> = {
    'is lost': (response) => response.destroy(),
    'says that it failed': json(500, {}),
    'is 204': (response) => response.writeHead(204).end(),
    'is a redirect': (response) => response.writeHead(307, { Location: '/' }).end(),
  }
  const requests = [
    ...['4', '+4', '04', '%204', '4.0', '0_4', '4/', '%34', '4%20'].map(
      (id) => ['PUT', `/api/users/${id}`] as const,
    ),
    ['DELETE', '/api/users/4'],
    ['PUT', '//api//users/4'],
    ['PUT', '/%61pi/users/4?x=1'],
    // Whose subject is in the body, or is another's.
    ['POST', '/api/reset-password'],
    ['PUT', '/api/permissions/users/4'],
    ['PUT', '/api/permissions/groups/1'],
  ] as const
  for (const [i, [method, target]] of requests.entries()) {
    const [how = '', end] = Object.entries(ENDS)[i % 4] ?? []
    await t.test(`${method} ${target}, whose answer ${how}`, async (t) => {
      const gus = await credentials()
      for (const fields of gus) cameOf(t, await ask(t, '/api/roms', fields), '> /api/roms')
      standin.intercept = (request, response) => {
        const isIt = request.method === method
        if (isIt) void set(false).then(() => end?.(response))
        return isIt
      }
      const { answer } = await ask(t, target, lines(as('rmm admin all')), method)
      t.ok([204, 307, 500, 502].includes(answer.status), `${answer.status}`)
      standin.intercept = undefined
      for (const fields of gus) cameOf(t, await ask(t, '/api/roms', fields), BAD)
      await set(true)
      await ask(t, '/api/users/4', lines(as('rmm admin all')), 'PUT')
    })
  }
})

t.test('two rows for one name are nobody', async (t) => {
  const ladder = await freshLadder(t)
  await execute(ladder.database, [
    "insert into users (id, username, enabled, role) values (90, 'VERA', true, 'admin')",
  ])
  const { ask, gateway } = await stage(t, { settings: ladder.settings })
  for (const name of [
    'session vera',
    'basic vera',
    'jwt vera all',
    'basic upper-case name',
    'jwt upper-case name',
  ]) {
    cameOf(t, await ask(t, '/api/roms', lines(as(name))), BAD)
  }
  t.ok(gateway.log.some(({ rejection }) => rejection === 'ambiguous_user'))
  t.match(
    asserted(await ask(t, '/api/roms', lines(as('rmm vera all')))),
    { sub: '2' },
    'a token is its owner’s by number',
  )
})

t.test('a freed name taken by another user', async (t) => {
  const ladder = await freshLadder(t)
  await execute(ladder.database, [
    "update users set username = 'vera2' where id = 2",
    "update users set username = 'vera' where id = 4",
  ])
  const { ask } = await stage(t, { settings: ladder.settings })
  t.match(asserted(await ask(t, '/api/roms', lines(as('rmm vera all')))), {
    sub: '2',
    preferred_username: 'vera2',
  })
  t.match(asserted(await ask(t, '/api/roms', lines(as('rmm gus all')))), {
    sub: '4',
    preferred_username: 'vera',
  })
  cameOf(t, await ask(t, '/api/roms', lines(as('basic vera'))), BAD)
  const token = bare('rmm vera all')
  const named = (name: string): string => basic(`${name}:${token}`)
  cameOf(t, await ask(t, '/api/roms', [named('vera')]), BAD)
  cameOf(t, await ask(t, '/api/roms', [named('vera2')]), '> /api/roms')
})

/** Forty routes, each with a scope of its own, in an order that a reload turns round. */
const rulesOf = (order: readonly number[]): string =>
  `rules: [${order.map((n) => `{ path: '/r/${n}', scopes: [s${n}] }`).join(', ')}]`

t.test('scopes of an older table, and the 33rd', async (t: Test) => {
  const numbers = Array.from({ length: 70 }, (_, i) => i)
  const settings = { profile: 'standalone' }
  const standin = await freshStandin(t)
  const { ask, gateway }: Stage = await stage(t, { before: standin, settings, text: rulesOf(numbers) })
  const file = join(gateway.folder, 'postern.sqlite')
  const store = new StandaloneStore({ file, tokenPrefix: 'pst_', clock: systemClock })
  t.teardown(() => store.close())
  await store.addUser('ann', 'a long enough password', { scopes: numbers.map((n) => `s${n}`) })
  const tokens = [0, 1, 31, 32, 33, 63, 64].map((n) => ({
    n,
    token: store.addToken('ann', 'x', { scopes: [`s${n}`] }).token,
  }))
  for (const reloaded of [false, true]) {
    if (reloaded) {
      const next = { 'upstream.url': standin.url, ...inFolder(gateway.folder), ...settings }
      await gateway.gateway.reload(configOf(next, rulesOf(numbers.toReversed())))
    }
    for (const { n, token } of tokens) {
      for (const route of [0, 1, 31, 32, 33, 63, 64, 65]) {
        const outcome = await ask(t, `/r/${route}`, [`Authorization: Bearer ${token}`])
        cameOf(t, outcome, n === route ? `> /r/${route}` : '403 insufficient_scope')
      }
    }
  }
})
