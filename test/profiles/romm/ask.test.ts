import t, { type Test } from 'tap'
import type { Ask, Verdict } from '../../../src/authenticators/asked.ts'
import { asPosternError } from '../../../src/errors.ts'
import type { Credential } from '../../../src/identity/credential.ts'
import type { AskUpstream } from '../../../src/profiles/profile.ts'
import {
  askAnonymously,
  askHeartbeat,
  createAsk,
  type AskLimits,
  type InstanceState,
} from '../../../src/profiles/romm/ask.ts'
import { rommCarrier } from '../../../src/profiles/romm/credentials.ts'
import type { ClientInfo } from '../../../src/request/request.ts'
import { as, ask as askServer, freshStandin } from '../../support/romm/ask.ts'
import type { Standin, StandinOptions } from '../../support/romm/standin.ts'
import { FULL_SCOPES, WRITE_SCOPES } from './scopes.ts'

const LIMITS: AskLimits = { concurrency: 4, rate: 1_000, ratePerAddress: 1_000 }
const MODERN: InstanceState = { anonymousStatus: 401, kiosk: false }
const REFUSED = undefined
const couldNotCheck = { code: 'could_not_check' }
const questionRefused = { code: 'question_refused' }

interface Stage {
  readonly standin: Standin
  readonly upstream: AskUpstream
  readonly ask: Ask
}

async function stage(
  t: Test,
  options: StandinOptions & { state?: InstanceState | undefined; limits?: AskLimits } = {},
): Promise<Stage> {
  const { limits = LIMITS } = options
  const state = 'state' in options ? options.state : MODERN
  const standin = await freshStandin(t, options)
  const upstream: AskUpstream = async (path, headers) => {
    const { status, headers: received, text } = await askServer(standin.port, path, { headers })
    return { status, setCookies: received['set-cookie'] ?? [], body: text }
  }
  return { standin, upstream, ask: createAsk({ upstream, limits }, () => state) }
}

const client = (address = '192.0.2.1'): ClientInfo => ({
  address,
  peer: address,
  scheme: 'http',
  host: 'romm.test',
  forwardedFor: address,
})

/** A credential of the fixture, as Postern reads it. */
function credential(name: string): Credential {
  const headers = Object.entries(as(name)).flat()
  const presented = rommCarrier.read(headers)
  const read = presented === 'several' ? undefined : (presented.ambient ?? presented.explicit)
  if (read === undefined) throw new Error(`"${name}" is no credential`)
  return read
}

const verdictOf = (ask: Ask, name: string): Promise<Verdict | undefined> => ask(credential(name), client())

/** Every question is answered so from now on. */
function answer(standin: Standin, status: number, body: string, headers: Record<string, string> = {}): void {
  standin.intercept = (request, response) => {
    if (request.url !== '/api/users/me') return false
    response.writeHead(status, headers).end(body)
    return true
  }
}

t.test('RomM says whose a credential is, or that it is nobody’s', async (t) => {
  const { ask } = await stage(t)
  const users = {
    'session vera': ['2', 'vera', WRITE_SCOPES],
    'basic vera': ['2', 'vera', WRITE_SCOPES],
    'jwt vera all': ['2', 'vera', WRITE_SCOPES],
    'rmm admin all': ['1', 'admin', FULL_SCOPES],
    'rmm admin me.read': ['1', 'admin', FULL_SCOPES],
    'basic upper-case name': ['2', 'vera', WRITE_SCOPES],
  } as const
  for (const [name, [subject, username, scopes]] of Object.entries(users)) {
    const verdict = await verdictOf(ask, name)
    t.match(verdict, { kind: 'user', owner: { subject, username } }, name)
    t.same(verdict?.kind === 'user' && verdict.scopes.names.toSorted(), scopes.toSorted(), name)
    t.ok(Object.isFrozen(verdict))
  }
  for (const name of ['rmm admin roms.read', 'jwt no scopes', 'jwt admin roms.read']) {
    t.same(await verdictOf(ask, name), { kind: 'good' }, name)
  }
  for (const name of [
    ...['session unknown', 'session dora', 'session missing user', 'basic wrong password'],
    ...['basic unknown user', 'basic disabled user', 'basic user without password', 'jwt expired'],
    ...['jwt wrong key', 'jwt alg none', 'jwt refresh type', 'jwt disabled user', 'jwt missing user'],
    ...['rmm expired', 'rmm unknown', 'rmm dora'],
  ]) {
    t.equal(await verdictOf(ask, name), REFUSED, name)
  }
  t.same(await verdictOf(ask, 'session without sub'), { kind: 'pending' })
})

t.test('in kiosk mode the guest is nobody', async (t) => {
  const { ask } = await stage(t, { kiosk: true })
  t.match(await verdictOf(ask, 'session vera'), { kind: 'user', owner: { subject: '2' } })
  t.equal(await verdictOf(ask, 'session unknown'), REFUSED)
  t.same(await verdictOf(ask, 'session without sub'), { kind: 'pending' }, 'an OIDC sign-in is left alone')
  t.equal(await verdictOf(ask, 'rmm unknown'), REFUSED)
  t.equal(await verdictOf(ask, 'jwt wrong issuer'), REFUSED)
})

t.test('a 403 means what the instance says to strangers', async (t) => {
  const old = await stage(t, { version: '5.1.0', state: { anonymousStatus: 403, kiosk: false } })
  t.equal(await verdictOf(old.ask, 'rmm unknown'), REFUSED)
  t.equal(
    await verdictOf(old.ask, 'rmm admin roms.read'),
    REFUSED,
    'which cannot be told from an unknown one',
  )
  t.equal(await verdictOf(old.ask, 'session unknown'), REFUSED)
  t.match(await verdictOf(old.ask, 'rmm admin me.read'), { kind: 'user' })
  const unknown = await stage(t, { state: undefined })
  await t.rejects(verdictOf(unknown.ask, 'rmm admin roms.read'), couldNotCheck)
  t.equal(await verdictOf(unknown.ask, 'rmm unknown'), REFUSED)
})

t.test('what is not RomM’s answer is none', async (t) => {
  const { standin, ask } = await stage(t)
  const json = { 'content-type': 'application/json' }
  const answers: [number, string, Record<string, string>?][] = [
    [200, '<!doctype html><title>Sign in</title>', { 'content-type': 'text/html' }],
    [200, '', json],
    [200, 'null', json],
    [200, '[]', json],
    [200, '{"id":"1","username":"x","enabled":true,"oauth_scopes":[]}', json],
    [200, '{"id":1.5,"username":"x","enabled":true,"oauth_scopes":[]}', json],
    [200, '{"id":1,"username":"x","enabled":true}', json],
    [200, '{"id":1,"username":"x","oauth_scopes":[]}', json],
    [204, ''],
    [302, '', { location: '/login' }],
    [307, '', { location: 'https://elsewhere.test/' }],
    [400, ''],
    [404, '{"detail":"Not Found"}', json],
    [429, ''],
    [431, ''],
    [502, ''],
    [503, ''],
    [504, ''],
  ]
  for (const [status, body, headers] of answers) {
    answer(standin, status, body, headers)
    for (const name of ['rmm vera all', 'session vera', 'basic vera', 'jwt vera all']) {
      await t.rejects(verdictOf(ask, name), couldNotCheck, `${status} ${body} to ${name}`)
    }
  }
  answer(standin, 200, '{"id":3,"username":"x","enabled":false,"oauth_scopes":["me.read"]}', json)
  t.equal(await verdictOf(ask, 'rmm vera all'), REFUSED, 'a disabled user is nobody')
  answer(standin, 200, '{"id":3,"username":"x","enabled":true,"oauth_scopes":["me.read",7]}', json)
  const verdict = await verdictOf(ask, 'rmm vera all')
  t.same(verdict?.kind === 'user' && verdict.scopes.names, ['me.read'])
})

t.test('a 500 is the credential’s fault only while RomM is well', async (t) => {
  const { standin, ask } = await stage(t)
  const crash = (alsoHeartbeat: boolean): void => {
    standin.intercept = (request, response) => {
      if (request.url !== '/api/users/me' && !alsoHeartbeat) return false
      response.writeHead(500).end('Internal Server Error')
      return true
    }
  }
  crash(false)
  for (const name of ['jwt vera all', 'basic vera']) t.equal(await verdictOf(ask, name), REFUSED, name)
  for (const name of ['rmm vera all', 'session vera']) {
    await t.rejects(verdictOf(ask, name), couldNotCheck, `${name} crashes nothing`)
  }
  crash(true)
  for (const name of ['jwt vera all', 'basic vera'])
    await t.rejects(verdictOf(ask, name), couldNotCheck, name)
})

t.test('the question carries one credential and nothing else of the client', async (t) => {
  const { standin, ask } = await stage(t)
  for (const name of ['session vera', 'basic vera', 'jwt vera all', 'rmm vera all']) {
    standin.forget()
    await verdictOf(ask, name)
    const [question] = standin.requests
    t.equal(standin.requests.length, 1)
    t.equal(question?.target, '/api/users/me')
    const { authorization, cookie, ...others } = question?.headers ?? {}
    t.same(
      Object.fromEntries(
        Object.entries({ authorization, cookie }).filter(([, value]) => value !== undefined),
      ),
      as(name),
      name,
    )
    t.same(Object.keys(others).toSorted(), ['accept', 'connection', 'host'])
  }
})

t.test('a credential longer than any is refused unasked', async (t) => {
  const { standin, ask } = await stage(t)
  const long = 'x'.repeat(8_192)
  t.equal(await ask({ kind: 'jwt', token: long }, client()), REFUSED)
  t.equal(await ask({ kind: 'basic', username: 'vera', password: long }, client()), REFUSED)
  t.equal(standin.questions, 0)
})

t.test('no more questions at once than allowed, no more waiting than there is room for', async (t) => {
  const { standin, ask } = await stage(t, { limits: { ...LIMITS, concurrency: 2 } })
  const held: (() => void)[] = []
  const twoAreHeld = Promise.withResolvers<void>()
  standin.intercept = (_request, response) => {
    held.push(() => response.writeHead(401).end())
    if (held.length === 2) twoAreHeld.resolve()
    return true
  }
  const from = (host: number): Promise<Verdict | undefined> =>
    ask(credential('rmm unknown'), client(`192.0.2.${host}`))
  // No address may fill the room by itself.
  const waiting = Array.from({ length: 66 }, (_, i) => from(i % 3))
  await twoAreHeld.promise
  await t.rejects(from(0), questionRefused)
  t.equal(held.length, 2)
  standin.intercept = undefined
  for (const release of held) release()
  t.same(new Set(await Promise.all(waiting)), new Set([REFUSED]))
  t.equal(standin.questions, 66)
})

t.test('no more questions a second than allowed, of one network and in all', async (t) => {
  const { standin, ask } = await stage(t, { limits: { ...LIMITS, rate: 7, ratePerAddress: 2 } })
  const from = (address: string): Promise<Verdict | undefined> =>
    ask(credential('rmm unknown'), client(address))
  // One turn of the loop: all within one second.
  const outcomes = await Promise.allSettled([
    from('192.0.2.1'),
    from('192.0.2.1'),
    from('192.0.2.1'),
    from('2001:db8:0:1::1'),
    from('2001:db8::2:2:3:4:5'),
    from('2001:db8:0:1:ffff::'),
    from('2001:0DB8:0:1::9'),
    from('::1'),
    from('192.0.2.3'),
    from('192.0.2.4'),
  ])
  t.same(
    outcomes.map((outcome) =>
      outcome.status === 'fulfilled' ? 'asked' : asPosternError(outcome.reason).code,
    ),
    [
      ...['asked', 'asked', 'question_refused'],
      // Three of one /64 and one of another; the first of each network are let through before the second of any.
      ...['asked', 'asked', 'question_refused', 'question_refused'],
      ...['asked', 'asked', 'asked'],
    ],
  )
  t.equal(standin.questions, 7)
})

t.test('what RomM says to strangers', async (t) => {
  const say = async (options: StandinOptions): Promise<InstanceState> =>
    askAnonymously((await stage(t, options)).upstream)
  t.same(await say({}), { anonymousStatus: 401, kiosk: false })
  t.same(await say({ version: '5.1.0' }), { anonymousStatus: 403, kiosk: false })
  t.same(await say({ kiosk: true }), { anonymousStatus: 401, kiosk: true })
  t.same(await say({ kiosk: true, version: '5.1.0' }), { anonymousStatus: 403, kiosk: true })
  const { standin, upstream } = await stage(t)
  for (const [status, body] of [
    [200, '<html>'],
    [200, '{"id":1}'],
    [302, ''],
    [500, ''],
  ] as const) {
    answer(standin, status, body)
    await t.rejects(askAnonymously(upstream), couldNotCheck, `${status} ${body}`)
  }
})

const heartbeat = (status: number, body: string): ReturnType<typeof askHeartbeat> =>
  askHeartbeat(() => Promise.resolve({ status, setCookies: [], body }))

t.test('the heartbeat tells the version, the first run, and the cookie that proves the secret', async (t) => {
  const usual = await askHeartbeat((await stage(t, { csrf: true })).upstream)
  t.match(usual, { version: '5.2.0', awaitsFirstAdmin: false })
  t.ok(usual.setCookies.some((cookie) => cookie.startsWith('romm_csrftoken=')))
  t.match(await askHeartbeat((await stage(t, { users: false })).upstream), { awaitsFirstAdmin: true })
  const nothing = { version: undefined, awaitsFirstAdmin: false, setCookies: [] }
  for (const body of ['{}', '{"SYSTEM":null}', '{"SYSTEM":{"VERSION":5,"SHOW_SETUP_WIZARD":"true"}}']) {
    t.same(await heartbeat(200, body), nothing, body)
  }
  await t.rejects(heartbeat(503, ''), couldNotCheck)
  await t.rejects(heartbeat(200, '<html>'), couldNotCheck)
})
