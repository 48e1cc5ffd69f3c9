import { createHook } from 'node:async_hooks'
import t from 'tap'
import { PosternError } from '../../src/errors.ts'
import type { FailureCode } from '../../src/errors.ts'
import { ScopeSet } from '../../src/identity/scope.ts'
import { REASONS } from '../../src/pipeline/reason.ts'
import { authenticated } from '../../src/pipeline/outcome.ts'
import type { Router } from '../../src/pipeline/rule.ts'
import { rule } from '../support/routes.ts'
import {
  basic,
  gatewayOf,
  principal,
  requestOf,
  routerOf,
  session,
  standIn,
  told,
  upstreamValues,
  vera,
} from './support.ts'
import type { Sent } from './support.ts'

const BEARER = { authorization: 'Bearer vera.jwt' }
const guest = principal({ name: 'kiosk', mode: 'guest', scopes: 'roms.read me.read' })

/** A router that knows one rule, or fails. */
function routerThat(match: Router['match']): Router {
  return { match }
}

t.test('each requirement lets through whom it names', async (t) => {
  const cases: readonly (readonly [requires: string, sent: Sent, expected: string])[] = [
    ['public', {}, 'anonymous with nothing'],
    ['public', BEARER, 'vera with vera.jwt'],
    ['authenticated', {}, 'no_credential'],
    ['authenticated', BEARER, 'vera with vera.jwt'],
    ['authenticated', { authorization: 'Bearer dead.jwt' }, 'invalid_credential'],
    ['roms.read', {}, 'no_credential'],
    ['roms.read', BEARER, 'vera with vera.jwt'],
    ['roms.read users.write', BEARER, 'insufficient_scope'],
    ['roms.read users.write', { authorization: 'Bearer admin.jwt' }, 'admin with admin.jwt'],
    ['never.heard.of', BEARER, 'insufficient_scope'],
    ['closed', {}, 'concealed'],
    ['closed', { authorization: 'Bearer admin.jwt' }, 'concealed'],
  ]
  for (const [requires, sent, expected] of cases) {
    t.equal(
      told(await gatewayOf({ rules: [rule('/api/roms', requires)] })(sent)),
      expected,
      `${requires}, ${sent.authorization ?? 'nobody'}`,
    )
  }
})

t.test('no route, no permit', async (t) => {
  const send = gatewayOf({ rules: [rule('/api/roms', 'public', { methods: ['GET', 'PUT'] })] })
  t.same(await send({ target: '/api/other' }), { kind: 'deny', reason: 'no_route' })
  t.same(await send({ method: 'DELETE' }), {
    kind: 'deny',
    reason: 'method_not_allowed',
    allow: ['GET', 'HEAD', 'PUT'],
    template: '/api/roms',
  })
})

t.test('a refusal says what is missing, to whom, and what may help', async (t) => {
  const setup = rule('/api/roms', 'roms.read users.write logs.read', { hint: 'Sign in as an admin.' })
  const decision = await gatewayOf({ rules: [setup] })(BEARER)
  t.match(decision, {
    kind: 'deny',
    reason: 'insufficient_scope',
    rule: setup,
    principal: { owner: { username: 'vera' } },
    required: ['roms.read', 'users.write', 'logs.read'],
    missing: ['users.write', 'logs.read'],
    hint: 'Sign in as an admin.',
  })
  t.match(await gatewayOf({ rules: [setup] })({ authorization: 'Bearer dead.jwt' }), {
    reason: 'invalid_credential',
    credential: { kind: 'jwt', token: 'dead.jwt' },
    rejection: 'expired',
    hint: 'Sign in as an admin.',
  })
})

t.test('a concealed route is not there for those who may not enter', async (t) => {
  const send = gatewayOf({ rules: [rule('/api/roms', 'users.write', { conceal: true })] })
  t.equal(told(await send()), 'concealed')
  t.equal(told(await send(BEARER)), 'concealed')
  t.equal(told(await send({ authorization: 'Bearer dead.jwt' })), 'concealed')
  t.equal(told(await send({ authorization: 'Bearer admin.jwt' })), 'admin with admin.jwt')
  t.equal(told(await send({ authorization: 'Bearer away.jwt' })), 'could_not_check', 'nobody knows yet')
  t.same(REASONS.concealed, REASONS.no_route, 'and reads like one that does not exist')
})

t.test('an unknown credential is asked about no one that it is not', async (t) => {
  const authenticator = standIn()
  await gatewayOf({ rules: [rule('/api/roms', 'closed')], authenticator })(BEARER)
  await gatewayOf({ rules: [], authenticator })(BEARER)
  await gatewayOf({ rules: [rule('/api/roms', 'public', { methods: ['PUT'] })], authenticator })(BEARER)
  t.same(authenticator.asked, [], 'no route, no question')
})

t.test('a preflight on a known path is public, and carries no credential', async (t) => {
  const preflight: Sent = {
    method: 'OPTIONS',
    cookie: `theme=dark; ${session('vera')}`,
    ...BEARER,
    headers: ['Origin', 'https://app.example', 'Access-Control-Request-Method', 'PUT'],
  }
  for (const methods of [['GET'], ['GET', 'OPTIONS'], '*'] as const) {
    const decision = await gatewayOf({ rules: [rule('/api/roms', 'users.write', { methods })] })(preflight)
    t.equal(told(decision), 'anonymous with nothing', String(methods))
    t.same(upstreamValues(decision, 'authorization'), [])
    t.same(upstreamValues(decision, 'cookie'), ['theme=dark'])
    t.match(decision, { permit: { rule: { template: '/api/roms', requirement: { kind: 'public' } } } })
  }
})

t.test('a preflight opens nothing that is closed or unknown', async (t) => {
  const headers = ['Origin', 'https://app.example', 'Access-Control-Request-Method', 'PUT']
  const send = gatewayOf({ rules: [rule('/api/roms', 'closed')] })
  t.equal(told(await send({ method: 'OPTIONS', headers })), 'concealed')
  t.equal(told(await send({ method: 'OPTIONS', headers, target: '/api/other' })), 'no_route')
})

t.test('what only looks like a preflight is a request like any other', async (t) => {
  const [origin, asked] = [
    ['Origin', 'https://app.example'],
    ['Access-Control-Request-Method', 'PUT'],
  ]
  const send = gatewayOf({ rules: [rule('/api/roms', 'users.write')] })
  const lookalikes: readonly (readonly [method: string, headers: readonly string[]])[] = [
    ['OPTIONS', []],
    ['OPTIONS', origin],
    ['OPTIONS', asked],
    ['OPTIONS', [...origin, ...origin, ...asked]],
    ['OPTIONS', [...origin, ...asked, ...asked]],
    ['GET', [...origin, ...asked]],
    ['POST', [...origin, ...asked]],
  ]
  for (const [method, headers] of lookalikes)
    t.equal(told(await send({ method, headers })), 'no_credential', `${method} ${headers.join()}`)
})

t.test('a route takes its input unverified, in plain form, and nothing else with it', async (t) => {
  const authenticator = standIn()
  const login = rule('/api/login', 'public', { methods: ['POST'], input: ['basic'] })
  const logout = rule('/api/logout', 'public', { methods: ['POST'], input: ['session'] })
  const send = gatewayOf({ rules: [login, logout], authenticator })

  const signIn = await send({
    method: 'POST',
    target: '/api/login',
    authorization: `BASIC  ${basic('mallory').slice(6)}`,
    cookie: session('vera'),
  })
  t.equal(told(signIn), 'anonymous with mallory')
  t.same(upstreamValues(signIn, 'authorization'), [basic('mallory')])
  t.same(upstreamValues(signIn, 'cookie'), [])

  const signOut = await send({
    method: 'POST',
    target: '/api/logout/',
    authorization: 'Bearer vera.jwt',
    cookie: 'a=b; romm_session="dead-session"',
  })
  t.equal(told(signOut), 'anonymous with dead-session')
  t.same(upstreamValues(signOut, 'authorization'), [])
  t.same(upstreamValues(signOut, 'cookie'), ['a=b; romm_session=dead-session'])
  t.same(authenticator.asked, [], 'nobody was asked')
})

t.test('what a route does not take as its input is checked there as on any public route', async (t) => {
  const send = gatewayOf({ rules: [rule('/api/login', 'public', { input: ['basic'] })] })
  const login = async (sent: Sent): Promise<string> =>
    told(await send({ ...sent, method: 'POST', target: '/api/login' }))
  t.equal(await login({}), 'anonymous with nothing')
  t.equal(await login({ authorization: 'Bearer dead.jwt' }), 'anonymous with nothing')
  t.equal(await login({ authorization: 'Bearer vera.jwt' }), 'vera with vera.jwt')
  t.equal(await login({ authorization: 'Basic !' }), 'anonymous with nothing')
  t.equal(await login({ cookie: session('dead') }), 'anonymous with nothing')
})

const asGuest = async (requires: string, sent: Sent): Promise<string> =>
  told(await gatewayOf({ rules: [rule('/api/roms', requires)], guest })(sent))

t.test('where a guest is configured, whoever says nothing is the guest', async (t) => {
  t.equal(await asGuest('roms.read', {}), 'kiosk with nothing')
  t.equal(await asGuest('public', {}), 'kiosk with nothing')
  t.equal(await asGuest('users.write', {}), 'insufficient_scope')
  t.equal(
    await asGuest('roms.read', { cookie: session('dead') }),
    'kiosk with nothing',
    'as a dead session is nothing',
  )
  t.equal(
    await asGuest('roms.read', { authorization: 'Negotiate x' }),
    'kiosk with nothing',
    'nor is a scheme RomM does not know',
  )
  t.equal(await asGuest('roms.read', { authorization: '' }), 'kiosk with nothing')
  t.equal(await asGuest('roms.read', BEARER), 'vera with vera.jwt')
})

t.test('whoever says something false is not the guest', async (t) => {
  const send = gatewayOf({ rules: [rule('/api/roms', 'roms.read')], guest })
  for (const authorization of ['Bearer dead.jwt', basic('mallory'), 'Bearer a b', 'Bearer', 'Basic !']) {
    t.equal(told(await send({ authorization })), 'invalid_credential', authorization)
    t.equal(told(await send({ authorization, cookie: session('dead') })), 'invalid_credential', authorization)
  }
  t.equal(told(await send({ cookie: session('away') })), 'could_not_check')
})

t.test('the guest is somebody only where a rule says so', async (t) => {
  const somebody = rule('/api/roms', 'authenticated')
  t.equal(told(await gatewayOf({ rules: [somebody], guest })()), 'no_credential')
  const welcoming = { ...somebody, requirement: { kind: 'authenticated', guests: true } } as const
  t.equal(told(await gatewayOf({ rules: [welcoming], guest })()), 'kiosk with nothing')
  t.equal(told(await gatewayOf({ rules: [welcoming] })()), 'no_credential')
})

const asDeferred = (known: ScopeSet | undefined) =>
  standIn({
    'vera.jwt': authenticated(
      principal({ name: 'vera', grant: { kind: 'deferred', ...(known && { within: known }) } }),
    ),
  })

t.test('a credential whose scopes only the backend knows passes where the backend checks them', async (t) => {
  const within = ScopeSet.of(['roms.read', 'me.read'])
  const cases: readonly (readonly [
    requires: string,
    backendChecks: boolean,
    known: ScopeSet | undefined,
    expected: string,
  ])[] = [
    ['roms.read', true, undefined, 'vera with vera.jwt'],
    ['roms.read', false, undefined, 'insufficient_scope'],
    ['roms.read', true, within, 'vera with vera.jwt'],
    ['roms.read', false, within, 'insufficient_scope'],
    ['users.write', true, within, 'insufficient_scope'],
    ['roms.read users.write', true, within, 'insufficient_scope'],
    ['roms.read', true, ScopeSet.none, 'insufficient_scope'],
    ['authenticated', false, undefined, 'vera with vera.jwt'],
    ['public', false, undefined, 'vera with vera.jwt'],
  ]
  for (const [requires, backendChecksScopes, known, expected] of cases) {
    const send = gatewayOf({
      rules: [rule('/api/roms', requires, { backendChecksScopes })],
      authenticator: asDeferred(known),
    })
    t.equal(told(await send(BEARER)), expected, `${requires}, ${backendChecksScopes}, ${String(known)}`)
  }
})

t.test('what fails is refused by its own reason, never let through and never 401', async (t) => {
  const reasons: readonly (readonly [FailureCode | 'a bug', string])[] = [
    ['could_not_check', 'could_not_check'],
    ['question_refused', 'could_not_check'],
    ['route_table_unavailable', 'route_table_unavailable'],
    ['keys_unusable', 'internal_error'],
    ['upstream_unreachable', 'could_not_check'],
    ['upstream_timeout', 'could_not_check'],
    ['internal', 'internal_error'],
    ['a bug', 'internal_error'],
  ]
  const protectedRule = rule('/api/roms', 'authenticated')
  for (const [code, reason] of reasons) {
    const error = code === 'a bug' ? new TypeError('x is undefined') : new PosternError(code)
    const fail = (): never => {
      throw error
    }
    const broken = [
      gatewayOf({ router: routerThat(fail) }),
      gatewayOf({ router: routerThat(() => Promise.reject(error)) }),
      gatewayOf({ rules: [protectedRule], authenticator: { authenticate: fail } }),
      gatewayOf({ rules: [protectedRule], authenticator: { authenticate: () => Promise.reject(error) } }),
      gatewayOf({ rules: [protectedRule], outgoing: { policy: { outgoing: fail } } }),
      gatewayOf({ rules: [protectedRule], outgoing: { policy: { outgoing: () => Promise.reject(error) } } }),
      gatewayOf({ rules: [protectedRule], outgoing: { plain: fail } }),
      gatewayOf({ rules: [protectedRule], outgoing: { asserter: { header: 'X-A', assert: fail } } }),
      gatewayOf({
        rules: [protectedRule],
        outgoing: { asserter: { header: 'X-A', assert: () => Promise.reject(error) } },
      }),
    ]
    for (const send of broken) t.match(await send(BEARER), { kind: 'deny', reason, cause: error }, code)
  }
  t.ok(REASONS.could_not_check.status === 503 && REASONS.internal_error.status === 503)
})

t.test('on a public route only the credential is given up, not the request', async (t) => {
  const send = gatewayOf({ rules: [rule('/api/roms', 'public')] })
  for (const authorization of [
    'Bearer away.jwt',
    'Bearer dead.jwt',
    'Bearer a b',
    basic('mallory'),
    basic('away'),
  ]) {
    t.equal(told(await send({ authorization })), 'anonymous with nothing', authorization)
  }
  const unassertable = { header: 'X-A', assert: () => Promise.reject(new PosternError('keys_unusable')) }
  const asserting = gatewayOf({ rules: [rule('/api/roms', 'public')], outgoing: { asserter: unassertable } })
  t.equal(told(await asserting({})), 'anonymous with nothing', 'about nobody there is nothing to assert')
  t.equal(
    told(await asserting(BEARER)),
    'internal_error',
    'an identity that cannot be said is not left unsaid',
  )
})

/** How many promises `task` makes before it returns. */
function promisesOf(task: () => unknown): number {
  let made = 0
  const hook = createHook({ init: (_id, type) => void (type === 'PROMISE' && made++) }).enable()
  try {
    task()
  } finally {
    hook.disable()
  }
  return made
}

t.test('a decision that waits for nothing is no promise, and makes none on its way', async (t) => {
  const rules = [
    rule('/api/roms', 'roms.read'),
    rule('/api/admin', 'users.write'),
    rule('/public', 'public'),
    rule('/api/closed', 'closed'),
  ]
  const send = gatewayOf({ rules, outgoing: { asserter: { header: 'X-A', assert: () => 'signed' } } })
  const sent: readonly Sent[] = [
    { ...BEARER },
    { cookie: session('vera') },
    { cookie: session('vera'), ...BEARER },
    { cookie: session('dead'), ...BEARER },
    { cookie: session('away') },
    { ...BEARER, target: '/api/admin' },
    { authorization: 'Bearer away.jwt', target: '/public' },
    { target: '/api/closed' },
    { target: '/nowhere' },
  ]
  for (const one of sent) {
    t.notOk(send(one) instanceof Promise, JSON.stringify(one))
    t.equal(
      promisesOf(() => send(one)),
      0,
      JSON.stringify(one),
    )
  }
  const router: Router = routerThat((method, path) => Promise.resolve(routerOf(...rules).match(method, path)))
  t.ok(gatewayOf({ router })(BEARER) instanceof Promise, 'one that waits is')
  t.ok(promisesOf(() => gatewayOf({ router })(BEARER)) > 0)
  t.equal(told(await gatewayOf({ router })(BEARER)), 'vera with vera.jwt')
})

t.test('the authenticator is told who asks, and the router the canonical path', async (t) => {
  const seen: unknown[] = []
  const send = gatewayOf({
    router: routerThat((method, path) => {
      seen.push([method, path])
      return { kind: 'rule', rule: rule('/api/roms', 'authenticated') }
    }),
    authenticator: {
      authenticate: (credential, client) => {
        seen.push([credential.kind, client.address])
        return vera
      },
    },
  })
  await send({ ...BEARER, target: '//api/%72oms?x=%2F' })
  t.same(seen, [
    ['GET', '/api/roms'],
    ['jwt', requestOf({}).client.address],
  ])
})
