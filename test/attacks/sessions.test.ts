/** Cache, single-flight, sessions: what one gateway remembers of one credential counts for no other, and not after its end. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import { fixture, freshLadder, lines, message, RawClient } from '../gateway/support.ts'
import { execute } from '../support/database.ts'
import { as } from '../support/romm/ask.ts'
import type { Standin } from '../support/romm/standin.ts'
import { asserted, bare, basic, cameOf, reasonOf, type Stage, stage } from './support.ts'

const ladder = await freshLadder(t)
const BAD = '401 invalid_credential'
const MODES = ['session', 'basic', 'jwt', 'rmm'] as const
const allOf = (name: string): string[] =>
  MODES.map((mode) => `${mode} ${name}${mode === 'jwt' || mode === 'rmm' ? ' all' : ''}`)

/** One that asks RomM about everything, and one that has every source. */
const asking = await stage(t)
const looking = await stage(t, { settings: ladder.settings })

for (const [how, { ask }] of Object.entries({ asking, looking })) {
  t.test(`scopes are compared on a hit too (CVE-2021-32701), ${how}`, async (t) => {
    for (const name of [
      ...allOf('vera'),
      'jwt admin roms.read',
      ...(how === 'looking' ? ['rmm admin roms.read'] : []),
    ]) {
      for (let i = 0; i < 3; i++) {
        cameOf(t, await ask(t, '/api/roms', lines(as(name))), '> /api/roms')
        const users = await ask(t, '/api/users', lines(as(name)))
        // Of a token that was asked about only RomM knows the scopes, and compares them.
        if (how === 'asking' && name === 'rmm vera all') t.equal(users.said, '403', name)
        else cameOf(t, users, '403 insufficient_scope')
      }
    }
  })

  t.test(`an entry is of one kind of credential and one owner (CVE-2026-33496), ${how}`, async (t) => {
    const [session, token, jwt] = [bare('session vera'), bare('rmm vera all'), bare('jwt vera all')]
    for (const name of allOf('vera')) cameOf(t, await ask(t, '/api/roms', lines(as(name))), '> /api/roms')
    for (const line of [
      `Authorization: Bearer ${session}`,
      basic(`vera:${session}`),
      basic(`vera:${jwt}`),
      basic(`gus:${token}`),
      basic(`admin:${token}`),
      basic(`:${token}`),
      `Cookie: romm_session=${token}`,
      `Cookie: romm_session=${jwt}`,
      `Authorization: Bearer ${bare('basic vera')}`,
      // Keys made by concatenation (CVE-2026-71326): other names and passwords with the same text.
      ...[
        'ver:apw-vera-1234',
        'verap:w-vera-1234',
        'vera::pw-vera-1234',
        'ver:a:pw-vera-1234',
        'vera:pw-vera-1234 ',
      ].map(basic),
    ]) {
      cameOf(t, await ask(t, '/api/roms', [line]), BAD)
    }
  })

  t.test(`principals do not change hands between requests under way (CVE-2026-33544), ${how}`, async (t) => {
    const names = [
      ...allOf('vera'),
      ...allOf('gus').filter((name) => name !== 'jwt gus all'),
      'session admin',
      'rmm admin all',
    ]
    const { standin, gateway } = how === 'asking' ? asking : looking
    standin.forget()
    const clients = await Promise.all(names.map(() => RawClient.open(t, gateway.port)))
    for (const [i, client] of clients.entries())
      client.send(message(`/api/roms?who=${i}`, lines(as(names[i] ?? ''))).repeat(20))
    for (const client of clients) for (let i = 0; i < 20; i++) t.equal((await client.answer()).status, 200)
    for (const request of standin.requests.filter(({ target }) => target.startsWith('/api/roms?who='))) {
      const name = names[Number(request.target.split('=')[1])] ?? ''
      const claims = asserted({ arrived: [request] })
      t.equal(claims?.['preferred_username'], name.split(' ')[1], name)
    }
  })
}

/** Holds what RomM answers to one kind of request, as it stood when it was asked. */
function hold(standin: Standin, isMeant: (request: IncomingMessage) => boolean): Promise<ServerResponse> {
  const { promise, resolve } = Promise.withResolvers<ServerResponse>()
  let held = false
  standin.intercept = (request, response) => {
    if (held || !isMeant(request)) return false
    held = true
    resolve(response)
    return true
  }
  return promise
}

async function opened(t: Test, { gateway }: Stage, bytes: string): Promise<RawClient> {
  return (await RawClient.open(t, gateway.port)).send(bytes)
}

const VERA_JSON = JSON.stringify({
  id: 2,
  username: 'vera',
  enabled: true,
  role: 'user',
  oauth_scopes: ['roms.read'],
})
const isQuestion = ({ url, headers }: IncomingMessage): boolean =>
  url === '/api/users/me' && headers['x-request-id'] === undefined

t.test('an answer that was asked for before a logout is neither used nor kept after it', async (t) => {
  const own = await stage(t)
  const cookie = lines(as('session vera'))
  const question = hold(own.standin, isQuestion)
  const early = await opened(t, own, message('/api/roms', cookie))
  const held = await question
  const joined = await opened(t, own, message('/api/roms?joined', cookie))
  cameOf(t, await own.ask(t, '/api/logout', cookie, 'POST'), '> /api/logout')
  held.end(VERA_JSON)
  for (const client of [early, joined]) t.equal(reasonOf(await client.answer()), 'invalid_credential')
  cameOf(t, await own.ask(t, '/api/roms', cookie), BAD)
})

t.test('our own questions neither keep alive nor resurrect a session that is being ended', async (t) => {
  const own = await stage(t)
  const cookie = lines(as('session vera'))
  const logout = hold(own.standin, ({ url }) => url === '/api/logout')
  const leaving = await opened(t, own, message('/api/logout', [...cookie, 'Content-Length: 0'], 'POST'))
  const held = await logout
  const waiting = await opened(t, own, message('/api/roms', cookie))
  // It came later and is through, so what came before was looked at.
  t.equal(
    (await (await opened(t, own, message('/api/roms', lines(as('rmm admin all'))))).answer()).status,
    200,
  )
  const asked = own.standin.requests.filter(isQuestionWith(cookie))
  t.same(asked, [], 'RomM is not asked about it, which would renew it')
  own.standin.state.deleteSession(bare('session vera'))
  held.writeHead(200, { 'Content-Length': 4 }).end('null')
  t.equal((await leaving.answer('POST')).status, 200)
  t.equal(reasonOf(await waiting.answer()), 'invalid_credential')
})

const isQuestionWith =
  ([line = '']: readonly string[]) =>
  ({ target, headers }: { target: string; headers: IncomingMessage['headers'] }): boolean =>
    target === '/api/users/me' && line.endsWith(String(headers.cookie))

t.test('a deactivated account is refused from the answer on, in every mode (CVE-2025-64521)', async (t) => {
  const own = await freshLadder(t)
  const { ask, standin } = await stage(t, { settings: own.settings })
  for (const [name, id] of [
    ['vera', 2],
    ['gus', 4],
  ] as const) {
    const modes = allOf(name).filter((mode) => fixture.credentials[mode] !== undefined)
    for (const mode of modes) cameOf(t, await ask(t, '/api/roms', lines(as(mode))), '> /api/roms')
    standin.intercept = ({ method }, response) => {
      if (method !== 'PUT') return false
      void execute(own.database, [`update users set enabled = false where id = ${id}`]).then(() =>
        response.end('{}'),
      )
      return true
    }
    t.equal((await ask(t, `/api/users/${id}`, lines(as('rmm admin all')), 'PUT')).said, '200')
    for (const mode of modes) cameOf(t, await ask(t, '/api/roms', lines(as(mode))), BAD)
  }
})

t.test('a session that ended is its user’s no longer, whoever logs in next (CVE-2026-34454)', async (t) => {
  const own = await stage(t)
  const login = async (name: string): Promise<string> => {
    const { answer } = await own.ask(t, '/api/login', lines(as(`basic ${name}`)), 'POST')
    return `Cookie: ${answer.all('set-cookie')[0]?.split(';')[0] ?? ''}`
  }
  const first = await login('vera')
  t.match(asserted(await own.ask(t, '/api/roms', [first])), { preferred_username: 'vera' })
  cameOf(t, await own.ask(t, '/api/logout', [first], 'POST'), '> /api/logout')
  const ended = await own.ask(t, '/api/roms', [first])
  cameOf(t, ended, BAD)
  t.match(ended.answer.one('set-cookie'), /^romm_session=null;/)
  const second = await login('gus')
  t.match(asserted(await own.ask(t, '/api/roms', [second])), { preferred_username: 'gus' })
  cameOf(t, await own.ask(t, '/api/roms', [first]), BAD)
})

t.test('an assertion that was made for a wide credential is not sent for a narrow one', async (t) => {
  for (const name of [
    'rmm admin all',
    'rmm admin me.read',
    'jwt admin all',
    'jwt admin me.read',
    'rmm admin all',
  ]) {
    const claims = asserted(await looking.ask(t, '/api/users/me', lines(as(name))))
    t.equal(String(claims?.['scope']).includes('users.write'), name.endsWith(' all'), name)
  }
})

t.test('no answer of ours is stored by a cache in front', async (t) => {
  const answers = [
    await looking.ask(t, '/api/../x'),
    await looking.ask(t, '/api/roms'),
    await looking.ask(t, '/api/roms', lines(as('rmm unknown'))),
    await looking.ask(t, '/api/users', lines(as('rmm vera all'))),
    await looking.ask(t, '/api/none'),
    await looking.ask(t, '/api/heartbeat', [], 'DELETE'),
    await looking.ask(t, '/-/postern/me', lines(as('rmm vera all'))),
  ]
  asking.standin.intercept = (_request, response) => Boolean(response.destroy())
  answers.push(await asking.ask(t, '/api/roms', lines(as('rmm ovid all'))))
  t.same(
    answers.map(({ answer }) => answer.status),
    [400, 401, 401, 403, 404, 405, 200, 503],
  )
  for (const { answer, said } of answers) {
    t.equal(answer.one('cache-control'), 'no-store', said)
    t.equal(answer.one('vary'), 'Authorization, Cookie', said)
  }
})
