import t from 'tap'
import { rule } from '../support/routes.ts'
import { authenticated } from '../../src/pipeline/outcome.ts'
import {
  KNOWN,
  basic,
  gatewayOf,
  principal,
  session,
  standIn,
  told,
  tokenOf,
  upstreamValues,
} from './support.ts'
import type { Sent } from './support.ts'

// What a request may carry, by the names that the table below uses.
const COOKIES = {
  '-': undefined,
  'of vera': session('vera'),
  'of edith': session('edith'),
  dead: session('dead'),
  'not a login': session('state'),
  malformed: 'romm_session="a b"',
  'cannot check': session('away'),
} as const

const AUTHORIZATIONS = {
  '-': undefined,
  'jwt of vera': 'Bearer vera.jwt',
  'token of vera': `Bearer ${tokenOf('a')}`,
  'jwt of admin': 'Bearer admin.jwt',
  'dead jwt': 'Bearer dead.jwt',
  'jwt, cannot check': 'Bearer away.jwt',
  'basic of vera': basic('vera'),
  'bad basic': basic('mallory'),
  'token in basic': basic('vera', tokenOf('a')),
  'three words': 'Bearer a b',
  'other scheme': 'Digest x',
  empty: '',
} as const

type Row = Readonly<Record<keyof typeof AUTHORIZATIONS, string>>

/** One answer for every `Authorization`. */
function every(answer: string): Row {
  const names = Object.keys(AUTHORIZATIONS) as (keyof typeof AUTHORIZATIONS)[]
  return Object.fromEntries(names.map((name) => [name, answer])) as Row
}

const withoutSession: Row = {
  '-': 'no_credential',
  'jwt of vera': 'vera with vera.jwt',
  'token of vera': `vera with ${tokenOf('a')}`,
  'jwt of admin': 'admin with admin.jwt',
  'dead jwt': 'invalid_credential',
  'jwt, cannot check': 'could_not_check',
  'basic of vera': 'vera with vera',
  'bad basic': 'invalid_credential',
  'token in basic': `vera with ${tokenOf('a')}`,
  'three words': 'invalid_credential',
  'other scheme': 'no_credential',
  empty: 'no_credential',
}
const withDeadSession: Row = {
  ...withoutSession,
  '-': 'invalid_credential',
  'other scheme': 'invalid_credential',
  empty: 'invalid_credential',
}

/** On a route that somebody must be for: who passes with what, or why not. */
const PROTECTED: Readonly<Record<keyof typeof COOKIES, Row>> = {
  '-': withoutSession,
  'of vera': {
    ...every('vera with vera-session'),
    'jwt of vera': 'vera with vera.jwt',
    'token of vera': `vera with ${tokenOf('a')}`,
  },
  'of edith': every('edith with edith-session'),
  dead: withDeadSession,
  'not a login': withDeadSession,
  malformed: withDeadSession,
  'cannot check': every('could_not_check'),
}

/** On a public route nobody is refused: what is bad, or cannot be checked, is not there. */
const onPublic = (answer: string): string => (/ with /.test(answer) ? answer : 'anonymous with nothing')

interface Pair {
  readonly cookie: keyof typeof COOKIES
  readonly authorization: keyof typeof AUTHORIZATIONS
  readonly about: string
  readonly sent: Sent
}

function pairs(): Pair[] {
  const cookies = Object.keys(COOKIES) as (keyof typeof COOKIES)[]
  const authorizations = Object.keys(AUTHORIZATIONS) as (keyof typeof AUTHORIZATIONS)[]
  return cookies.flatMap((cookie) =>
    authorizations.map((authorization) => {
      const sent = { cookie: COOKIES[cookie], authorization: AUTHORIZATIONS[authorization] }
      return { cookie, authorization, about: `session ${cookie}, ${authorization}`, sent }
    }),
  )
}

for (const later of [false, true]) {
  const how = later ? 'answers that take time' : 'answers at hand'
  const gateway = (requires: string) =>
    gatewayOf({ rules: [rule('/api/roms', requires)], authenticator: standIn(KNOWN, later) })

  t.test(`a session beside an Authorization, on a protected route, with ${how}`, async (t) => {
    const send = gateway('authenticated')
    for (const { cookie, authorization, about, sent } of pairs()) {
      t.equal(told(await send(sent)), PROTECTED[cookie][authorization], about)
    }
  })

  t.test(`… and on a public one, with ${how}`, async (t) => {
    const send = gateway('public')
    for (const { cookie, authorization, about, sent } of pairs()) {
      t.equal(told(await send(sent)), onPublic(PROTECTED[cookie][authorization]), about)
    }
  })
}

t.test('no request leaves with two credentials, or with one that was not decided on', async (t) => {
  const send = gatewayOf({ rules: [rule('/api/roms', 'public')] })
  for (const { about, sent } of pairs()) {
    const decision = await send(sent)
    const kind = decision.kind === 'permit' ? decision.permit.credential?.kind : 'denied'
    t.equal(upstreamValues(decision, 'cookie').length, kind === 'session' ? 1 : 0, about)
    const isExplicit = kind !== undefined && kind !== 'session'
    t.equal(upstreamValues(decision, 'authorization').length, isExplicit ? 1 : 0, about)
  }
})

t.test('what a live session displaces is not even looked at', async (t) => {
  for (const authorization of [
    basic('vera'),
    basic('mallory'),
    basic('vera', tokenOf('a')),
    'Bearer a b',
    'Digest x',
  ]) {
    const authenticator = standIn()
    await gatewayOf({ rules: [rule('/api/roms', 'authenticated')], authenticator })({
      cookie: session('vera'),
      authorization,
    })
    t.same(authenticator.asked, ['vera-session'], authorization)
  }
})

t.test('a session whose owner is unknown displaces every Authorization', async (t) => {
  const unowned = authenticated(principal({ name: 'x', isOwned: false, grant: { kind: 'deferred' } }))
  const unownedJwt = authenticated(principal({ name: 'x', isOwned: false, mode: 'jwt' }))
  const authenticator = standIn({ 'vera-session': unowned, 'vera.jwt': unownedJwt })
  const send = gatewayOf({ rules: [rule('/api/roms', 'authenticated')], authenticator })
  const decision = await send({ cookie: session('vera'), authorization: 'Bearer vera.jwt' })
  t.equal(told(decision), 'session with vera-session')
})

t.test('conflict: reject answers 400 to two credentials, and to two alone', async (t) => {
  const send = gatewayOf({ rules: [rule('/api/roms', 'authenticated')], conflict: 'reject' })
  for (const { cookie, authorization, about, sent } of pairs()) {
    const isTwo = cookie !== '-' && !['-', 'empty', 'other scheme'].includes(authorization)
    t.equal(
      told(await send(sent)),
      isTwo ? 'conflicting_credentials' : PROTECTED[cookie][authorization],
      about,
    )
  }
})

t.test('several Authorization headers are 400 on every route, whatever else came', async (t) => {
  const headers = ['AUTHORIZATION', 'Bearer vera.jwt']
  for (const requires of ['public', 'authenticated', 'roms.read']) {
    const send = gatewayOf({ rules: [rule('/api/roms', requires)] })
    const decision = await send({ authorization: 'Bearer vera.jwt', headers, cookie: session('vera') })
    t.equal(told(decision), 'several_credentials', requires)
  }
})

t.test('a 401 says whether a dead session came along, whose cookie is to be cleared', async (t) => {
  const send = gatewayOf({ rules: [rule('/api/roms', 'authenticated')] })
  const flag = async (sent: Sent): Promise<unknown> => {
    const decision = await send(sent)
    return decision.kind === 'deny' ? decision.deadSession : 'permitted'
  }
  t.equal(await flag({ cookie: session('dead') }), true)
  t.equal(await flag({ cookie: session('dead'), authorization: 'Bearer dead.jwt' }), true)
  t.equal(await flag({ cookie: session('dead'), authorization: 'Digest x' }), true)
  t.equal(await flag({ cookie: session('state') }), false, 'a sign-in under way lives on')
  t.equal(await flag({ cookie: 'romm_session="a b"' }), false)
  t.equal(await flag({ authorization: 'Bearer dead.jwt' }), false)
  t.equal(await flag({ cookie: session('dead'), authorization: 'Bearer vera.jwt' }), 'permitted')
})
