/** What only the gateway says must come from the gateway, in whatever spelling a backend would read it. */
import t from 'tap'
import { freshLadder, lines, message } from '../gateway/support.ts'
import { execute } from '../support/database.ts'
import { as } from '../support/romm/ask.ts'
import { asserted, basic, cameOf, received, stage } from './support.ts'

const ladder = await freshLadder(t)
const plain = { ...ladder.settings, 'assertion.plainHeaders': 'true' }
const { ask, send, standin } = await stage(t, { settings: plain })
const VERA = lines(as('rmm vera all'))
const TARGET = '/api/roms'
const HANDSHAKE = [
  ...['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'],
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
]
const SOCKET = '/ws/socket.io/?EIO=4&transport=websocket'

const SPELLINGS = [
  ...[
    'X-Postern-Assertion',
    'x-postern-assertion',
    'X_Postern_Assertion',
    'X-Postern_Assertion',
    'X_POSTERN_ASSERTION',
  ],
  ...[
    'X.Postern.Assertion',
    'X-Postern-Assertion-',
    'X-Postern-Anything',
    'Postern-Reason',
    "X'Postern'Assertion",
  ],
  ...[
    'X-Forwarded-User',
    'X_Forwarded_User',
    'x-forwarded-groups',
    'X_FORWARDED_SCOPES',
    'X-Forwarded-Email',
  ],
  ...['Remote-User', 'REMOTE_USER', 'X-Remote-User', 'X-Real-IP', 'X_Real_IP', 'Proxy'],
]
const FORGED = SPELLINGS.map((name) => `${name}: forged`)

t.test('a header of ours in every spelling (CVE-2025-64484, CVE-2026-54763)', async (t) => {
  for (const line of [...FORGED, FORGED.join('\r\n')]) {
    const outcome = await ask(t, TARGET, [line, ...VERA])
    cameOf(t, outcome, `> ${TARGET}`)
    t.notMatch(outcome.arrived[0]?.rawHeaders.join('\n'), /forged/, line)
    t.equal(received(outcome, /postern.assertion/i).length, 1)
    t.match(asserted(outcome), { sub: '2', preferred_username: 'vera' })
    t.same(received(outcome, /forwarded.user/i), ['vera'])
  }
})

const NAMED = [
  'x-postern-assertion',
  'X-Forwarded-For',
  'x-forwarded-user, X-Postern-Assertion',
  'cookie, authorization',
  'host',
]

t.test(
  'a header of ours named in Connection (GHSA-w9mr-28mw-j8hg, CVE-2024-45410, CVE-2026-33805)',
  async (t) => {
    for (const name of NAMED) {
      const outcome = await ask(t, TARGET, [
        `Connection: close, ${name}`,
        `TE: ${name}`,
        `Trailer: ${name}`,
        ...VERA,
      ])
      cameOf(t, outcome, `> ${TARGET}`)
      t.match(asserted(outcome), { sub: '2' }, name)
      t.same(received(outcome, /^x-forwarded-for$/i), ['127.0.0.1'])
      t.same(received(outcome, /^host$/i), ['games.example'])
      t.same(received(outcome, /^(?:te|trailer)$/i), [])
      t.notMatch(received(outcome, /^connection$/i).join(), /postern|forwarded|host|cookie/i)
    }
  },
)

t.test('… also on upgrades', async (t) => {
  for (const name of NAMED) {
    const named = HANDSHAKE.map((line) => line.replace('Connection: ', `Connection: ${name}, `))
    const outcome = await ask(t, SOCKET, [...named, ...FORGED, ...VERA])
    t.equal(outcome.said, '101')
    t.match(asserted(outcome), { sub: '2' }, name)
    t.same(received(outcome, /^x-forwarded-user$/i), ['vera'])
    t.notMatch(outcome.arrived[0]?.rawHeaders.join('\n'), /forged/)
    t.notMatch(received(outcome, /^connection$/i).join(), /postern|forwarded|host|cookie/i)
  }
})

t.test('a client’s header kept where there is nothing to say (CVE-2026-30851)', async (t) => {
  const bad = lines(as('rmm unknown'))
  for (const who of [[], bad, lines(as('session unknown')), lines(as('basic wrong password'))]) {
    const outcome = await ask(t, '/api/heartbeat', [...FORGED, ...who])
    cameOf(t, outcome, '> /api/heartbeat')
    t.notMatch(outcome.arrived[0]?.rawHeaders.join('\n'), /forged|postern|forwarded-user/i)
  }
  const off = await stage(t, {
    before: standin,
    settings: { ...ladder.settings, 'assertion.enabled': 'false' },
  })
  const outcome = await off.ask(t, TARGET, [...FORGED, ...VERA])
  cameOf(t, outcome, `> ${TARGET}`)
  t.notMatch(outcome.arrived[0]?.rawHeaders.join('\n'), /forged|postern/i, 'and where assertions are off')
})

t.test('several Authorization or Host headers (CVE-2021-32777)', async (t) => {
  const [token = ''] = VERA
  for (const second of [
    token,
    token.replace('authorization', 'AUTHORIZATION'),
    'Authorization: Basic eDp5',
    'Authorization:',
  ]) {
    for (const target of [TARGET, '/api/heartbeat', '/-/postern/me']) {
      cameOf(t, await ask(t, target, [token, second]), '400 several_credentials')
      cameOf(t, await ask(t, target, [second, token]), '400 several_credentials')
    }
  }
  for (const host of ['Host: games.example', 'host: localhost', 'Host:']) {
    cameOf(t, await send(t, message(TARGET, [host, ...VERA])), '400 several_hosts')
  }
  const folded = await ask(t, TARGET, ['Author_ization: forged', 'X-Authorization: kept', ...VERA])
  t.same(received(folded, /^authorization$/i), [as('rmm vera all')['authorization']])
})

t.test('CR, LF or bytes beyond ASCII in a claim that becomes a header (CVE-2024-21499)', async (t) => {
  for (const [sql, name] of [
    ["E'gus\\r\\nX-Evil: yes'", 'gus\r\nX-Evil: yes'],
    ["E'gus\\nRemote-User: admin'", 'gus\nRemote-User: admin'],
    ["'güs ☃'", 'güs ☃'],
    ["E'gus\\x01'", 'gus\u0001'],
  ] as const) {
    await execute(ladder.database, [`update users set username = ${sql} where id = 4`])
    const own = await stage(t, { before: standin, settings: plain })
    const outcome = await own.ask(t, TARGET, lines(as('rmm gus all')))
    t.match(
      asserted(outcome),
      { sub: '4', preferred_username: name },
      'a claim is JSON, where it is harmless',
    )
    const text = outcome.arrived[0]?.rawHeaders.join('\n') ?? ''
    t.notMatch(text, /^(?:x-evil|remote-user)/im)
    for (const value of received(outcome, /^x-forwarded-user$/i)) t.match(value, /^[\x20-\x7e]*$/)
    await own.gateway.gateway.close()
  }
})

t.test('two @ in a name (CVE-2026-40574)', async (t) => {
  await execute(ladder.database, [
    "update users set username = 'gus@evil.example@games.example' where id = 4",
  ])
  const own = await stage(t, { before: standin, settings: plain })
  const outcome = await own.ask(t, TARGET, lines(as('rmm gus all')))
  t.match(asserted(outcome), { sub: '4', preferred_username: 'gus@evil.example@games.example', role: 'user' })
  for (const name of ['admin@games.example', 'vera@admin', 'admin@', 'gus@evil.example']) {
    cameOf(t, await own.ask(t, TARGET, [basic(`${name}:pw-admin-1234`)]), '401 invalid_credential')
  }
})
