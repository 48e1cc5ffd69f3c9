import { hash } from '@node-rs/bcrypt'
import t from 'tap'
import { createBasicAuthenticator } from '../../src/authenticators/basic.ts'
import { createPasswordVerifier } from '../../src/authenticators/password.ts'
import { PosternError } from '../../src/errors.ts'
import { People, told, user } from '../authenticators/people.ts'
import { freshLadder } from '../gateway/support.ts'
import { attemptsOf } from '../support/attempts.ts'
import { virtualClock } from '../support/clock.ts'
import { as, type Answer } from '../support/romm/ask.ts'
import { signJwt } from '../support/romm/jwt.ts'
import {
  ATTACKER,
  basicOf,
  HOME,
  PACE,
  PASSWORD,
  stage,
  statuses,
  times,
  unknownToken,
  WINDOW,
} from './guessing.ts'

/**
 * Guessing: unlimited at the backend itself, whose own limits trust the left-most X-Forwarded-For; user names told by
 * timing (CVE-2026-32595); lockouts by alias (CVE-2025-24806); limiters that lock everybody behind one proxy.
 */
const ladder = await freshLadder(t)
t.test('passwords of one user are guessed slowly, under whatever spelling of the name', async (t) => {
  const { basic, from, clock } = await stage(t, ladder)
  t.same(await basic(HOME, ['vera', PASSWORD]), [200])
  const spellings = await basic(ATTACKER, ['vera', 'a'], ['VERA', 'b'], ['Vera', 'c'], ['vErA', 'd'])
  t.same(spellings, times(4, 401), 'three, and the first of those that are looked at now and then')
  const refusal = await from(ATTACKER, basicOf('veRA', 'e'))
  t.equal(refusal.status, 429)
  t.match(refusal.headers, { 'retry-after': '20', 'postern-reason': 'too_many_attempts' })
  t.match(JSON.parse(refusal.text), { detail: /Too many/, reason: 'too_many_attempts' })
  t.same(await basic(ATTACKER, ['edith', 'a']), [401], 'another user is another matter')

  t.same(await basic(HOME, ['vera', PASSWORD], ['VERA', PASSWORD]), [200, 200], 'nobody is locked out')
  t.same(await basic(ATTACKER, ['vera', PASSWORD]), [200], 'what is known to be good passes anywhere')
  clock.advance(PACE)
  t.same(await basic(ATTACKER, ['vera', 'f'], ['vera', 'g']), [401, 429], 'one in twenty seconds')
  clock.advance(WINDOW)
  t.same(await basic(ATTACKER, ['vera', 'h'], ['vera', 'i'], ['vera', 'j']), times(3, 401))
})

t.test('a right password that nobody has verified yet gets its turn', async (t) => {
  const { basic, clock } = await stage(t, ladder)
  await basic(ATTACKER, ['vera', 'a'], ['vera', 'b'], ['vera', 'c'], ['vera', 'd'])
  t.same(await basic(ATTACKER, ['vera', PASSWORD]), [429])
  clock.advance(PACE)
  t.same(await basic(ATTACKER, ['vera', PASSWORD]), [200])
  t.same(await basic(ATTACKER, ['vera', PASSWORD]), [200], 'it is known from now on')
})

t.test('a name that leads to nobody is limited like one that leads to somebody', async (t) => {
  const { basic } = await stage(t, ladder)
  const pairs = ['Nobody', 'nobody', 'NOBODY', 'nobody ', 'nobody'].map((name, i) => [name, `${i}`] as const)
  t.same(await basic(ATTACKER, ...pairs), [401, 401, 401, 401, 429])
})

t.test('known and unknown users cost as many runs of bcrypt, within the limit and beyond', async (t) => {
  const clock = virtualClock()
  const attempts = attemptsOf({ perUserAndAddress: 2 }, clock)
  let runs = 0
  const verify = createPasswordVerifier({
    attempts: {
      judge: (guess, look, isGood) => attempts.judge(guess, () => (runs++, look()), isGood),
    },
  })
  const people = new People(user('vera', { passwordHash: await hash('right', 4) }), user('olga'))
  const decoyHash = await hash('nobody knows', 4)
  const authenticator = createBasicAuthenticator({ users: people, verify, decoyHash, maxEntries: 10 })
  const costs = async (username: string): Promise<(number | string)[]> => {
    const seen: (number | string)[] = []
    for (const password of ['a', 'a', 'b', 'c', 'd']) {
      runs = 0
      const client = { address: ATTACKER, peer: '', scheme: 'http', host: '', forwardedFor: '' } as const
      const outcome = await told(
        authenticator.authenticate({ kind: 'basic', username, password }, client),
      ).catch((error: unknown) => error)
      seen.push(outcome instanceof PosternError ? outcome.code : runs)
    }
    return seen
  }
  const expected = [1, 0, 1, 1, 'too_many_attempts']
  t.same(await costs('vera'), expected)
  t.same(await costs('olga'), expected, 'no password')
  t.same(await costs('nobody'), expected)
})

t.test('an app that repeats one wrong password all day locks nobody, not even itself', async (t) => {
  const { basic, from } = await stage(t, ladder)
  t.same(await statuses(30, () => from(HOME, basicOf('vera', 'stale'))), times(30, 401))
  t.same(await basic(HOME, ['vera', PASSWORD]), [200])
})

t.test('where a user succeeded lately, others’ failures do not count for much', async (t) => {
  const { basic, from } = await stage(t, ladder, { 'attempts.perUserAndAddress': '1' })
  t.same(await basic(HOME, ['vera', PASSWORD]), [200])
  let guess = 0
  const wrong = (): Promise<Answer> => from(HOME, basicOf('vera', `guess ${guess++}`))
  t.same(await statuses(11, wrong), times(11, 401), 'ten times as many')
  t.equal((await wrong()).status, 429)
})

t.test('many addresses together are slowed down where the user is unknown, and only there', async (t) => {
  const { basic } = await stage(t, ladder, { 'attempts.perUser': '4' })
  t.same(await basic(HOME, ['vera', PASSWORD]), [200])
  const bots = Array.from({ length: 6 }, (_, i) => `203.0.113.${i}`)
  const seen: number[] = []
  for (const bot of bots) seen.push(...(await basic(bot, ['vera', `by ${bot}`])))
  t.same(seen, [401, 401, 401, 401, 401, 429])
  t.same(await basic(HOME, ['vera', 'mistyped'], ['vera', PASSWORD]), [401, 200])
})

t.test('a login is a guess of the same password, judged by RomM', async (t) => {
  const { from, standin, clock } = await stage(t, ladder)
  const login = (name: string, password: string): Promise<Answer> =>
    from(ATTACKER, basicOf(name, password), '/api/login', 'POST')
  t.equal((await login('vera', 'a')).status, 401)
  t.equal((await from(ATTACKER, basicOf('VERA', 'b'))).status, 401)
  t.equal((await login('Vera', 'c')).status, 401)
  t.equal((await login('vera', 'd')).status, 401, 'its turn')
  standin.forget()
  t.equal((await login('vera', 'e')).status, 429)
  t.equal((await from(ATTACKER, basicOf('vera', 'e'))).status, 429)
  t.equal(standin.requests.length, 0, 'RomM does not hear of it')
  clock.advance(PACE)
  const signedIn = await login('vera', PASSWORD)
  t.equal(signedIn.status, 200)
  t.match(signedIn.headers['set-cookie']?.[0], /^romm_session=/)
  t.equal((await login('vera', PASSWORD)).status, 200, 'known to be good from now on')
})

t.test('logins at one moment are counted before RomM answers', async (t) => {
  const { from, standin } = await stage(t, ladder)
  const all = await Promise.all(
    Array.from({ length: 20 }, (_, i) => from(ATTACKER, basicOf('vera', `guess ${i}`), '/api/login', 'POST')),
  )
  t.equal(all.filter(({ status }) => status === 401).length, 4)
  t.equal(all.filter(({ status }) => status === 429).length, 16)
  t.equal(standin.requests.filter(({ target }) => target === '/api/login').length, 4)
})

for (const [method, path, status] of [
  ['POST', '/api/token', 401],
  ['POST', '/api/client-tokens/exchange', 404],
  ['POST', '/api/reset-password', 400],
  ['POST', '/api/users/register', 400],
] as const) {
  t.test(`${method} ${path} takes so many secrets from one address`, async (t) => {
    const { from, standin } = await stage(t, ladder)
    standin.intercept = ({ url }, response) => {
      if (url !== path) return false
      response.writeHead(status).end()
      return true
    }
    const guess = (): Promise<Answer> => from(ATTACKER, {}, path, method)
    // Ten times as many as where repetitions can be told, and one whose turn it is.
    t.same(await statuses(121, guess), times(121, status))
    t.equal((await guess()).status, 429)
    t.equal((await from(HOME, {}, path, method)).status, status)
    t.equal((await from(ATTACKER, as('rmm vera all'))).status, 200)
  })
}

t.test('pairing codes cannot be tried one after the other; waiting on one costs nothing', async (t) => {
  const { from, standin } = await stage(t, ladder)
  standin.intercept = ({ url = '' }, response) => {
    if (!url.startsWith('/api/client-tokens/pair/')) return false
    response.writeHead(url.includes('/GOOD') ? 200 : 404).end()
    return true
  }
  const status = (code: string): Promise<Answer> =>
    from(ATTACKER, {}, `/api/client-tokens/pair/${code}/status`)
  t.same(await statuses(40, () => status('GOOD2345')), times(40, 200))
  t.same(await statuses(40, () => status('DEAD2345')), times(40, 404), 'over, and asked again and again')
  let code = 2000
  t.same(await statuses(12, () => status(`AAAA${code++}`)), times(12, 404))
  t.equal((await status('AAAA9999')).status, 429)
})

t.test(
  'unknown tokens and bad signatures are refused with a time to wait; good ones never are',
  async (t) => {
    const { from } = await stage(t, ladder)
    t.same(await statuses(12, () => from(ATTACKER, unknownToken())), times(12, 401))
    const refusal = await from(ATTACKER, unknownToken())
    t.equal(refusal.status, 429)
    t.ok(Number(refusal.headers['retry-after']) > 800)
    const forged = signJwt(
      { sub: 'vera', iss: 'romm:oauth', scopes: 'roms.read', type: 'access', exp: 9e9 },
      'x',
    )
    t.equal((await from(ATTACKER, { authorization: `Bearer ${forged}` })).status, 429)
    t.equal((await from(ATTACKER, { cookie: 'romm_session=made-up' })).status, 429)
    t.equal((await from(ATTACKER, { authorization: 'Bearer rmm_junk' })).status, 429)
    for (const name of ['rmm vera all', 'jwt vera all', 'session vera'])
      t.equal((await from(ATTACKER, as(name))).status, 200, `${name}, for the first time`)
    t.equal((await from(ATTACKER, unknownToken(), '/api/heartbeat')).status, 200, 'open routes stay open')
    t.equal((await from(ATTACKER, unknownToken(), '/-/postern/me')).status, 429)
    t.equal((await from(HOME, unknownToken())).status, 401)
  },
)

t.test('an app that repeats a dead token all day is told 401 all day, and counts once', async (t) => {
  const { from } = await stage(t, ladder)
  const stale = unknownToken()
  t.same(await statuses(40, () => from(HOME, stale)), times(40, 401))
  t.same(await statuses(11, () => from(HOME, unknownToken())), times(11, 401))
  t.equal((await from(HOME, unknownToken())).status, 429)
  t.equal((await from(HOME, stale)).status, 401)
})

t.test('one /64 is one client', async (t) => {
  const { basic } = await stage(t, ladder)
  const pairs = Array.from({ length: 5 }, (_, i) => [`2001:db8::${i}`, `guess ${i}`] as const)
  const seen: number[] = []
  for (const [address, password] of pairs) seen.push(...(await basic(address, ['vera', password])))
  t.same(seen, [401, 401, 401, 401, 429])
  t.same(await basic('2001:db8:0:1::1', ['vera', 'guess']), [401])
})

t.test('a proxy that nobody trusts stands for many', async (t) => {
  const { from } = await stage(t, ladder, { trustedProxies: '', 'attempts.perAddress': '2' })
  t.same(await statuses(40, () => from(HOME, unknownToken())), times(40, 401), 'twenty times as many')
  t.equal((await from(HOME, unknownToken())).status, 429)
  t.equal((await from(HOME, as('rmm vera all'))).status, 200)
})

t.test('beyond the limit a concealed route still looks like none', async (t) => {
  const { from, basic } = await stage(
    t,
    ladder,
    {},
    'rules:\n  - path: /api/roms\n    authenticated: true\n    conceal: true\n',
  )
  await statuses(14, () => from(ATTACKER, unknownToken(), '/api/platforms'))
  await basic(ATTACKER, ['vera', 'a'], ['vera', 'b'], ['vera', 'c'], ['vera', 'd'], ['vera', 'e'])
  for (const headers of [unknownToken(), basicOf('vera', 'f')]) {
    const answer = await from(ATTACKER, headers)
    t.equal(answer.status, 404)
    t.equal(answer.text, '{"detail":"Not Found"}')
    t.equal(answer.headers['retry-after'], undefined)
  }
})
