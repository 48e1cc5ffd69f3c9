import { once } from 'node:events'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { cameOf, received, stage, type StageOptions } from '../attacks/support.ts'
import { freshDecider, said } from '../support/decision.ts'
import { execute } from '../support/database.ts'
import { configOf, inFolder } from '../support/gateway.ts'
import { as, ask } from '../support/romm/ask.ts'
import { fixture, freshLadder, lines } from './support.ts'

const ladder = await freshLadder(t)
const by = (name: string): string[] => lines(as(name))

const staged = (t: Test, options: StageOptions = {}) =>
  stage(t, { ...options, settings: { ...ladder.settings, ...options.settings } })

async function block(adminPort: number, kind: string, what: string): Promise<void> {
  const body = JSON.stringify({ kind, what, for: 3_600_000 })
  const headers = { 'content-type': 'application/json' }
  const { status, text } = await ask(adminPort, '/blocks', { method: 'POST', headers, body })
  if (status !== 200) throw new Error(text)
}

t.test('whoever is blocked is refused with 403, whatever they come with, and nobody else is', async (t) => {
  const { gateway, ask: send } = await staged(t)
  await block(gateway.adminPort, 'user', 'VERA')
  for (const name of ['session vera', 'basic vera', 'jwt vera all', 'rmm vera all']) {
    const outcome = await send(t, '/api/roms', by(name))
    cameOf(t, outcome, '403 blocked')
    t.equal(outcome.answer.one('set-cookie'), undefined, 'the session will be good again')
    cameOf(t, await send(t, '/-/postern/me', by(name)), '403 blocked')
    const open = await send(t, '/api/heartbeat', by(name))
    cameOf(t, open, '> /api/heartbeat')
    t.same(
      received(open, /authorization|cookie|assertion/i),
      [],
      'what is open to all is open without a credential',
    )
  }
  cameOf(t, await send(t, '/api/roms', by('session edith')), '> /api/roms')
  const login = await send(t, '/api/login', by('basic vera'), 'POST')
  t.same(received(login, /^authorization$/i), [], 'nor is there a new session to be had')
})

t.test('a user who is renamed stays blocked', async (t) => {
  const { gateway, ask: send } = await staged(t)
  await block(gateway.adminPort, 'user', 'gus')
  const { id = 0 } = fixture.users.find(({ username }) => username === 'gus') ?? {}
  t.ok(id > 0)
  await execute(ladder.database, [`update users set username = 'august' where id = ${id}`])
  t.teardown(() => execute(ladder.database, [`update users set username = 'gus' where id = ${id}`]))
  cameOf(t, await send(t, '/api/roms', by('rmm gus all')), '403 blocked')
})

t.test('blocks hold while decisions are only observed, and sockets close', async (t) => {
  const { gateway, ask: send } = await staged(t, { settings: { enforcement: 'observe' } })
  const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/ws/socket.io/`, {
    headers: as('rmm vera all'),
  })
  socket.on('error', () => undefined)
  await once(socket, 'open')
  const closed = once(socket, 'close')
  await block(gateway.adminPort, 'user', 'vera')
  await closed
  cameOf(t, await send(t, '/api/roms', by('rmm vera all')), '403 blocked')
  await block(gateway.adminPort, 'address', '127.0.0.1')
  cameOf(t, await send(t, '/api/roms'), '403 blocked')
})

/** A request of vera's with which something else is wrong too, so that it would go on while decisions are observed. */
const ASKEW: readonly (readonly [target: string, fields: readonly string[], method?: string])[] = [
  ['/api/roms', [...by('session vera'), 'Authorization: Bearer nobody']],
  ['/api/roms', [...by('session unknown'), ...by('rmm vera all')]],
  ['/api/nowhere', by('session vera')],
  ['/api/heartbeat', by('jwt vera all'), 'DELETE'],
  ['/ws/socket.io/?EIO=4&sid=somebody', by('session vera')],
]

t.test('nothing else that is wrong gets a blocked one through while decisions are observed', async (t) => {
  const { gateway, ask: send } = await staged(t, { settings: { enforcement: 'observe' } })
  await block(gateway.adminPort, 'user', 'vera')
  for (const [target, fields, method] of ASKEW)
    cameOf(t, await send(t, target, fields, method), '403 blocked')
  const twice = ['Authorization: Bearer nobody', ...by('rmm vera all')]
  cameOf(t, await send(t, '/api/nowhere', twice), '400 several_credentials')
  const another = [...by('session edith'), 'Authorization: Bearer nobody']
  cameOf(t, await send(t, '/api/nowhere', another), '> /api/nowhere')
})

t.test('who cannot be told from a blocked one is not let through either', async (t) => {
  const { gateway, standin, ask: send } = await stage(t, { settings: { enforcement: 'observe' } })
  standin.intercept = ({ url }, response) =>
    url === '/api/users/me' && response.writeHead(302).end() !== undefined
  cameOf(t, await send(t, '/api/roms', by('session vera')), '> /api/roms')
  await block(gateway.adminPort, 'user', 'vera')
  cameOf(t, await send(t, '/api/roms', by('session vera')), '503 could_not_check')
})

t.test('the decision API refuses them too', async (t) => {
  const decider = await freshDecider(t, 'caddy', { settings: ladder.settings })
  await block(decider.adminPort, 'user', 'vera')
  t.equal(said(await decider.ask(t, { uri: '/api/roms', fields: by('rmm vera all') })), '403 blocked')
  await block(decider.adminPort, 'address', '198.51.100.0/24')
  t.equal(said(await decider.ask(t, { uri: '/api/heartbeat' })), '403 blocked')
})

t.test('and does so for whatever else is wrong while decisions are observed', async (t) => {
  const settings = { ...ladder.settings, enforcement: 'observe' }
  const decider = await freshDecider(t, 'caddy', { settings })
  await block(decider.adminPort, 'user', 'vera')
  for (const [uri, fields, method = 'GET'] of ASKEW)
    t.equal(said(await decider.ask(t, { uri, fields, method })), '403 blocked', uri)
})

t.test('whatever can be blocked can be unblocked', async (t) => {
  const { gateway } = await staged(t)
  for (const name of ['\u30c8'.repeat(256), 'a/b c?d#e%2f', '..']) {
    await block(gateway.adminPort, 'user', name)
    const path = `/blocks/user/${encodeURIComponent(name)}`
    t.equal((await ask(gateway.adminPort, path, { method: 'DELETE' })).status, 200, name)
  }
})

t.test('a reload keeps them', async (t) => {
  const { gateway, standin, ask: send } = await staged(t)
  await block(gateway.adminPort, 'user', 'vera')
  const settings = { ...inFolder(gateway.folder), ...ladder.settings, 'upstream.url': standin.url }
  await gateway.gateway.reload(configOf(settings))
  cameOf(t, await send(t, '/api/roms', by('rmm vera all')), '403 blocked')
})

t.test('where the backend alone knows who somebody is, a name is enough', async (t) => {
  const { gateway, ask: send } = await stage(t)
  await block(gateway.adminPort, 'user', 'vera')
  for (const name of ['session vera', 'basic vera', 'jwt vera all', 'rmm vera all'])
    cameOf(t, await send(t, '/api/roms', by(name)), '403 blocked')
})
