import { once } from 'node:events'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { loadConfig } from '../../src/config/load.ts'
import { asserted, bare, cameOf, received, stage, type StageOptions } from '../attacks/support.ts'
import { freshDecider, said } from '../support/decision.ts'
import { as, ask } from '../support/romm/ask.ts'
import { execute } from '../support/database.ts'
import { freshLadder, lines } from './support.ts'

const OBSERVE = { enforcement: 'observe' }
const by = (name: string): string[] => lines(as(name))

const observing = (t: Test, options: StageOptions = {}) =>
  stage(t, { ...options, settings: { ...OBSERVE, ...options.settings } })

type Lines = readonly Readonly<Record<string, unknown>>[]

/** What the log says of the newest decision. */
const newest = (log: Lines) => log.filter(({ decision }) => decision !== undefined).at(-1)

t.test('what would be refused is forwarded, with its reason in the log and in the metrics', async (t) => {
  const { gateway, ask: send } = await observing(t)
  const cases: readonly (readonly [reason: string, method: string, target: string, fields: string[]])[] = [
    ['no_credential', 'GET', '/api/roms', []],
    ['invalid_credential', 'GET', '/api/roms', by('rmm unknown')],
    ['invalid_credential', 'GET', '/api/roms', by('authorization three words')],
    ['insufficient_scope', 'GET', '/api/users', by('session vera')],
    ['no_route', 'GET', '/api/nowhere', by('session admin')],
    ['method_not_allowed', 'DELETE', '/api/heartbeat', by('session admin')],
    ['polling_disabled', 'GET', '/ws/socket.io/?EIO=4&sid=somebody', by('session vera')],
  ]
  for (const [reason, method, target, fields] of cases) {
    const outcome = await send(
      t,
      target,
      [...fields, 'X-Forwarded-User: admin', 'X-Postern_Assertion: x'],
      method,
    )
    cameOf(t, outcome, `> ${target}`)
    t.same(received(outcome, /assertion|forwarded-user/i), [], 'nobody is asserted')
    t.match(
      newest(gateway.log),
      { decision: 'would_deny', reason, method, status: outcome.answer.status },
      reason,
    )
  }
  const { text } = await ask(gateway.probesPort, '/metrics')
  t.match(
    text,
    'postern_requests_total{decision="would_deny",reason="invalid_credential",mode="token",route="/api/roms"} 1',
  )
  t.match(
    text,
    'postern_requests_total{decision="would_deny",reason="no_route",mode="anonymous",route="none"} 1',
  )
  t.notMatch(JSON.stringify(gateway.log), bare('rmm unknown'))
})

t.test('its credentials go on as they came, for the backend to judge', async (t) => {
  const { ask: send } = await observing(t)
  const cookies = ['Cookie: theme=dark; romm_session="made-up"', 'Cookie: \tromm_session=\\155ade']
  const outcome = await send(t, '/api/roms', [...cookies, 'Authorization: bearer  nobody'])
  cameOf(t, outcome, '> /api/roms')
  t.same(received(outcome, /^cookie$/i), ['theme=dark; romm_session="made-up"', 'romm_session=\\155ade'])
  t.same(received(outcome, /^authorization$/i), ['bearer  nobody'])
})

t.test('what is permitted is as ever', async (t) => {
  const { gateway, ask: send } = await observing(t)
  const outcome = await send(t, '/api/roms', [...by('session vera'), 'X-Postern-Assertion: forged'])
  cameOf(t, outcome, '> /api/roms')
  t.equal(asserted(outcome)?.['preferred_username'], 'vera')
  t.match(newest(gateway.log), { decision: 'permit', user: 'vera' })
})

t.test('what has several readings, and what is ours, is refused as ever', async (t) => {
  const { ask: send } = await observing(t)
  const cases: readonly (readonly [said: string, target: string, fields?: string[]])[] = [
    ['400 ambiguous_target', '/api/%2e%2e/users'],
    ['400 ambiguous_target', '/api\\users'],
    ['400 foreign_target', 'http://elsewhere.example/api/roms'],
    ['400 several_hosts', '/api/roms', ['Host: elsewhere.example']],
    ['400 several_credentials', '/api/roms', ['Authorization: Bearer a', 'Authorization: Bearer b']],
    ['400 malformed_request', '/api/roms', ['Content-Length: 0', 'Transfer-Encoding: chunked']],
    ['431 headers_too_large', '/api/roms', Array.from({ length: 120 }, (_, i) => `X-${i}: 1`)],
    ['404 no_route', '/-/postern/status'],
    ['401 no_credential', '/-/postern/me'],
  ]
  for (const [wanted, target, fields] of cases) cameOf(t, await send(t, target, fields), wanted)
})

t.test('what could not be checked, guessed too often, or came twice is forwarded too', async (t) => {
  const ladder = await freshLadder(t)
  const settings = { ...ladder.settings, conflict: 'reject', 'attempts.perAddress': '1' }
  const { gateway, ask: send, standin } = await observing(t, { settings })
  const both = [...by('session vera'), ...by('jwt vera all')]
  const outcome = await send(t, '/api/roms', both)
  cameOf(t, outcome, '> /api/roms')
  t.same([received(outcome, /^cookie$/i), received(outcome, /^authorization$/i)].flat().length, 2)
  t.match(newest(gateway.log), { decision: 'would_deny', reason: 'conflicting_credentials' })
  for (const name of ['rmm unknown', 'rmm expired', 'jwt wrong key'])
    cameOf(t, await send(t, '/api/roms', by(name)), '> /api/roms')
  t.match(newest(gateway.log), { decision: 'would_deny', reason: 'too_many_attempts' })
  await ladder.redis.stop()
  standin.intercept = ({ url }, response) =>
    url === '/api/users/me' && response.writeHead(302).end() !== undefined
  cameOf(t, await send(t, '/api/roms', by('session edith')), '> /api/roms')
  t.match(newest(gateway.log), { decision: 'would_deny', reason: 'could_not_check' })
})

async function opened(port: number, path: string, headers: Record<string, string>): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers })
  socket.on('error', () => undefined)
  await once(socket, 'open')
  return socket
}

t.test('sockets are observed too, and stay open when their credential dies', async (t) => {
  const ladder = await freshLadder(t)
  const redis = new Redis(ladder.redis.url)
  t.teardown(() => redis.disconnect())
  const settings = { ...ladder.settings, 'cache.revalidate': '100ms' }
  const { gateway, standin } = await observing(t, { settings })
  const path = '/ws/socket.io/?EIO=4&transport=websocket'
  const foreign = { ...as('session vera'), origin: 'https://evil.example' }
  for (const [reason, headers] of [
    ['no_credential', {}],
    ['invalid_credential', as('rmm unknown')],
    ['foreign_origin', foreign],
  ] as const) {
    standin.forget()
    const socket = await opened(gateway.port, path, headers)
    t.match(newest(gateway.log), { decision: 'would_deny', reason, socket: true }, reason)
    t.notOk(standin.requests.some((request) => 'x-postern-assertion' in request.headers))
    socket.terminate()
  }
  const known = await opened(gateway.port, path, as('rmm gus all'))
  await execute(ladder.database, ['delete from client_tokens where user_id = 4'])
  let reason: unknown
  while (reason !== 'invalid_credential') {
    await ask(gateway.port, '/api/roms', { headers: as('rmm gus all') })
    reason = newest(gateway.log)?.['reason']
  }
  const echo = once(known, 'message')
  known.send('still there?')
  await echo
  t.pass('the backend alone closes it')
  known.terminate()
})

t.test('a handshake on a path that no rule speaks for gets to the backend as one', async (t) => {
  const { gateway, standin } = await observing(t)
  const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/api/new-socket`)
  socket.on('error', () => undefined)
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }]
  t.not(response.statusCode, 101)
  const arrived = standin.requests.find(({ target }) => target === '/api/new-socket')
  t.equal(arrived?.headers['upgrade'], 'websocket')
  t.match(newest(gateway.log), { decision: 'would_deny', reason: 'no_route' })
})

t.test('the decision API permits what it would refuse, but for what has to be deleted', async (t) => {
  const decider = await freshDecider(t, 'caddy', { settings: OBSERVE })
  const cases: readonly (readonly [string, string[], string])[] = [
    ['/api/roms', [], 'no_credential'],
    ['/api/roms', by('rmm unknown'), 'invalid_credential'],
    ['/api/roms', [...by('session vera'), ...by('jwt vera all')], 'conflicting_credentials'],
    ['/api/roms', [`Authorization: bearer  ${bare('rmm vera all')}`], 'needs_rewriting'],
  ]
  for (const [uri, fields, reason] of cases) {
    const answer = await decider.ask(t, { uri, fields })
    t.equal(answer.status, 200, reason)
    t.equal(answer.one('x-postern-assertion'), '', 'nobody is asserted')
    t.match(newest(decider.log), { decision: 'would_deny', reason }, reason)
  }
  for (const [uri, fields, wanted] of [
    ['/api/roms', ['X-Postern_Assertion: forged'], '400 needs_rewriting'],
    ['/api/roms', ['X-Forwarded-User: admin'], '400 needs_rewriting'],
    ['/api/../roms', [], '400 ambiguous_target'],
    ['/-/postern/me', [], '404 no_route'],
  ] as const)
    t.equal(said(await decider.ask(t, { uri, fields })), wanted)
})

t.test('before a backend that authenticates nobody it has an ugly name', async (t) => {
  const base = { 'upstream.url': 'http://127.0.0.1:1' }
  const judge = (settings: Record<string, string>) =>
    loadConfig({ env: {}, overrides: { ...base, ...settings } })
  for (const settings of [{ profile: 'standalone' }, { 'upstream.credentials': 'strip' }]) {
    const loaded = judge({ ...settings, ...OBSERVE })
    t.match(loaded, { ok: false, problems: [{ path: 'enforcement', message: /everybody would get in/ }] })
    const danger = { ...settings, enforcement: 'dangerouslyObserveOnly' }
    t.match(judge(danger), { ok: true, warnings: [{ message: 'dangerouslyObserveOnly is on' }] })
  }
  t.match(judge(OBSERVE), { ok: true, warnings: [{ path: 'enforcement', message: /nothing is refused/ }] })
})

t.test('a backend that is to see no credential sees none of those that were refused', async (t) => {
  const settings = { enforcement: 'dangerouslyObserveOnly', 'upstream.credentials': 'strip' }
  const { ask: send } = await observing(t, { settings })
  const outcome = await send(t, '/api/roms', [
    'Cookie: theme=dark; romm_session=made-up',
    ...by('rmm unknown'),
  ])
  cameOf(t, outcome, '> /api/roms')
  t.same(received(outcome, /^cookie$/i), ['theme=dark'])
  t.same(received(outcome, /^authorization$/i), [])
})

t.test('a denial is counted and logged as one again when decisions count', async (t) => {
  const { gateway, ask: send } = await stage(t)
  cameOf(t, await send(t, '/api/roms'), '401 no_credential')
  t.match(newest(gateway.log), { decision: 'deny', reason: 'no_credential' })
})
