import { createPublicKey } from 'node:crypto'
import * as fc from 'fast-check'
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import t from 'tap'
import { ALGORITHMS } from '../../src/assertion/algorithm.ts'
import type { SigningKey } from '../../src/assertion/folder.ts'
import { rotate } from '../../src/assertion/keys.ts'
import { ScopeSet } from '../../src/identity/scope.ts'
import { virtualClock } from '../support/clock.ts'
import {
  MINUTE,
  SECOND,
  TIMING,
  asserterOf,
  bench,
  newFolder,
  openRing,
  principalOf,
  requestFor,
  serveJwks,
} from './setup.ts'

const START = Date.UTC(2026, 0, 1) / 1_000

for (const algorithm of ALGORITHMS) {
  t.test(`an ${algorithm} assertion verifies against the served keys`, async (t) => {
    const { clock, ring, asserter } = await bench(t, { algorithm })
    const assertion = await asserter.assert(principalOf({ tokenId: '3', deviceId: 'd' }), requestFor())
    const keys = createRemoteJWKSet(await serveJwks(t, ring))
    const { payload, protectedHeader } = await jwtVerify(assertion ?? '', keys, {
      algorithms: [algorithm],
      typ: 'postern+jwt',
      issuer: 'https://postern.example',
      audience: 'romm',
      currentDate: new Date(clock.now()),
    })
    t.same(protectedHeader, { alg: algorithm, kid: ring.signingKid(), typ: 'postern+jwt' })
    t.same(payload, {
      iss: 'https://postern.example',
      aud: 'romm',
      sub: '7',
      preferred_username: 'ada',
      role: 'editor',
      scope: 'roms.read me.read',
      mode: 'token',
      token_id: '3',
      device_id: 'd',
      iat: START,
      exp: START + 60,
      jti: 'id-1',
    })
  })
}

for (const algorithm of ALGORITHMS) {
  t.test(`whatever ${algorithm} signs verifies, and says what was signed`, async (t) => {
    const { clock, ring, asserter } = await bench(t, { algorithm })
    const key = createPublicKey(ring.signing().privateKey)
    const text = fc.string({ unit: 'binary' })
    const property = fc.asyncProperty(text, text, text, async (subject, username, role) => {
      const principal = principalOf({ owner: { subject, username, role } })
      const assertion = (await asserter.assert(principal, requestFor())) ?? ''
      const { payload } = await jwtVerify(assertion, key, { currentDate: new Date(clock.now()) })
      const said = [payload.sub, payload['preferred_username'], payload['role']]
      return JSON.stringify(said) === JSON.stringify([subject, username, role])
    })
    await fc.assert(property, { numRuns: 50 })
  })
}

t.test('what is not known is left out', async (t) => {
  const { asserter } = await bench(t)
  const owner = { subject: '7', username: 'ada', role: undefined }
  const claims = decodeJwt((await asserter.assert(principalOf({ owner }), requestFor())) ?? '')
  t.same(Object.keys(claims).sort(), 'aud exp iat iss jti mode preferred_username scope sub'.split(' '))
})

t.test('a deferred grant has no scope, an empty one has an empty scope', async (t) => {
  const { asserter } = await bench(t)
  const within = ScopeSet.of(['roms.read'])
  const deferred = await asserter.assert(principalOf({ grant: { kind: 'deferred', within } }), requestFor())
  const empty = await asserter.assert(
    principalOf({ grant: { kind: 'known', scopes: ScopeSet.none } }),
    requestFor(),
  )
  t.notOk('scope' in decodeJwt(deferred ?? ''))
  t.equal(decodeJwt(empty ?? '')['scope'], '')
})

t.test('nothing is asserted of an unknown owner', async (t) => {
  const { asserter } = await bench(t)
  t.equal(asserter.assert(principalOf({ owner: undefined }), requestFor()), undefined)
})

t.test('an assertion never outlives the credential', async (t) => {
  const { clock, asserter } = await bench(t)
  const expOf = async (expiresAt: number): Promise<unknown> =>
    decodeJwt((await asserter.assert(principalOf({ expiresAt }), requestFor())) ?? '').exp
  t.equal(await expOf(clock.now() + 20 * SECOND + 999), START + 20)
  t.equal(await expOf(clock.now() + 2 * MINUTE), START + 60)
})

t.test('an assertion is used again, synchronously, until a quarter of its life is left', async (t) => {
  const { clock, asserter } = await bench(t)
  const principal = principalOf()
  const value = asserter.assert(principal, requestFor())
  t.type(value, 'string')
  clock.advance(45 * SECOND - 1)
  t.equal(asserter.assert(principal, requestFor('/other', 'POST')), value)
  clock.advance(1)
  const renewed = await asserter.assert(principal, requestFor())
  t.same([decodeJwt(renewed ?? '').iat, decodeJwt(renewed ?? '').jti], [START + 45, 'id-2'])
})

t.test('an RSA signature, which takes long, is one for all who ask meanwhile', async (t) => {
  const { asserter } = await bench(t, { algorithm: 'RS256' })
  const principal = principalOf()
  const first = asserter.assert(principal, requestFor())
  t.type(first, Promise)
  t.equal(asserter.assert(principal, requestFor()), first)
  const value = await first
  t.equal(asserter.assert(principal, requestFor()), value, 'then it is there at once')
})

t.test('its life is what the credential left it', async (t) => {
  const { clock, asserter } = await bench(t)
  const principal = principalOf({ expiresAt: clock.now() + 20 * SECOND })
  const value = await asserter.assert(principal, requestFor())
  clock.advance(15 * SECOND - 1)
  t.equal(asserter.assert(principal, requestFor()), value)
  clock.advance(1)
  t.not(asserter.assert(principal, requestFor()), value)
})

t.test('an assertion is never sent when it is over, however short its life', async (t) => {
  for (let lifetime = SECOND; lifetime <= 5 * SECOND; lifetime += 0.25 * SECOND) {
    const { clock, asserter } = await bench(t, { lifetime })
    clock.advance(0.9 * SECOND)
    const principal = principalOf()
    const over: number[] = []
    for (const end = clock.now() + 2 * lifetime; clock.now() < end; clock.advance(50)) {
      const { exp = 0 } = decodeJwt((await asserter.assert(principal, requestFor())) ?? '')
      if (exp * SECOND <= clock.now()) over.push(clock.now())
    }
    t.same(over, [], `${lifetime} ms`)
  }
})

t.test('a clock that was set back gets a new assertion, not one from its future', async (t) => {
  const { clock, asserter } = await bench(t)
  const principal = principalOf()
  await asserter.assert(principal, requestFor())
  clock.jump(-MINUTE)
  t.equal(decodeJwt((await asserter.assert(principal, requestFor())) ?? '').iat, START - 60)
})

t.test('another principal never gets the assertion of one that looks the same', async (t) => {
  const { asserter } = await bench(t)
  const one = await asserter.assert(principalOf(), requestFor())
  t.not(await asserter.assert(principalOf(), requestFor()), one)
})

t.test('a new signing key ends the reuse at once', async (t) => {
  const clock = virtualClock()
  const folder = newFolder(t)
  const ring = await openRing({ folder, clock })
  clock.advance(SECOND)
  const next = await rotate({ folder, now: clock.now(), ...TIMING }, 'ES256')
  await ring.reload()
  const asserter = asserterOf({ ring, clock })
  const principal = principalOf()
  clock.advance(TIMING.publishFor - 1)
  const old = await asserter.assert(principal, requestFor())
  clock.advance(1)
  const renewed = await asserter.assert(principal, requestFor())
  t.not(decodeProtectedHeader(old ?? '').kid, next.kid)
  t.match(decodeProtectedHeader(renewed ?? ''), { kid: next.kid, alg: 'ES256' })
})

for (const algorithm of ALGORITHMS) {
  t.test(`an ${algorithm} signature that fails is thrown, and tried again`, async (t) => {
    const { clock, ring } = await bench(t, { algorithm })
    const key = ring.signing()
    let used = { ...key, privateKey: createPublicKey(key.privateKey) }
    const asserter = asserterOf({ ring: { signing: () => used }, clock })
    const principal = principalOf()
    const assert = async (): Promise<string | undefined> => asserter.assert(principal, requestFor())
    await t.rejects(assert(), { code: 'keys_unusable', message: new RegExp(key.kid) })
    used = key
    t.equal(decodeJwt((await assert()) ?? '').sub, '7')
  })
}

t.test('a key signs nothing as what it is not', async (t) => {
  const { clock, ring } = await bench(t, { algorithm: 'RS256' })
  const signing = (): SigningKey => ({ ...ring.signing(), algorithm: 'ES256' })
  const asserter = asserterOf({ ring: { signing }, clock })
  t.throws(() => asserter.assert(principalOf(), requestFor()), { code: 'keys_unusable' })
})

t.test('a bound assertion names the request and is never used again', async (t) => {
  const { asserter } = await bench(t, { bindRequest: true })
  const principal = principalOf()
  const first = await asserter.assert(principal, requestFor('//api/roms/%7Ea?limit=1', 'PUT'))
  const second = await asserter.assert(principal, requestFor('*', 'OPTIONS'))
  const bound = [first, second].map((value) => decodeJwt(value ?? ''))
  t.same(
    bound.map(({ htm, htu, jti }) => [htm, htu, jti]),
    [
      ['PUT', 'https://games.example/api/roms/~a', 'id-1'],
      ['OPTIONS', 'https://games.example', 'id-2'],
    ],
  )
  t.not(await asserter.assert(principal, requestFor()), await asserter.assert(principal, requestFor()))
})

t.test('whatever a user is called, the header stays one line of ASCII', async (t) => {
  const { asserter } = await bench(t)
  for (const username of ['a\r\nX-Role: admin', 'Zoë', '日本 🎮', '\ud800', '\0', '']) {
    const owner = { subject: '7', username, role: 'viewer' }
    const assertion = (await asserter.assert(principalOf({ owner }), requestFor())) ?? ''
    t.match(assertion, /^[\w-]+\.[\w-]+\.[\w-]+$/)
    t.equal(decodeJwt(assertion)['preferred_username'], username)
  }
})
