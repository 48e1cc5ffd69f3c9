import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { REASONS } from '../../src/pipeline/reason.ts'
import { ASK_FREELY, fixture, freshLadder } from '../gateway/support.ts'
import { freshGateway } from '../support/gateway.ts'
import { as, ask, freshStandin, type Answer } from '../support/romm/ask.ts'

interface Told {
  readonly reason?: string
  readonly hint?: string
}

const told = ({ text }: Pick<Answer, 'text'>): Told => JSON.parse(text) as Told
const ME = '/-/postern/me'

const standin = await freshStandin(t)
const ladder = await freshLadder(t)
const { port } = await freshGateway(t, { ...ladder.settings, 'upstream.url': standin.url })

t.test('every reason but a missing route says what to do about it', (t) => {
  for (const [reason, { status, hint }] of Object.entries(REASONS)) {
    t.equal(hint === undefined, status === 404, reason)
  }
  t.end()
})

t.test('who lacks a scope is told which, and how to get it', async (t) => {
  const devices = { method: 'POST', path: '/api/devices' }
  const users = { method: 'GET', path: '/api/users' }
  for (const [name, { method, path }, hint] of [
    [
      'rmm admin roms.read',
      devices,
      'The token lacks devices.write: pair again with it, if its owner has it.',
    ],
    [
      'jwt admin roms.read',
      devices,
      'The access token lacks devices.write: ask for it in scope when getting one, if the user has it.',
    ],
    ['session vera', users, 'The user lacks users.read: an admin can give it.'],
    ['basic vera', users, 'The user lacks users.read: an admin can give it.'],
  ] as const) {
    const answer = await ask(port, path, { method, headers: as(name) })
    t.equal(answer.status, 403, name)
    t.match(told(answer), { reason: 'insufficient_scope', hint }, name)
  }
})

t.test('whose credential is bad is told how to come by a good one, on any route and by me', async (t) => {
  for (const [name, hint] of [
    ['rmm unknown', 'The token is unknown, expired or revoked: pair again.'],
    ['rmm expired', 'The token is unknown, expired or revoked: pair again.'],
    ['jwt expired', 'The access token is expired or not of this installation: refresh it, or sign in again.'],
    ['session unknown', 'The session is over: sign in again.'],
    ['basic wrong password', 'Name or password is wrong, or the user is disabled.'],
    [
      'authorization one word',
      'This is no credential that the backend knows: check how Authorization is written.',
    ],
  ] as const) {
    for (const path of ['/api/roms', ME]) {
      const answer = await ask(port, path, { headers: as(name) })
      t.equal(answer.status, 401, `${name} at ${path}`)
      t.match(told(answer), { reason: 'invalid_credential', hint }, `${name} at ${path}`)
    }
  }
  t.match(told(await ask(port, ME)), { reason: 'no_credential', hint: REASONS.no_credential.hint })
})

t.test('a route that is not there gives no hint', async (t) => {
  t.equal((await ask(port, '/api/nowhere', { headers: as('session vera') })).text, '{"detail":"Not Found"}')
})

t.test('me says of a token how long it is good', async (t) => {
  const { text } = await ask(port, ME, { headers: as('rmm not yet expired') })
  t.match(JSON.parse(text), { mode: 'token', token_id: '29', expires_at: /^\d{4}-\d\d-\d\dT/ })
})

t.test('me in kiosk mode: a visitor is the guest, and one with a bad credential is nobody', async (t) => {
  const kiosk = await freshStandin(t, { kiosk: true })
  const settings = { ...ASK_FREELY, 'upstream.url': kiosk.url, 'romm.kiosk': 'true' }
  const gateway = await freshGateway(t, settings)
  const guest = await ask(gateway.port, ME)
  t.equal(guest.status, 200)
  t.match(JSON.parse(guest.text), { mode: 'guest', user: { id: '-1', name: 'kiosk' } })
  t.equal((await ask(gateway.port, ME, { headers: as('rmm unknown') })).status, 401)
  const answer = await ask(gateway.port, '/api/devices', { method: 'POST' })
  t.match(told(answer), { hint: 'Visitors lack devices.write: sign in.' })
})

t.test('what could not be checked is no reason to sign out, and says so', async (t) => {
  const gone = await freshStandin(t)
  const gateway = await freshGateway(t, { ...ASK_FREELY, 'upstream.url': gone.url })
  await gone.close()
  const answer = await ask(gateway.port, ME, { headers: as('rmm vera all') })
  t.equal(answer.status, 503)
  t.ok(Number(answer.headers['retry-after']) > 0)
  t.match(told(answer), { reason: 'could_not_check', hint: /same credential: it was not found bad/ })
})

t.test('one command starts a stand-in, the gateway, and says what to send', async (t) => {
  const program = fileURLToPath(new URL('run.ts', import.meta.url))
  const child = spawn(process.execPath, [program, '--json', '--port', '0', '--romm-port', '0'])
  t.teardown(() => child.kill('SIGKILL'))
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const { postern, romm, credentials } = JSON.parse(line.toString()) as {
    readonly postern: string
    readonly romm: string
    readonly credentials: readonly { readonly name: string; readonly header: string }[]
  }
  t.equal((await fetch(`${romm}/api/heartbeat`)).status, 200)
  const statuses: Record<string, number> = {}
  for (const { name, header } of credentials) {
    const [field = '', value = ''] = header.split(/: (.*)/s)
    statuses[name] = (await fetch(postern + ME, { headers: { [field]: value } })).status
  }
  t.same(statuses, {
    'session vera': 200,
    'basic vera': 200,
    'jwt vera all': 200,
    'rmm vera all': 200,
    'rmm admin all': 200,
    'rmm admin roms.read': 200,
    'rmm expired': 401,
    'rmm unknown': 401,
    'jwt expired': 401,
    'session unknown': 401,
    'basic wrong password': 401,
  })
  t.ok(credentials.every(({ name }) => name in fixture.credentials))
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  t.same(await ended, [0, null])
})
