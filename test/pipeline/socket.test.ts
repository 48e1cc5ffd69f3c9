import t from 'tap'
import { rule } from '../support/routes.ts'
import { basic, gatewayOf, principal, session, told } from './support.ts'
import type { Sent } from './support.ts'

const socket = rule('/ws/**', 'authenticated', {
  origin: 'profile',
  socket: true,
  methods: ['GET', 'POST'],
})
const page = rule('/page', 'public')
const COOKIE = { cookie: session('vera') }

async function open(sent: Sent, origins: readonly string[] = []): Promise<string> {
  const send = gatewayOf({ rules: [socket, page], origins })
  return told(await send({ target: '/ws/socket.io/?EIO=4&transport=websocket', upgrade: true, ...sent }))
}
const from = (...origins: string[]): Sent => ({
  ...COOKIE,
  headers: origins.flatMap((origin) => ['Origin', origin]),
})

t.test('a socket is permitted on a socket rule, to whom the rule lets in', async (t) => {
  const send = gatewayOf({ rules: [socket] })
  const decision = await send({ target: '/ws/socket.io/', upgrade: true, ...COOKIE })
  t.match(decision, { kind: 'permit', permit: { upgrade: true } })
  t.equal(await open({}), 'no_credential')
  t.equal(await open({ authorization: 'Bearer dead.jwt' }), 'invalid_credential')
  t.equal(await open({ authorization: 'Bearer away.jwt' }), 'could_not_check')
})

t.test('no permit is for a socket but on a socket rule, however public the path', async (t) => {
  const ways: readonly Sent[] = [
    { target: '/page' },
    { target: '/page', ...COOKIE },
    { target: '/login', method: 'POST', authorization: basic('mallory') },
    {
      target: '/page',
      method: 'OPTIONS',
      headers: ['Origin', 'https://a', 'Access-Control-Request-Method', 'GET'],
    },
  ]
  const login = rule('/login', 'public', { input: ['basic'] })
  for (const sent of ways) {
    const decision = await gatewayOf({ rules: [page, login] })({ ...sent, upgrade: true })
    t.equal(told(decision), 'no_route', JSON.stringify(sent))
  }
})

t.test('a socket that rides on a cookie comes from our own pages', async (t) => {
  t.equal(await open(from('https://romm.example')), 'vera with vera-session')
  t.equal(await open(from('HTTPS://ROMM.example')), 'vera with vera-session')
  const foreign = [
    ...[
      'https://evil.example',
      'http://romm.example',
      'https://romm.example:8443',
      'https://sub.romm.example',
      'null',
      '',
    ],
    ...[
      'https://romm.example.evil.example',
      'https://romm.example/',
      'romm.example',
      'https://user@romm.example',
    ],
  ]
  for (const origin of foreign) t.equal(await open(from(origin)), 'foreign_origin', JSON.stringify(origin))
  t.equal(await open(from('https://romm.example', 'https://romm.example')), 'foreign_origin', 'two of them')
  t.equal(await open(from('https://romm.example', 'https://evil.example')), 'foreign_origin')
})

t.test('… or from listed ones', async (t) => {
  const listed = ['https://app.example']
  t.equal(await open(from('https://app.example'), listed), 'vera with vera-session')
  t.equal(await open(from('https://App.Example'), listed), 'vera with vera-session')
  t.equal(await open(from('https://app.example:444'), listed), 'foreign_origin')
  t.equal(await open(from('https://app.example', 'https://romm.example'), listed), 'foreign_origin')
})

t.test('apps send no Origin', async (t) => {
  t.equal(await open(COOKIE), 'vera with vera-session')
})

t.test('a credential sent on purpose may come from any page', async (t) => {
  const headers = ['Origin', 'https://evil.example']
  t.equal(await open({ authorization: 'Bearer vera.jwt', headers }), 'vera with vera.jwt')
  t.equal(
    await open({ ...COOKIE, authorization: 'Bearer vera.jwt', headers }),
    'vera with vera.jwt',
    'the cookie is gone',
  )
  t.equal(
    await open({ ...COOKIE, authorization: 'Bearer admin.jwt', headers }),
    'foreign_origin',
    'the cookie decides',
  )
})

t.test('a foreign page learns nothing of a route it may not enter', async (t) => {
  t.equal(
    await open({ cookie: session('dead'), headers: ['Origin', 'https://evil.example'] }),
    'invalid_credential',
  )
})

t.test('the guest has no cookie to ride on', async (t) => {
  const guest = principal({ name: 'kiosk', mode: 'guest' })
  const welcoming = { ...socket, requirement: { kind: 'authenticated', guests: true } } as const
  const send = gatewayOf({ rules: [welcoming], guest })
  const sent = { target: '/ws/socket.io/', upgrade: true, headers: ['Origin', 'https://evil.example'] }
  t.equal(told(await send(sent)), 'kiosk with nothing')
})

t.test("nobody continues another's connection by its number", async (t) => {
  for (const search of [
    '?sid=a',
    '?EIO=4&transport=polling&sid=a',
    '?s%69d=a',
    '?x=1&sid',
    '?sid=&sid=b',
    '?sid=%00',
    '?&sid=a',
  ]) {
    for (const upgrade of [true, false]) {
      t.equal(
        await open({ ...COOKIE, target: `/ws/socket.io/${search}`, upgrade }),
        'polling_disabled',
        search,
      )
    }
    t.equal(
      await open({ ...COOKIE, target: `/ws/socket.io/${search}`, upgrade: false, method: 'POST' }),
      'polling_disabled',
    )
  }
  for (const search of ['?SID=a', '?sid2=a', '?x=sid', '?x=%26sid=a', '']) {
    t.equal(await open({ ...COOKIE, target: `/ws/socket.io/${search}` }), 'vera with vera-session', search)
  }
  const elsewhere = await gatewayOf({ rules: [page] })({ target: '/page?sid=a' })
  t.equal(told(elsewhere), 'anonymous with nothing', 'elsewhere it is a parameter like any other')
})
