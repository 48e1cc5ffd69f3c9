/** Tokens that are none, and passwords. Everything is checked here: the backend is not even asked. */
import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { hash } from '@node-rs/bcrypt'
import t from 'tap'
import { fixture, freshLadder, lines } from '../gateway/support.ts'
import { execute } from '../support/database.ts'
import { as, ask as plainly } from '../support/romm/ask.ts'
import { asserted, bare, basic, cameOf, received, stage } from './support.ts'

const ladder = await freshLadder(t)
// It signs its CSRF cookie, which proves the secret: what does not verify is then refused here.
const { ask, standin, gateway } = await stage(t, { standin: { csrf: true }, settings: ladder.settings })
const BAD = '401 invalid_credential'

/** Nobody may be sent to fetch a key from here. */
const server = createServer(() => fetched++)
let fetched = 0
await once(server.listen(0, '127.0.0.1'), 'listening')
t.teardown(() => server.close())
// A TCP server that listens has an address of this type.
const keyUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/key`

const CLAIMS = {
  sub: 'admin',
  iss: 'romm:oauth',
  scopes: 'users.read me.read roms.read',
  type: 'access',
  exp: 4e9,
}
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const signed = (
  header: object,
  claims: object,
  secret: string | Buffer = fixture.secret,
  digest = 'sha256',
): string => {
  const text = `${encode({ typ: 'JWT', alg: 'HS256', ...header })}.${encode(claims)}`
  return `${text}.${createHmac(digest, secret).update(text).digest('base64url')}`
}
const good = signed({}, CLAIMS)
const [head = '', middle = '', end = ''] = good.split('.')
const without = (claim: string): object =>
  Object.fromEntries(Object.entries(CLAIMS).filter(([name]) => name !== claim))

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const byOwnKey = (header: object): string => {
  const text = `${encode({ typ: 'JWT', alg: 'RS256', ...header })}.${encode(CLAIMS)}`
  return `${text}.${sign('sha256', Buffer.from(text), privateKey).toString('base64url')}`
}
const jwk = publicKey.export({ format: 'jwk' })
const oct = { kty: 'oct', k: Buffer.from('mine').toString('base64url') }
const [ours = {}] = (
  JSON.parse((await plainly(gateway.port, '/.well-known/postern/jwks.json')).text) as { keys: object[] }
).keys
const assertion =
  received(await ask(t, '/api/roms', lines(as('rmm admin all'))), /^x-postern-assertion$/i)[0] ?? ''

const FORGED: Readonly<Record<string, string>> = {
  'alg: none': `${encode({ typ: 'JWT', alg: 'none' })}.${middle}.`,
  'alg: none with a signature': `${encode({ alg: 'none' })}.${middle}.${end}`,
  'alg: nOnE': `${encode({ alg: 'nOnE' })}.${middle}.`,
  'no alg': `${encode({ typ: 'JWT' })}.${middle}.${end}`,
  'alg as a list': `${encode({ alg: ['HS256', 'none'] })}.${middle}.${end}`,
  'HS256 with the public key that we show': signed({}, CLAIMS, JSON.stringify(ours)),
  'HS256 with a public key in PEM': signed({}, CLAIMS, publicKey.export({ type: 'spki', format: 'pem' })),
  'HS256 with an empty key': signed({}, CLAIMS, ''),
  'HS384 with the right key': signed({ alg: 'HS384' }, CLAIMS, fixture.secret, 'sha384'),
  'HS512 with the right key': signed({ alg: 'HS512' }, CLAIMS, fixture.secret, 'sha512'),
  'RS256 with a key of its own in jwk': byOwnKey({ jwk }),
  'RS256 with jku': byOwnKey({ jku: keyUrl, kid: 'x' }),
  'RS256 with x5u and x5c': byOwnKey({ x5u: keyUrl, x5c: ['AAAA'] }),
  'HS256 with a key of its own in jwk': signed({ jwk: oct }, CLAIMS, 'mine'),
  'HS256 with jku': signed({ jku: keyUrl }, CLAIMS, 'mine'),
  'kid as a path to an empty file': signed({ kid: '../../../../dev/null' }, CLAIMS, ''),
  'kid as SQL': signed({ kid: "x' union select 'mine" }, CLAIMS, 'mine'),
  'crit with the right key': signed({ crit: ['exp'] }, CLAIMS),
  'crit and b64: false': signed({ crit: ['b64'], b64: false }, CLAIMS),
  'another signature': signed({}, CLAIMS, 'another secret'),
  'no signature': `${head}.${middle}.`,
  'two parts': `${head}.${middle}`,
  'four parts': `${good}.x`,
  'a padded signature': `${good}=`,
  'stray bits in the signature': `${good.slice(0, -1)}${end.endsWith('A') ? 'B' : 'A'}`,
  'other claims under its signature': `${head}.${encode({ ...CLAIMS, scopes: 'users.write' })}.${end}`,
  'a refresh token as access token': signed({}, { ...CLAIMS, type: 'refresh', jti: 'x' }),
  'an invitation as access token': signed({}, { ...without('iss'), type: 'invite' }),
  'no type': signed({}, without('type')),
  'no issuer': signed({}, without('iss')),
  'another issuer': signed({}, { ...CLAIMS, iss: 'romm:auth' }),
  'no exp': signed({}, without('exp')),
  'exp as text': signed({}, { ...CLAIMS, exp: '4000000000' }),
  'exp: null': signed({}, { ...CLAIMS, exp: null }),
  'exp that is past': signed({}, { ...CLAIMS, exp: 1 }),
  'exp that is negative': signed({}, { ...CLAIMS, exp: -1 }),
  'no sub': signed({}, without('sub')),
  'an empty sub': signed({}, { ...CLAIMS, sub: '' }),
  'sub as a number': signed({}, { ...CLAIMS, sub: 1 }),
  'sub as a list': signed({}, { ...CLAIMS, sub: ['admin'] }),
  'sub as SQL': signed({}, { ...CLAIMS, sub: "x' or '1'='1" }),
  'scopes as a list': signed({}, { ...CLAIMS, scopes: ['users.read'] }),
  'claims that are a list': signed({}, [CLAIMS]),
  'our own assertion': assertion,
  'an encrypted one': `${encode({ alg: 'dir', enc: 'A256GCM' })}..AAAA.AAAA.AAAA`,
}

t.test('the token that all of these are made from is good', async (t) => {
  const outcome = await ask(t, '/api/users', [`Authorization: Bearer ${good}`])
  cameOf(t, outcome, '> /api/users')
  t.match(asserted(outcome), { sub: '1', mode: 'jwt' })
})

for (const [what, token] of Object.entries(FORGED)) {
  t.test(`${what}: refused, and sent on nowhere`, async (t) => {
    for (const scheme of ['Bearer', 'bearer']) {
      const line = [`Authorization: ${scheme} ${token}`]
      cameOf(t, await ask(t, '/api/users', line), BAD)
      const open = await ask(t, '/api/heartbeat', line)
      cameOf(t, open, '> /api/heartbeat')
      t.same(received(open, /authorization|postern/i), [])
    }
    t.equal(standin.questions, 0)
  })
}

t.test('nobody was sent to fetch a key', async (t) => t.equal(fetched, 0))

t.test('scopes that a token claims count as far as its user has them', async (t) => {
  const claims = { ...CLAIMS, sub: 'vera', scopes: 'users.read roms.read users.write * admin' }
  const line = [`Authorization: Bearer ${signed({}, claims)}`]
  cameOf(t, await ask(t, '/api/users', line), '403 insufficient_scope')
  const outcome = await ask(t, '/api/roms', line)
  t.equal(asserted(outcome)?.['scope'], 'roms.read')
})

t.test('unknown, known, disabled and OIDC users are refused alike (CVE-2026-32595)', async (t) => {
  await execute(ladder.database, [
    "update users set hashed_password = '5f0c6a3e-0000-4000-8000-000000000000' where id = 5",
  ])
  const answers = new Set<string>()
  for (const name of ['admin', 'nobody', 'dora', 'olga', 'ovid', '', 'a'.repeat(300)]) {
    const { answer, said } = await ask(t, '/api/roms', [basic(`${name}:wrong`)])
    t.equal(said, BAD, name)
    const id = answer.one('x-request-id') ?? ''
    answers.add(`${answer.head}\n${answer.body}`.replaceAll(id, '').replace(/^date: .*$/im, ''))
  }
  t.equal(answers.size, 1, 'to the byte, less the id')
  t.equal(
    (await ask(t, '/api/roms', [basic('dora:pw-dora-1234')])).said,
    BAD,
    'a disabled user’s own password',
  )
})

t.test('passwords of more than 72 bytes', async (t) => {
  const long = 'x'.repeat(71)
  await execute(ladder.database, [
    `update users set hashed_password = '${await hash(`${long}yz`, 4)}' where id = 3`,
  ])
  cameOf(t, await ask(t, '/api/roms', [basic(`edith:${long}yz`)]), '> /api/roms')
  t.equal((await ask(t, '/api/roms', [basic(`edith:${long}zz`)])).said, BAD, 'what bcrypt reads is compared')
  t.equal((await ask(t, '/api/roms', [basic(`edith:${long}`)])).said, BAD)
  t.equal((await ask(t, '/api/roms', [basic(`edith:${long}\0z`)])).said, BAD)
  // A key made of name and password and cut at 72 bytes would take any password behind a long name.
  const name = 'n'.repeat(80)
  await execute(ladder.database, [`update users set username = '${name}' where id = 3`])
  const fresh = await stage(t, { before: standin, settings: ladder.settings })
  cameOf(t, await fresh.ask(t, '/api/roms', [basic(`${name}:${long}yz`)]), '> /api/roms')
  t.equal((await fresh.ask(t, '/api/roms', [basic(`${name}:anything else`)])).said, BAD)
})

t.test('client tokens in another spelling', async (t) => {
  const token = bare('rmm admin all')
  for (const spelt of [
    token.toUpperCase(),
    token.replace('rmm_', 'RMM_'),
    `${token}0`,
    token.slice(0, -1),
    `${token}%00`,
    `"${token}"`,
  ]) {
    cameOf(t, await ask(t, '/api/users', [`Authorization: Bearer ${spelt}`]), BAD)
  }
  for (const scheme of ['Token', 'Basic', 'ApiKey', 'JWT']) {
    t.match((await ask(t, '/api/users', [`Authorization: ${scheme} ${token}`])).said, /^401/)
  }
  cameOf(t, await ask(t, `/api/users?token=${token}&access_token=${token}`), '401 no_credential')
  cameOf(t, await ask(t, '/api/users', [`Cookie: romm_session=${token}`]), BAD)
  cameOf(t, await ask(t, '/api/users', [basic(`vera:${token}`)]), BAD)
})
