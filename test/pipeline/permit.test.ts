import t from 'tap'
import type { Credential } from '../../src/identity/credential.ts'
import type { Principal } from '../../src/identity/principal.ts'
import type { Decision } from '../../src/pipeline/decision.ts'
import type { Permit } from '../../src/pipeline/permit.ts'
import type { GatewayRequest } from '../../src/request/request.ts'
import { rule } from '../support/routes.ts'
import { ASSERTION, basic, gatewayOf, session, tokenOf, upstreamValues } from './support.ts'
import type { Sent } from './support.ts'

const BEARER = { authorization: 'Bearer vera.jwt' }
const rules = [rule('/api/roms', 'public')]

function permitOf(decision: Decision): Permit {
  if (decision.kind === 'deny') throw new Error(decision.reason)
  return decision.permit
}

t.test('a permit says everything that goes upstream', async (t) => {
  const send = gatewayOf({ rules: [rule('/api/roms', 'roms.read')] })
  const sent: Sent = {
    ...BEARER,
    method: 'POST',
    target: '//api/roms?x=%2f',
    headers: ['Content-Length', '3', 'X-CSRFToken', 'c'],
  }
  const permit = permitOf(await send(sent))
  t.match(permit, { requestId: 'req-1', method: 'POST', upgrade: false, rule: { template: '/api/roms' } })
  t.equal(permit.target.value, '/api/roms?x=%2f')
  t.equal(permit.principal?.owner?.username, 'vera')
  t.same(permit.credential, { kind: 'jwt', token: 'vera.jwt' })
  t.same(permit.headers, [
    ...['Host', 'romm.example', 'Accept', '*/*', 'Content-Length', '3', 'X-CSRFToken', 'c'],
    ...['X-Forwarded-For', '198.51.100.7, 10.0.0.2', 'X-Forwarded-Proto', 'https'],
    ...['X-Forwarded-Host', 'romm.example', 'X-Real-IP', '198.51.100.7', 'X-Request-Id', 'req-1'],
    ...['Authorization', 'Bearer vera.jwt'],
  ])
})

t.test('a permit works once', async (t) => {
  const permit = permitOf(await gatewayOf({ rules })())
  permit.spend()
  t.throws(() => permit.spend(), { code: 'permit_spent' })
  t.throws(() => permit.spend(), { code: 'permit_spent' })
})

t.test('each kind of credential goes on in its plain form, and alone', async (t) => {
  const send = gatewayOf({ rules })
  const cases: readonly (readonly [Sent, cookie: string[], authorization: string[]])[] = [
    [{ cookie: 'a=1; romm_session="vera-session"; b=2' }, ['a=1; b=2; romm_session=vera-session'], []],
    [{ authorization: 'bearer  vera.jwt' }, [], ['Bearer vera.jwt']],
    [{ authorization: basic('vera').replace('Basic', 'BASIC ') }, [], [basic('vera')]],
    [{ authorization: basic('vera', tokenOf('a')) }, [], [`Bearer ${tokenOf('a')}`]],
    [{ cookie: session('dead'), ...BEARER }, [], ['Bearer vera.jwt']],
    [{ cookie: `x=y; ${session('vera')}`, ...BEARER }, ['x=y'], ['Bearer vera.jwt']],
    [{ cookie: `x=y; ${session('dead')}`, authorization: 'Bearer dead.jwt' }, ['x=y'], []],
  ]
  for (const [sent, cookie, authorization] of cases) {
    const decision = await send(sent)
    t.same(upstreamValues(decision, 'cookie'), cookie, JSON.stringify(sent))
    t.same(upstreamValues(decision, 'authorization'), authorization, JSON.stringify(sent))
  }
})

t.test('no spelling of a revoked token leaves, on a public route either', async (t) => {
  const dead = tokenOf('d')
  const spellings: readonly Sent[] = [
    { authorization: `Bearer ${dead}` },
    { authorization: `bearer\u00a0${dead}` },
    { authorization: basic('vera', dead) },
    { headers: ['AUTHORIZATION', `Bearer ${dead}`] },
    { headers: ['authorization', `Bearer ${dead}`, 'Connection', 'authorization'] },
    { cookie: session('dead'), authorization: `Bearer ${dead}` },
  ]
  for (const sent of spellings) {
    const { headers, credential } = permitOf(await gatewayOf({ rules })(sent))
    t.equal(credential, undefined)
    t.notOk(headers.join('\n').includes(dead), JSON.stringify(sent))
    t.notOk(headers.join('\n').includes('dead-session'))
  }
})

t.test('a credential named by Connection is still read, and still written anew', async (t) => {
  const headers = ['Connection', 'authorization, cookie, x-forwarded-for']
  const decision = await gatewayOf({ rules })({ ...BEARER, headers })
  t.same(upstreamValues(decision, 'authorization'), ['Bearer vera.jwt'])
  t.same(upstreamValues(decision, 'x-forwarded-for'), ['198.51.100.7, 10.0.0.2'])
  t.same(upstreamValues(decision, 'connection'), [])
})

t.test('the credential policy says what of a verified credential leaves', async (t) => {
  const seen: [Credential, string | undefined][] = []
  const policyOf = (leaves: Credential | undefined) => ({
    outgoing: (credential: Credential, { owner }: Principal) => {
      seen.push([credential, owner?.username])
      return leaves
    },
  })
  const stripped = await gatewayOf({ rules, outgoing: { policy: policyOf(undefined) } })({
    cookie: session('vera'),
  })
  t.same(upstreamValues(stripped, 'cookie'), [])
  t.same(permitOf(stripped).credential, { kind: 'session', id: 'vera-session' }, 'what was decided on')
  t.equal(permitOf(stripped).principal?.owner?.username, 'vera', 'who it was is known all the same')
  const minted = { kind: 'jwt', token: 'minted.by.us' } as const
  const translated = await gatewayOf({ rules, outgoing: { policy: policyOf(minted) } })({
    authorization: basic('vera'),
  })
  t.same(upstreamValues(translated, 'authorization'), ['Bearer minted.by.us'])
  await gatewayOf({ rules, outgoing: { policy: policyOf(minted) } })({ authorization: 'Bearer dead.jwt' })
  t.same(seen, [
    [{ kind: 'session', id: 'vera-session' }, 'vera'],
    [{ kind: 'basic', username: 'vera', password: 'x' }, 'vera'],
  ])
})

t.test('the assertion speaks of the principal and the request, at once or later', async (t) => {
  for (const later of [false, true]) {
    const assert = ({ owner }: Principal, { id }: GatewayRequest) => {
      const value = `${owner?.username ?? ''} in ${id}`
      return later ? Promise.resolve(value) : value
    }
    const send = gatewayOf({ rules, outgoing: { asserter: { header: ASSERTION, assert } } })
    t.same(upstreamValues(await send(BEARER), ASSERTION), ['vera in req-1'])
    t.same(upstreamValues(await send({}), ASSERTION), [], 'of nobody it says nothing')
  }
})

t.test(
  "a client's own assertion never arrives, whether we have something to say or not (CVE-2026-30851)",
  async (t) => {
    const forged = [
      'X-Postern-Assertion',
      'x_postern_assertion',
      'X.POSTERN-Assertion',
      'X-Forwarded-User',
      'x_forwarded_user',
    ]
    const headers = forged.flatMap((name) => [name, 'forged'])
    const asserters = [undefined, 'signed'].map((value) => ({ header: ASSERTION, assert: () => value }))
    for (const asserter of asserters) {
      for (const sent of [{}, BEARER]) {
        const permit = permitOf(await gatewayOf({ rules, outgoing: { asserter } })({ ...sent, headers }))
        t.notOk(permit.headers.includes('forged'))
        t.notOk(permit.headers.some((name) => /forwarded.user/i.test(name)))
      }
    }
  },
)

t.test('plain identity headers come once, from us', async (t) => {
  const send = gatewayOf({
    rules,
    outgoing: { plain: ({ owner }) => ['X-Forwarded-User', owner?.username ?? ''] },
  })
  const headers = ['X-Forwarded-User', 'admin', 'x_forwarded_user', 'admin', 'Connection', 'x-forwarded-user']
  t.same(upstreamValues(await send({ ...BEARER, headers }), 'x-forwarded-user'), ['vera'])
  t.same(upstreamValues(await send({ headers }), 'x-forwarded-user'), [])
})

t.test('what a route takes as its input opens no door that is not public', async (t) => {
  const closed = [rule('/join', 'notes.read', { input: ['basic'] })]
  const decision = await gatewayOf({ rules: closed })({ target: '/join', authorization: basic('nobody') })
  t.match(decision, { kind: 'deny' })
})
