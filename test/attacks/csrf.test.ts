/**
 * RomM fact: it skips its CSRF check when any `Authorization` of Basic or Bearer is present, although it is the cookie that
 * authenticates (fixed after 5.2). Behind the gateway a page of another site gains nothing by it.
 */
import t, { type Test } from 'tap'
import { fixture, lines, message } from '../gateway/support.ts'
import { as } from '../support/romm/ask.ts'
import { cameOf, type Outcome, received, type Stage, stage } from './support.ts'

const plain = await stage(t, { standin: { csrf: true }, settings: { 'romm.secret': fixture.secret } })
const { standin, ask } = plain
const SESSION = lines(as('session vera'))
const TARGET = '/api/client-tokens'
const BODY = JSON.stringify({ name: 'planted', scopes: ['me.write'], expires_in: 'never' })

/** What another site has a browser send: the cookie goes along on its own. */
function post(t: Test, { send }: Stage, fields: readonly string[], target = TARGET): Promise<Outcome> {
  const framing = ['Content-Type: application/json', `Content-Length: ${BODY.length}`]
  return send(t, message(target, [...fields, ...framing], 'POST') + BODY, 'POST')
}

const planted = (): number =>
  [...standin.state.tokens.values()].filter(({ name }) => name === 'planted').length

const JUNK = [
  ...['Bearer x', 'bearer x', 'BEARER', 'Bearer', 'Bearer  x', 'Bearer\tx', 'Bearer a b', 'Bearer not.a.jwt'],
  ...['Basic eDp5', 'basic x', 'Basic', 'Basic  eDp5', 'Basic\teDp5', 'Digest x', 'Negotiate', '', 'x'],
].map((value) => `Authorization: ${value}`)
const OTHERS = [
  'rmm admin all',
  'rmm unknown',
  'jwt garbage',
  'jwt expired',
  'basic admin',
  'basic vera',
  'basic wrong password',
]
const AUTHORIZATIONS = [...JUNK, ...OTHERS.flatMap((name) => lines(as(name)))]

t.test(
  'a session and an Authorization that is not its user’s: the check is made (RomM: skipped)',
  async (t) => {
    for (const authorization of AUTHORIZATIONS) {
      for (const fields of [
        [...SESSION, authorization],
        [authorization, ...SESSION],
      ]) {
        const outcome = await post(t, plain, fields)
        cameOf(t, outcome, `> ${TARGET}`)
        t.same(received(outcome, /authorization/i), [], authorization)
        t.equal(outcome.answer.body, 'CSRF token verification failed')
      }
    }
    t.equal(planted(), 0)
  },
)

t.test('… nor is it skipped on a public route, or by Connection', async (t) => {
  for (const [target, ...more] of [
    ['/api/logout'],
    ['/api/reset-password'],
    ['/api/users/register'],
    [TARGET, 'Connection: authorization'],
    [TARGET, 'Connection: x-csrftoken, authorization'],
  ] as const) {
    const outcome = await post(t, plain, [...SESSION, 'Authorization: Bearer x', ...more], target)
    t.same(received(outcome, /authorization/i), [], target)
    t.equal(outcome.answer.body, 'CSRF token verification failed')
  }
})

t.test('a Bearer of the same user goes without the cookie, so that it is what authenticates', async (t) => {
  const outcome = await post(t, plain, [...SESSION, ...lines(as('rmm vera all'))])
  t.equal(outcome.said, '201')
  t.same(received(outcome, /^cookie$/i), [])
  t.same(received(outcome, /^authorization$/i), [as('rmm vera all')['authorization']])
})

t.test('our own pages pass with their token', async (t) => {
  const visit = await ask(t, '/api/roms', SESSION)
  const token = visit.answer.all('set-cookie').find((cookie) => cookie.startsWith('romm_csrftoken='))
  const value = token?.split(';')[0]?.split('=').slice(1).join('=') ?? ''
  const cookies = [`${SESSION[0] ?? ''}; romm_csrftoken=${value}`]
  t.equal((await post(t, plain, cookies)).said, '403', 'the cookie alone proves nothing')
  t.equal((await post(t, plain, [...cookies, `X-CSRFToken: ${value}`])).said, '201')
  const stripped = await post(t, plain, [...cookies, `X-CSRFToken: ${value}`, 'Connection: x-csrftoken'])
  t.equal(stripped.said, '403')
})

t.test('a login gives nobody the session of another', async (t) => {
  const outcome = await ask(t, '/api/login', [...SESSION, ...lines(as('basic gus'))], 'POST')
  t.same(
    received(outcome, /^cookie$/i),
    [],
    'a page that logs its visitor in does not do so on their session',
  )
  t.equal(outcome.said, '200')
})

t.test('translate adds no Authorization to a request that came with a session', async (t) => {
  const settings = { 'romm.secret': fixture.secret, 'upstream.credentials': 'translate' }
  const translating = await stage(t, { before: standin, settings })
  for (const authorization of ['X: y', ...AUTHORIZATIONS]) {
    const outcome = await post(t, translating, [...SESSION, authorization])
    t.same(received(outcome, /authorization/i), [], authorization)
    t.equal(outcome.answer.body, 'CSRF token verification failed')
  }
})

t.test('conflict: reject lets neither through', async (t) => {
  const strict = await stage(t, { before: standin, settings: { conflict: 'reject' } })
  for (const name of OTHERS) {
    cameOf(t, await post(t, strict, [...SESSION, ...lines(as(name))]), '400 conflicting_credentials')
  }
})
