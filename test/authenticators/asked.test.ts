import t from 'tap'
import {
  createAskedJwt,
  createAskedToken,
  createAskedUser,
  createInquiry,
  unverifiedClaims,
  type Ask,
  type Verdict,
} from '../../src/authenticators/asked.ts'
import type { AccessClaims } from '../../src/authenticators/jwt.ts'
import { byKind, fallback, only } from '../../src/authenticators/ladder.ts'
import { withImplied } from '../../src/authenticators/implied.ts'
import { Lookup } from '../../src/directory/lookup.ts'
import { PosternError, type FailureCode } from '../../src/errors.ts'
import type { Credential } from '../../src/identity/credential.ts'
import type { Principal } from '../../src/identity/principal.ts'
import { ScopeSet } from '../../src/identity/scope.ts'
import { authenticated, rejected, type Authenticator } from '../../src/pipeline/outcome.ts'
import { virtualClock } from '../support/clock.ts'
import { client, scopesOf, told } from './people.ts'

const TTL = 30_000
const owner = Object.freeze({ subject: '2', username: 'vera', role: 'user' })
const scopes = ScopeSet.of(['notes.read', 'notes.write'])
const VERA: Verdict = Object.freeze({ kind: 'user', owner, scopes })
const GOOD: Verdict = Object.freeze({ kind: 'good' })
const PENDING: Verdict = Object.freeze({ kind: 'pending' })

const session: Credential = { kind: 'session', id: 's' }
const basic: Credential = { kind: 'basic', username: 'vera', password: 'pw' }
const jwt: Credential = { kind: 'jwt', token: 'a.b.c' }
const token: Credential = { kind: 'token', token: 'rmm_1' }

function stage() {
  const clock = virtualClock()
  const asked: Credential[] = []
  const wereGood: (boolean | undefined)[] = []
  let answer: Verdict | undefined | Error = VERA
  const ask: Ask = (credential, _client, wasGood) => {
    asked.push(credential)
    wereGood.push(wasGood)
    // A new verdict for every answer, as from the backend.
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer && { ...answer })
  }
  const lookup = (): Lookup<Verdict> =>
    new Lookup<Verdict>({
      name: 'verdict',
      source: { load: () => Promise.reject(new Error('asked without its credential')) },
      clock,
      maxEntries: 100,
      maxNegative: 100,
      freshFor: TTL,
      staleIfError: 0,
      deadline: 1_000,
    })
  const verdicts = lookup()
  const inquiry = createInquiry({ ask, verdicts, passwordVerdicts: lookup() })
  const claims: AccessClaims = {
    username: 'vera',
    scopes: ['notes.read', 'users.write'],
    expiresAt: clock.now() + 60_000,
  }
  return {
    clock,
    asked,
    wereGood,
    inquiry,
    verdicts,
    claims,
    say: (next: Verdict | undefined | Error) => void (answer = next),
    session: createAskedUser(inquiry, 'session'),
    basic: createAskedUser(inquiry, 'basic'),
    token: createAskedToken(inquiry),
    jwt: createAskedJwt(inquiry, { verify: () => claims }),
  }
}

const present = async (authenticator: Authenticator, credential: Credential): Promise<Principal | string> =>
  told(authenticator.authenticate(credential, client))

const expiryOf = (payload: Readonly<Record<string, unknown>>): AccessClaims => ({
  username: 'vera',
  scopes: [],
  expiresAt: Number(payload['exp']),
})

function jwtUntil(exp: number): Credential {
  const [header, payload] = [{ alg: 'HS256' }, { exp }].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  return { kind: 'jwt', token: `${header}.${payload}.c2ln` }
}

t.test('what was somebody’s is asked about as such, a session before its login is not', async (t) => {
  const { clock, wereGood, say, session: authenticator } = stage()
  for (const verdict of [PENDING, PENDING, VERA, VERA, undefined, VERA]) {
    say(verdict)
    await present(authenticator, session)
    clock.advance(TTL)
  }
  t.same(wereGood, [false, false, false, true, true, false])
})

t.test('the backend knows the user: sessions and passwords may do what the user may', async (t) => {
  const asked = stage()
  for (const [mode, credential] of [
    ['session', session],
    ['basic', basic],
  ] as const) {
    const principal = await present(asked[mode], credential)
    t.match(principal, { mode, owner, expiresAt: undefined })
    t.same(scopesOf(principal), ['notes.read', 'notes.write'])
    t.equal(await present(asked[mode], credential), principal)
  }
})

t.test(
  'the backend knows the user: what a token carries is left to it, what a JWT says bounds it',
  async (t) => {
    const asked = stage()
    t.match(await present(asked.token, token), { mode: 'token', owner, grant: { kind: 'deferred' } })
    const principal = await present(asked.jwt, jwt)
    t.match(principal, { mode: 'jwt', owner, expiresAt: asked.claims.expiresAt })
    t.same(scopesOf(principal), ['notes.read'])
  },
)

t.test('the backend says only that it is good', async (t) => {
  const asked = stage()
  asked.say(GOOD)
  t.equal(await present(asked.session, session), 'refused_by_backend')
  t.equal(await present(asked.basic, basic), 'refused_by_backend')
  const deferred = await present(asked.token, token)
  t.match(deferred, { owner: undefined, grant: { kind: 'deferred' } })
  t.notOk(typeof deferred !== 'string' && deferred.grant.kind === 'deferred' && deferred.grant.within)
  const bounded = await present(asked.jwt, jwt)
  t.ok(typeof bounded !== 'string' && bounded.owner === undefined && bounded.grant.kind === 'deferred')
  t.match(bounded, { grant: { within: { names: asked.claims.scopes } }, expiresAt: asked.claims.expiresAt })
})

t.test('the backend refuses, or knows a session that nobody has logged in on', async (t) => {
  for (const [verdict, word] of [
    [undefined, 'refused_by_backend'],
    [PENDING, 'not_a_login'],
  ] as const) {
    const asked = stage()
    asked.say(verdict)
    t.equal(await present(asked.session, session), word)
    t.equal(await present(asked.token, token), 'refused_by_backend')
    t.equal(await present(asked.jwt, jwt), 'refused_by_backend')
  }
})

t.test('a token beside a name belongs to that name', async (t) => {
  const asked = stage()
  t.match(await present(asked.token, { ...token, ownerName: 'VERA' }), { owner })
  t.equal(await present(asked.token, { ...token, ownerName: 'bob' }), 'wrong_owner')
  asked.say(GOOD)
  asked.clock.advance(TTL)
  t.equal(
    await present(asked.token, { ...token, ownerName: 'vera' }),
    'wrong_owner',
    'whose it is is not known',
  )
})

t.test('a verdict lives as long as it may, a refusal too, and a failure not at all', async (t) => {
  const { clock, asked, session: authenticator, say } = stage()
  await present(authenticator, session)
  say(undefined)
  clock.advance(TTL - 1)
  t.match(await present(authenticator, session), { owner })
  t.equal(asked.length, 1)
  clock.advance(1)
  t.equal(await present(authenticator, session), 'refused_by_backend')
  say(VERA)
  t.equal(await present(authenticator, session), 'refused_by_backend')
  t.equal(asked.length, 2)
  clock.advance(TTL)
  say(new PosternError('could_not_check'))
  await t.rejects(present(authenticator, session), { code: 'could_not_check' })
  clock.advance(1_000)
  say(VERA)
  t.match(await present(authenticator, session), { owner })
})

t.test('one credential is one question, and no two share an answer', async (t) => {
  const { asked, inquiry, verdicts } = stage()
  const credentials: Credential[] = [
    session,
    token,
    jwt,
    basic,
    { kind: 'session', id: 'rmm_1' },
    { kind: 'jwt', token: 'rmm_1' },
    { kind: 'basic', username: 'verap', password: 'w' },
    { kind: 'basic', username: 'ver', password: 'apw' },
    { kind: 'session', id: 's2' },
  ]
  await Promise.all([...credentials, ...credentials].map(async (credential) => inquiry(credential, client)))
  t.same(asked, credentials)
  t.equal(verdicts.size, 6, 'passwords are kept elsewhere')
  t.equal(await inquiry({ kind: 'malformed', why: 'test' }, client), undefined)
  t.equal(asked.length, credentials.length)
})

t.test('a JWT that is dead, or none, costs no question', async (t) => {
  const { asked, inquiry, clock } = stage()
  const authenticator = createAskedJwt(
    inquiry,
    unverifiedClaims(expiryOf, () => clock.now()),
  )
  t.equal(await present(authenticator, jwtUntil(clock.now())), 'expired')
  t.equal(await present(authenticator, { kind: 'jwt', token: 'garbage' }), 'malformed')
  t.equal(await present(authenticator, session), 'malformed')
  t.equal(asked.length, 0)
  t.match(await present(authenticator, jwtUntil(clock.now() + 1)), { mode: 'jwt' })
})

/** Answers once, in whatever way. */
const always = (answer: Principal | FailureCode | Error | undefined): Authenticator & { asked: number } => ({
  asked: 0,
  authenticate() {
    this.asked++
    if (answer === undefined) return rejected('unknown')
    if (typeof answer === 'string') throw new PosternError(answer)
    if (answer instanceof Error) return Promise.reject(answer)
    return authenticated(answer)
  },
})

const guest: Principal = Object.freeze({
  mode: 'session',
  owner,
  grant: Object.freeze({ kind: 'known', scopes }),
  expiresAt: undefined,
  tokenId: undefined,
  deviceId: undefined,
})

t.test('what could not be checked is checked a step below, and nothing else is', async (t) => {
  for (const [first, reached] of [
    ['could_not_check', true],
    [new PosternError('could_not_check'), true],
    ['question_refused', false],
    [new PosternError('question_refused'), false],
    ['upstream_unreachable', false],
    [new TypeError('a mistake of ours'), false],
    [undefined, false],
    [guest, false],
  ] as const) {
    const below = always(guest)
    const outcome = present(fallback(always(first), below), session)
    if (first === undefined) t.equal(await outcome, 'unknown', 'a refusal is an answer')
    else if (reached || first === guest) t.equal(await outcome, guest)
    else await t.rejects(outcome)
    t.equal(below.asked, reached ? 1 : 0)
  }
  const below = always(undefined)
  t.equal(await present(fallback(always('could_not_check'), below), session), 'unknown')
  await t.rejects(present(fallback(always('could_not_check'), always('could_not_check')), session), {
    code: 'could_not_check',
  })
})

t.test('each kind of credential goes to its own authenticator', async (t) => {
  const other = always('internal')
  const mine = byKind({ session: always(guest), basic: other, jwt: other, token: other })
  t.equal(await present(mine, session), guest)
  t.equal(await present(mine, { kind: 'malformed', why: 'test' }), 'malformed')
  t.equal(other.asked, 0)
  t.equal(await present(only('session', always(guest)), session), guest)
  t.equal(await present(only('session', always(guest)), token), 'malformed')
})

t.test('a scope brings what it implies, directly and through others, where it is known', async (t) => {
  const implications = {
    'notes.write': ['notes.read', 'notes.list'],
    'notes.list': ['me.read'],
    x: ['users.write'],
  }
  const wide = withImplied(always(guest), implications)
  const principal = await present(wide, session)
  t.same(scopesOf(principal), ['me.read', 'notes.list', 'notes.read', 'notes.write'])
  t.equal(await present(wide, session), principal, 'and stays one principal')
  t.same(scopesOf(guest), ['notes.read', 'notes.write'])
  const deferred: Principal = { ...guest, grant: { kind: 'deferred' } }
  t.equal(await present(withImplied(always(deferred), implications), session), deferred)
  t.equal(await present(withImplied(always(undefined), implications), session), 'unknown')
  const inner = always(guest)
  t.equal(withImplied(inner, {}), inner)
  const round = { 'notes.read': ['notes.write'], 'notes.write': ['notes.read'] }
  t.same(scopesOf(await present(withImplied(always(guest), round), session)), ['notes.read', 'notes.write'])
})
