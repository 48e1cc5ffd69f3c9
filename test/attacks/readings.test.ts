/** One credential, two readings: who the gateway thinks it is, and who the backend would have thought. */
import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import t from 'tap'
import { freshLadder, lines, message, talk } from '../gateway/support.ts'
import { execute } from '../support/database.ts'
import { as } from '../support/romm/ask.ts'
import { asserted, bare, cameOf, received, stage } from './support.ts'

const ladder = await freshLadder(t)
const { ask, standin } = await stage(t, { settings: ladder.settings })
const redis = new Redis(ladder.redis.url)
t.teardown(() => redis.disconnect())

const [vera, gus] = [bare('session vera'), bare('session gus')]
const token = bare('rmm vera all')
const octal = vera.replace(/./g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`)
const pair = (text: string): string => Buffer.from(text).toString('base64')
const VERA = pair('vera:pw-vera-1234')

/** Spellings, by what differs; each must be read as the backend reads it; what is nobody's goes no further. */
const SPELLINGS: Readonly<Record<string, readonly (string | readonly string[])[]>> = {
  'quoted and octal cookie values': [
    `Cookie: romm_session="${vera}"`,
    `Cookie: romm_session="${octal}"`,
    `Cookie: romm_session="${vera.replace('-', '\\055')}"`,
    `Cookie: romm_session="\\${vera}"`,
    `Cookie: romm_session="${vera}`,
    `Cookie: romm_session=""${vera}""`,
    `Cookie: romm_session='${vera}'`,
    `Cookie: "romm_session"=${vera}`,
    `Cookie: romm_session=${encodeURIComponent(vera).replaceAll('-', '%2d')}`,
    `Cookie: romm%5fsession=${vera}`,
  ],
  'white space around the cookie’s name and value': [
    ...['\t', ' ', '\xa0', '\x85', '\t \xa0'].flatMap((space) => [
      `Cookie: ${space}romm_session${space}=${space}${vera}${space}`,
      `Cookie: a=1;${space}romm_session=${vera}`,
      `Cookie: a=1;romm_session${space}=${vera}${space};b=2`,
    ]),
    `Cookie: romm_session =${vera}`,
    `Cookie:romm_session=${vera}`,
  ],
  'the cookie’s name': [
    `Cookie: ROMM_SESSION=${vera}`,
    `Cookie: $Version=1; romm_session=${vera}`,
    `Cookie: romm_session[]=${vera}`,
    `Cookie: __Host-romm_session=${vera}`,
    `Cookie: =romm_session=${vera}`,
    `Cookie: romm_session=`,
    `Cookie: romm_session`,
    `Cookie: romm_session==${vera}`,
    `Cookie: a=1, romm_session=${vera}`,
    `Cookie: "; romm_session=${vera}; x="`,
  ],
  'several cookies, of which the backend takes the last': [
    `Cookie: romm_session=${gus}; romm_session=${vera}`,
    `Cookie: romm_session=${vera}; romm_session=${gus}`,
    [`Cookie: romm_session=${gus}`, `Cookie: romm_session=${vera}`],
    [`cookie: romm_session=${vera}`, `COOKIE: romm_session=${gus}; x=1`],
    [`Cookie: romm_session=${vera}`, `Cookie: romm_session=`],
    [`Cookie: romm_session=${vera}`, `Cookie: romm_session="`],
    [`Cookie: romm_session=${randomUUID()}`, `Cookie: romm_session\xa0=${vera}`],
    [`Cookie: romm_session=${vera}`, `Cookie_: romm_session=${gus}`],
  ],
  'lax and URL-safe base64': [
    `Authorization: Basic ${VERA.replace(/=+$/, '')}`,
    `Authorization: Basic ${VERA.slice(0, 4)}-_!${VERA.slice(4)}`,
    `Authorization: Basic ${VERA}AAAA`,
    `Authorization: Basic ${VERA.slice(0, 8)}=${VERA.slice(8)}`,
    `Authorization: Basic ${Buffer.from('vera:pw-vera-1234').toString('base64url')}`,
    `Authorization: Basic ${pair('vera:pw-vera-1234\0')}`,
    `Authorization: Basic ${pair('v\xe9ra:pw-vera-1234')}`,
    `Authorization: Basic ${pair(':pw-vera-1234')}`,
    `Authorization: Basic ${pair('vera:pw-vera-1234:')}`,
    `Authorization: Basic ${pair('vera')}`,
    `Authorization: Basic ${pair(' vera:pw-vera-1234')}`,
    'Authorization: Basic ====',
  ],
  'white space after the scheme, and none': [
    ...[' ', '  ', '\t', '\xa0', ' \t ', '\x85'].flatMap((space) => [
      `Authorization: Bearer${space}${token}`,
      `Authorization: Bearer ${token}${space}`,
      `Authorization: Basic${space}${VERA}`,
      `Authorization:${space}Bearer ${token}`,
    ]),
    ...[
      'Bearer',
      'Bearer ',
      'Basic',
      `Bearer${token}`,
      `Bearer ${token} x`,
      `Bearer ${token},`,
      `bEaReR ${token}`,
    ].map((value) => `Authorization: ${value}`),
    ...['Authorization:', 'Authorization: ', 'Authorization: \t'],
  ],
}

/** Who the backend itself would take somebody for. */
async function nameAt(port: number, fields: readonly string[]): Promise<string | undefined> {
  const { status, body } = await talk(t, port, message('/api/roms', fields))
  return status === 200 ? ((JSON.parse(body) as { user: string }).user ?? undefined) : undefined
}

const PLAIN = /^(?:Bearer [\x21-\x7e]+|Basic [A-Za-z0-9+/]+={0,2})$/

for (const [what, spellings] of Object.entries(SPELLINGS)) {
  t.test(what, async (t) => {
    for (const spelling of spellings) {
      const fields = [spelling].flat()
      const shown = JSON.stringify(spelling)
      const there = await nameAt(standin.port, fields)
      const outcome = await ask(t, '/api/roms', fields)
      const here = asserted(outcome)?.['preferred_username']
      t.equal(here, there, shown)
      if (here === undefined) t.match(outcome.said, /^401 (?:no|invalid)_credential$/, shown)
      else t.equal(outcome.answer.status, 200, shown)
      // On a public route nothing of it goes on that is not what was decided on.
      const open = await ask(t, '/api/heartbeat', fields)
      const left = [...received(open, /^cookie$/i), ...received(open, /^authorization$/i)].join('; ')
      const carried = /(?:^|; )romm_session=([^;]*)/.exec(left)?.[1] ?? received(open, /^authorization$/i)[0]
      t.equal(carried !== undefined, here !== undefined, `${shown} left as ${left}`)
      if (carried !== undefined) t.ok(carried === vera || carried === gus || PLAIN.test(carried), carried)
      t.equal(await nameAt(standin.port, leftOf(open.arrived[0]?.rawHeaders ?? [])), here, shown)
    }
  })
}

function leftOf(raw: readonly string[]): string[] {
  return raw.flatMap((name, i) =>
    i % 2 === 0 && /^(?:cookie|authorization)$/i.test(name) ? [`${name}: ${raw[i + 1] ?? ''}`] : [],
  )
}

t.test('revoked here, alive at the backend: it is forwarded nowhere', async (t) => {
  const own = await freshLadder(t)
  const kiosk = { ...own.settings, 'romm.kiosk': 'true' }
  await execute(own.database, [
    'delete from client_tokens where user_id = 2',
    'update users set enabled = false where id = 2',
  ])
  const ownRedis = new Redis(own.redis.url)
  await ownRedis.del(`session:${vera}`)
  ownRedis.disconnect()
  for (const settings of [own.settings, kiosk]) {
    const there = await stage(t, { settings, standin: { kiosk: settings === kiosk } })
    for (const name of ['rmm vera all', 'jwt vera all', 'basic vera', 'session vera']) {
      t.not(await nameAt(there.standin.port, lines(as(name))), undefined, `${name} is alive there`)
      // RomM fact: a dead session leaves the kiosk's guest, any other dead credential leaves nobody.
      const isGuest = settings === kiosk && name === 'session vera'
      cameOf(
        t,
        await there.ask(t, '/api/roms', lines(as(name))),
        isGuest ? '> /api/roms' : '401 invalid_credential',
      )
      for (const [target, method] of [
        ['/api/heartbeat', 'GET'],
        ['/assets/romm/resources/roms/1/1/cover/big.png', 'GET'],
        ['/', 'GET'],
        ['/api/token', 'POST'],
        ['/api/reset-password', 'POST'],
        ['/api/client-tokens/exchange', 'POST'],
        ...(name === 'session vera'
          ? []
          : ([
              ['/api/login/openid', 'GET'],
              ['/api/oauth/openid?code=x', 'GET'],
              ['/api/logout', 'POST'],
            ] as const)),
        ...(name === 'basic vera' ? [] : ([['/api/login', 'POST']] as const)),
      ] as const) {
        const outcome = await there.ask(t, target, lines(as(name)), method)
        t.equal(outcome.arrived.length, 1, `${name}: ${target}`)
        t.same(leftOf(outcome.arrived[0]?.rawHeaders ?? []), [], `${name}: ${target}`)
        t.not(asserted(outcome)?.['preferred_username'], 'vera')
      }
    }
  }
})

t.test('session fixation: a planted session id does not become a login', async (t) => {
  const planted = bare('session without sub')
  for (const id of [planted, randomUUID(), gus]) {
    const outcome = await ask(
      t,
      '/api/login',
      [`Cookie: romm_session=${id}`, ...lines(as('basic vera'))],
      'POST',
    )
    t.equal(outcome.answer.status, 200)
    t.same(received(outcome, /^cookie$/i), [], 'it is not even shown to the backend')
    const [set = ''] = outcome.answer.all('set-cookie')
    t.match(set, /^romm_session=[0-9a-f-]{36};/)
    t.notOk(set.includes(id))
  }
  t.not(standin.state.sessions.get(planted)?.['sub'], 'vera')
})

/** What an OIDC sign-in does at RomM: it writes its user into the session that it came with. */
function signsIn(id: string, sub: string): void {
  const data = { iss: 'romm:auth', sub }
  standin.intercept = ({ url }, response) => {
    if (url?.startsWith('/api/oauth/openid') !== true) return false
    standin.state.sessions.set(id, data)
    void redis
      .set(`session:${id}`, JSON.stringify(data))
      .then(() => response.writeHead(307, { Location: '/', 'Content-Length': 0 }).end())
    return true
  }
  t.teardown(() => (standin.intercept = undefined))
}

t.test('an OIDC state session is nobody, and is somebody from the moment it turns live', async (t) => {
  const id = bare('session without sub')
  const cookie = [`Cookie: romm_session=${id}`]
  const before = await ask(t, '/api/roms', cookie)
  cameOf(t, before, '401 invalid_credential')
  t.same(before.answer.all('set-cookie'), [], 'the sign-in hangs on it')
  signsIn(id, 'vera')
  t.equal((await ask(t, '/api/oauth/openid?code=x&state=y', cookie)).answer.status, 307)
  t.match(asserted(await ask(t, '/api/roms', cookie)), { preferred_username: 'vera' })
})

t.test('a session id that changes its user at a login is the new user at once', async (t) => {
  const cookie = lines(as('session edith'))
  t.match(asserted(await ask(t, '/api/roms', cookie)), { preferred_username: 'edith' })
  signsIn(bare('session edith'), 'gus')
  await ask(t, '/api/oauth/openid?code=x&state=y', cookie)
  t.match(asserted(await ask(t, '/api/roms', cookie)), { preferred_username: 'gus' })
})

t.test('credentials passed to another upstream, or session cookies set by it', async (t) => {
  const other = await stage(t, { settings: { ...ladder.settings, 'upstream.credentials': 'strip' } })
  other.standin.intercept = (_request, response) => {
    const cookies = ['romm_session=evil', 'ROMM_SESSION=other', 'x=1'].flatMap((cookie) => [
      'Set-Cookie',
      cookie,
    ])
    response.writeHead(200, ['Content-Length', '0', ...cookies]).end()
    return true
  }
  for (const name of ['session vera', 'basic vera', 'jwt vera all', 'rmm vera all']) {
    const outcome = await other.ask(t, '/api/roms', ['Cookie: a=1', ...lines(as(name))])
    t.match(asserted(outcome), { sub: '2' }, name)
    t.same(leftOf(outcome.arrived[0]?.rawHeaders ?? []), ['Cookie: a=1'])
    t.notMatch(outcome.arrived[0]?.rawHeaders.join('\n'), new RegExp([vera, token, VERA].join('|')))
    t.same(outcome.answer.all('set-cookie'), ['ROMM_SESSION=other', 'x=1'])
  }
})

const HANDSHAKE = [
  ...['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'],
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
]
const SOCKET = '/ws/socket.io/?EIO=4&transport=websocket'

t.test('a socket or poll continued by another principal', async (t) => {
  for (const target of [
    `${SOCKET}&sid=x`,
    '/ws/socket.io/?sid=x',
    '/netplay/socket.io/?EIO=4&%73id=x',
    '/ws/?a=b&sid',
  ]) {
    for (const name of ['session vera', 'rmm admin all']) {
      cameOf(t, await ask(t, target, lines(as(name))), '400 polling_disabled')
      cameOf(t, await ask(t, target, lines(as(name)), 'POST'), '400 polling_disabled')
      cameOf(t, await ask(t, target, [...HANDSHAKE, ...lines(as(name))]), '400 polling_disabled')
    }
  }
})

t.test('an upgrade on a public wildcard is no tunnel', async (t) => {
  for (const target of [
    '/',
    '/anything',
    '/assets/romm/resources/x.png',
    '/api/heartbeat',
    '/apiws',
    '/assets/ws/socket.io',
  ]) {
    const outcome = await ask(t, target, HANDSHAKE)
    t.equal(outcome.said, (await ask(t, target)).said, `${target} is served as plain HTTP`)
    t.ok(outcome.arrived.every(({ upgrade }) => !upgrade))
    t.same(
      received(outcome, /^(?:upgrade|sec-websocket-key)$/i).filter((value) => value === 'websocket'),
      [],
    )
  }
})

t.test('a socket that rides on a cookie, opened by another page', async (t) => {
  const origins = [
    'null',
    'http://evil.example',
    'http://a.games.example',
    'http://games.example.evil',
    'https://games.example',
  ]
  for (const origin of [
    ...origins,
    'http://games.example:81',
    'http://games.example.',
    'games.example',
    '',
    'file://',
    'http://games.example/',
  ]) {
    const fields = [...HANDSHAKE, `Origin: ${origin}`]
    cameOf(t, await ask(t, SOCKET, [...fields, ...lines(as('session vera'))]), '403 foreign_origin')
  }
  const session = lines(as('session vera'))
  const two = ['Origin: http://games.example', 'Origin: http://evil.example']
  cameOf(t, await ask(t, SOCKET, [...HANDSHAKE, ...two, ...session]), '403 foreign_origin')
  t.equal((await ask(t, SOCKET, [...HANDSHAKE, 'Origin: http://games.example', ...session])).said, '101')
})
