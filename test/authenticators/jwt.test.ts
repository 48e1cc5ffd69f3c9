import { createHmac, generateKeyPairSync, sign as signWith } from 'node:crypto'
import t from 'tap'
import { createJwtAuthenticator, createJwtVerifier } from '../../src/authenticators/jwt.ts'
import { PosternError } from '../../src/errors.ts'
import { ScopeSet } from '../../src/identity/scope.ts'
import { readAccessClaims } from '../../src/profiles/romm/access.ts'
import { virtualClock } from '../support/clock.ts'
import { client, People, scopesOf, told, user, tiesTo } from './people.ts'

const SECRET = 'the secret that signs'
const HEADER = { typ: 'JWT', alg: 'HS256' }

type Json = Readonly<Record<string, unknown>>

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const hmac = (hash: string, text: string, secret: string): string =>
  createHmac(hash, secret).update(text).digest('base64url')

function sign(claims: unknown, header: Json = HEADER, secret = SECRET, hash = 'sha256'): string {
  const text = `${part(header)}.${part(claims)}`
  return `${text}.${hmac(hash, text, secret)}`
}

/** The same bytes, spelt with other last bits: the 43rd character of 32 bytes has two bits to spare. */
function strayed(token: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet.indexOf(token.at(-1) ?? '')
  return token.slice(0, -1) + (alphabet[last ^ 1] ?? '')
}

function stage(secret = SECRET) {
  const people = new People(user('vera'))
  const clock = virtualClock()
  let confirmed = 0
  let key: 'right' | 'doubtful' = 'right'
  const verifier = createJwtVerifier({
    secret,
    read: readAccessClaims,
    clock,
    maxEntries: 100,
    confirmKey() {
      confirmed++
      return key === 'right' ? Promise.resolve() : Promise.reject(new PosternError('could_not_check'))
    },
  })
  const ties = tiesTo(people, ({ id }) => id)
  const authenticator = createJwtAuthenticator(verifier, people, ties)
  const claims = {
    sub: 'vera',
    iss: 'romm:oauth',
    type: 'access',
    scopes: 'notes.read users.write',
    exp: clock.now() / 1_000 + 60,
  }
  return {
    people,
    clock,
    claims,
    present: (token: string) => told(authenticator.authenticate({ kind: 'jwt', token }, client)),
    authenticate: (token: string) => authenticator.authenticate({ kind: 'jwt', token }, client),
    doubt: () => void (key = 'doubtful'),
    confirmations: () => confirmed,
  }
}

t.test('an access token may do what it says and its user still may', async (t) => {
  const { people, present, authenticate, claims } = stage()
  const token = sign(claims)
  const principal = await present(token)
  t.match(principal, {
    mode: 'jwt',
    owner: { subject: 'id of vera', username: 'vera' },
    expiresAt: claims.exp * 1_000,
    tokenId: undefined,
  })
  t.same(scopesOf(principal), ['notes.read'])
  t.match(authenticate(token), { kind: 'authenticated', principal }, 'known: no promise, the same principal')
  people.change('vera', { scopes: ScopeSet.of(['users.write']) })
  t.same(scopesOf(await present(token)), ['users.write'])
  people.change('vera', { enabled: false })
  t.equal(await present(token), 'disabled_user')
  people.users.push(user('VERA'))
  t.equal(await present(token), 'ambiguous_user')
  people.users.length = 0
  t.equal(await present(token), 'unknown_user')
})

t.test('it is dead from the very moment on that it names, known or not', async (t) => {
  const { clock, present, claims } = stage()
  const token = sign(claims)
  t.match(await present(token), { mode: 'jwt' })
  clock.jump(59_999)
  t.match(await present(token), { mode: 'jwt' })
  t.match(await present(sign({ ...claims, jti: 'another' })), { mode: 'jwt' })
  clock.jump(1)
  t.equal(await present(token), 'expired')
  t.equal(await present(sign({ ...claims, jti: 'a third' })), 'expired')
})

t.test('what RomM accepts', async (t) => {
  const { present, claims } = stage()
  const accepted: Record<string, string> = {
    'exp as a fraction': sign({ ...claims, exp: claims.exp + 0.5 }),
    'sub in any case': sign({ ...claims, sub: 'VERA' }),
    'nbf in the future': sign({ ...claims, nbf: claims.exp + 1_000 }),
    'iat in the future': sign({ ...claims, iat: claims.exp + 1_000 }),
    'any aud': sign({ ...claims, aud: 'elsewhere' }),
    'no typ': sign(claims, { alg: 'HS256' }),
    'no scopes': sign({ ...claims, scopes: '' }),
    'spaces between scopes': sign({ ...claims, scopes: ' notes.read  me.read ' }),
  }
  for (const [name, token] of Object.entries(accepted)) t.match(await present(token), { mode: 'jwt' }, name)
  t.same(scopesOf(await present(accepted['no scopes'] ?? '')), [])
  const short = stage('x')
  t.match(await short.present(sign(claims, HEADER, 'x')), { mode: 'jwt' }, 'RomM takes a short secret too')
})

t.test('what nobody accepts', async (t) => {
  const { present, claims } = stage()
  const good = sign(claims)
  const [header = '', payload = '', signature = ''] = good.split('.')
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 })
  const pem = publicKey.export({ type: 'spki', format: 'pem' })
  const rsaText = `${part({ ...HEADER, alg: 'RS256' })}.${part(claims)}`
  const jwk = { kty: 'oct', k: Buffer.from('evil').toString('base64url') }
  const without = (name: keyof typeof claims): Json =>
    Object.fromEntries(Object.entries(claims).filter(([key]) => key !== name))
  const bad: Record<string, string> = {
    'alg none': `${part({ alg: 'none' })}.${payload}.`,
    'alg none, with the signature': `${part({ alg: 'none' })}.${payload}.${signature}`,
    'alg None': sign(claims, { alg: 'None' }),
    'alg HS384': sign(claims, { alg: 'HS384' }, SECRET, 'sha384'),
    'alg HS512': sign(claims, { alg: 'HS512' }, SECRET, 'sha512'),
    'alg hs256': sign(claims, { alg: 'hs256' }),
    'no alg': sign(claims, { typ: 'JWT' }),
    'alg RS256': `${rsaText}.${signWith('sha256', Buffer.from(rsaText), privateKey).toString('base64url')}`,
    'a public key as the secret': sign(claims, HEADER, pem),
    'another key': sign(claims, HEADER, 'another'),
    'an empty key': sign(claims, HEADER, ''),
    'its own key as jwk': sign(claims, { ...HEADER, jwk }, 'evil'),
    'its own key by kid': sign(claims, { ...HEADER, kid: '../../dev/null' }, ''),
    'its own key by jku': sign(claims, { ...HEADER, jku: 'http://127.0.0.1:1/' }, 'evil'),
    'its own key by x5u': sign(claims, { ...HEADER, x5u: 'http://127.0.0.1:1/' }, 'evil'),
    'an extension that must be understood': sign(claims, { ...HEADER, crit: ['x'], x: 1 }),
    'a refresh token': sign({ ...claims, type: 'refresh' }),
    'an invite': sign({ ...without('iss'), type: 'invite' }),
    'another issuer': sign({ ...claims, iss: 'romm:auth' }),
    'no issuer': sign(without('iss')),
    'no type': sign(without('type')),
    'no expiry': sign(without('exp')),
    'exp as text': sign({ ...claims, exp: String(claims.exp) }),
    'exp null': sign({ ...claims, exp: null }),
    'exp without end': `${header}.${Buffer.from(`{"sub":"vera","iss":"romm:oauth","type":"access","scopes":"","exp":1e999}`).toString('base64url')}.${signature}`,
    'exp now': sign({ ...claims, exp: claims.exp - 60 }),
    'exp past': sign({ ...claims, exp: 1 }),
    'no sub': sign(without('sub')),
    'an empty sub': sign({ ...claims, sub: '' }),
    'sub as a number': sign({ ...claims, sub: 1 }),
    'scopes as a list': sign({ ...claims, scopes: ['notes.read'] }),
    'scopes null': sign({ ...claims, scopes: null }),
    'no scopes claim': sign(without('scopes')),
    'other claims under the signature': `${header}.${part({ ...claims, scopes: 'me.read' })}.${signature}`,
    'another header over the signature': `${part({ alg: 'HS256', typ: 'JWT' })}.${payload}.${signature}`,
    'a dot at the end': `${good}.`,
    'a dot before': `.${good}`,
    'two parts': `${header}.${payload}`,
    'no signature': `${header}.${payload}.`,
    'a signature cut off': good.slice(0, -2),
    'padding at the end': `${good}=`,
    'stray last bits': strayed(good),
    'an unencoded payload (RFC 7797)': sign(claims, { ...HEADER, crit: ['b64'], b64: false }),
    'padding within': `${header}.${payload}=.${signature}`,
    'a list': sign([claims]),
    text: sign('vera'),
    null: sign(null),
    'no JSON': `${header}.${Buffer.from('{').toString('base64url')}.${signature}`,
    empty: '',
    dots: '..',
    'a huge one': `${header}.${'A'.repeat(100_000)}.${signature}`,
    'a thousand dots': '.'.repeat(1_000),
  }
  for (const [name, token] of Object.entries(bad)) t.type(await present(token), 'string', name)
  t.match(await present(good), { mode: 'jwt' })
})

t.test('a signature is held against a token only when the key is known to be right', async (t) => {
  const { present, claims, doubt, confirmations } = stage()
  const forged = sign(claims, HEADER, 'another')
  t.equal(await present(forged), 'bad_signature')
  t.equal(await present(sign({ ...claims, exp: 1 }, HEADER, 'another')), 'expired')
  t.equal(confirmations(), 1, 'what is dead anyhow costs no question')
  doubt()
  await t.rejects(present(forged), { code: 'could_not_check' })
  t.match(await present(sign(claims)), { mode: 'jwt' })
})

t.test('an access token of a name that changed hands is nobody any longer', async (t) => {
  const { people, claims, present } = stage()
  const token = sign(claims)
  t.match(await present(token), { owner: { subject: 'id of vera' } })
  people.users.length = 0
  t.equal(await present(token), 'unknown_user')
  people.users.push(user('vera', { id: 'another' }))
  t.equal(await present(token), 'revoked')
  t.match(await present(sign({ ...claims, exp: claims.exp + 1 })), { owner: { subject: 'another' } })
  people.change('vera', { passwordHash: 'new' })
  t.equal(await present(token), 'revoked')
})
