import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import t from 'tap'
import type { Credential } from '../../../src/identity/credential.ts'
import { decodeBase64 } from '../../../src/profiles/romm/base64.ts'
import { strip } from '../../../src/profiles/romm/cookies.ts'
import { rommCarrier } from '../../../src/profiles/romm/credentials.ts'
import { decodeBase64 as decodeAsPython } from '../../support/romm/python.ts'

const TOKEN = `rmm_${'0123456789abcdef'.repeat(4)}`
const ID = '6f9c1a52-0b7e-4a41-9d0c-1f2e3d4c5b6a'

const hexOf = (bytes: string | undefined): string | null =>
  bytes === undefined ? null : Buffer.from(bytes, 'latin1').toString('hex')
const basic = (text: string): string => Buffer.from(text, 'latin1').toString('base64')

/** A credential in a few words. */
function words(credential: Credential | undefined): string {
  switch (credential?.kind) {
    case undefined:
      return 'none'
    case 'session':
      return `session ${credential.id}`
    case 'basic':
      return `basic ${credential.username}:${credential.password}`
    case 'jwt':
      return `jwt ${credential.token}`
    case 'token':
      return credential.ownerName === undefined ? 'token' : `token of ${credential.ownerName}`
    case 'malformed':
      return 'malformed'
  }
}

function ofCookies(...cookies: string[]): string {
  const presented = rommCarrier.read(cookies.flatMap((cookie) => ['Cookie', cookie]))
  return presented === 'several' ? presented : words(presented.ambient)
}

function ofAuthorization(...values: string[]): string {
  const presented = rommCarrier.read(values.flatMap((value) => ['Authorization', value]))
  return presented === 'several' ? presented : words(presented.explicit)
}

t.test('a session is found in every spelling in which RomM finds one', async (t) => {
  const found = [
    ...[
      `romm_session=${ID}`,
      ` romm_session = ${ID} `,
      `a=1; romm_session=${ID}`,
      `a=1;romm_session=${ID};b=2`,
    ],
    ...[
      `romm_session="${ID}"`,
      `romm_session="\\066f9c1a52-0b7e-4a41-9d0c-1f2e3d4c5b6a"`,
      `romm_session="\\${ID}"`,
    ],
    ...[
      `\tromm_session\t=\t${ID}\t`,
      `\u00a0romm_session\u00a0=\u00a0${ID}\u00a0`,
      `\u001fromm_session\u0085=${ID}`,
    ],
    ...[
      `junk; ;;; romm_session=${ID}`,
      `romm_session=old; romm_session=${ID}`,
      `"romm_session"=x; romm_session=${ID}`,
    ],
  ]
  for (const cookie of found) t.equal(ofCookies(cookie), `session ${ID}`, JSON.stringify(cookie))
})

t.test('the last of several session cookies counts, over all Cookie headers', async (t) => {
  t.equal(ofCookies('romm_session=one; romm_session=two'), 'session two')
  t.equal(ofCookies('romm_session=one', 'a=b', 'romm_session=two; c=d'), 'session two')
  t.equal(ofCookies('romm_session=one', 'romm_session='), 'none', 'an empty one too')
  t.equal(ofCookies('romm_session=one', 'romm_session="a b"'), 'malformed')
})

t.test('what is no session cookie to RomM is none', async (t) => {
  const none = [
    ...[
      '',
      'a=b',
      'romm_session',
      'ROMM_SESSION=x',
      'Romm_Session=x',
      '"romm_session"=x',
      'romm_session2=x',
      'romm_session=',
    ],
    ...[
      'x=romm_session=y',
      'romm session=x',
      'romm_session=""',
      '=romm_session',
      'a=b romm_session=x',
      'romm_session\u00ad=x',
    ],
  ]
  for (const cookie of none) t.equal(ofCookies(cookie), 'none', JSON.stringify(cookie))
  t.equal(ofCookies(), 'none')
})

t.test('a value that no id has is rejected, and never looked up', async (t) => {
  const odd = [
    ...[
      'a b',
      '"a;b',
      'a"b',
      '"a b"',
      '../x',
      'a:b',
      'é',
      'a*',
      '"\\012"',
      '"\\000"',
      '"\\377"',
      '\\141',
      'x'.repeat(129),
    ],
    ...['%41', 'a,b', 'a\u0000'],
  ]
  for (const value of odd) t.equal(ofCookies(`romm_session=${value}`), 'malformed', JSON.stringify(value))
})

t.test('Bearer is read through any white space, without case', async (t) => {
  const read = [
    ...[
      'Bearer a.b.c',
      'bearer a.b.c',
      'BEARER a.b.c',
      'Bearer   a.b.c',
      'Bearer\ta.b.c',
      'Bearer\u00a0a.b.c',
    ],
    ...[' Bearer a.b.c ', '\u00a0Bearer\u0085a.b.c\u00a0'],
  ]
  for (const value of read) t.equal(ofAuthorization(value), 'jwt a.b.c', JSON.stringify(value))
})

t.test('a client token is one by its prefix, and is exact', async (t) => {
  t.equal(ofAuthorization(`Bearer ${TOKEN}`), 'token')
  for (const wrong of [
    'rmm_',
    `${TOKEN}0`,
    TOKEN.slice(0, -1),
    `rmm_${'A'.repeat(64)}`,
    `${TOKEN}=`,
    `${TOKEN}\u00e9`,
  ]) {
    t.equal(ofAuthorization(`Bearer ${wrong}`), 'malformed', wrong)
  }
  t.equal(
    ofAuthorization(`Bearer RMM_${'a'.repeat(64)}`),
    `jwt RMM_${'a'.repeat(64)}`,
    'the prefix has a case',
  )
})

t.test('an Authorization that is not two words is rejected, not overlooked', async (t) => {
  for (const value of [
    'Bearer',
    'Basic',
    'Bearer a b',
    'Basic a b',
    'x',
    `Digest a="1", b="2"`,
    '\u00a0',
    'Bearer é',
  ]) {
    t.equal(ofAuthorization(value), 'malformed', JSON.stringify(value))
  }
})

t.test('an empty Authorization, and a scheme that RomM does not know, are no credential', async (t) => {
  for (const value of ['', 'Digest x', 'Negotiate YII=', 'Token x', 'ApiKey x', 'Basic: x', 'Bearer, x']) {
    t.equal(ofAuthorization(value), 'none', value)
  }
  t.equal(ofAuthorization(), 'none')
})

t.test('several Authorization headers are refused, even the same, even empty (CVE-2021-32777)', async (t) => {
  t.equal(ofAuthorization('Bearer a', 'Bearer a'), 'several')
  t.equal(ofAuthorization('Bearer a', ''), 'several')
  t.equal(rommCarrier.read(['authorization', 'Bearer a', 'AUTHORIZATION', 'Basic b']), 'several')
})

t.test('Basic is read as RomM reads it', async (t) => {
  t.equal(ofAuthorization(`Basic ${basic('vera:pass')}`), 'basic vera:pass')
  t.equal(ofAuthorization(`bAsIc   ${basic('vera:pass')}`), 'basic vera:pass')
  t.equal(ofAuthorization(`Basic ${basic('vera:pa:ss:')}`), 'basic vera:pa:ss:', 'the first colon divides')
  t.equal(ofAuthorization(`Basic ${basic(':')}`), 'basic :')
  t.equal(ofAuthorization(`Basic ${basic(' vera : pass ')}`), 'basic  vera : pass ')
  t.equal(ofAuthorization('Basic dmVy.YTpw-YX_Nz'), 'basic vera:pass', 'signs that are no base64 are skipped')
  t.equal(ofAuthorization('Basic dmVyYTpwYXNzMQ=='), 'basic vera:pass1')
  t.equal(
    ofAuthorization('Basic dmVyYTpwYXNzMQ==Og=='),
    'basic vera:pass1',
    'what follows the padding is not there',
  )
})

t.test('Basic that crashes RomM is rejected', async (t) => {
  const wrong = [
    ...[
      'Basic dmVyYTpwYXNzMQ',
      'Basic !',
      'Basic dmVyYTpwYXNz\u00e9',
      `Basic ${basic('vera')}`,
      `Basic ${basic('v:\u0000')}`,
    ],
    ...[`Basic ${basic('v\u00e9ra:pass')}`, `Basic ${Buffer.from('véra:p').toString('base64')}`],
    ...[
      `Basic\t${basic('v:p')}`,
      `Basic\u00a0${basic('v:p')}`,
      `\u00a0Basic ${basic('v:p')}`,
      `Basic\u0085 ${basic('v:p')}`,
    ],
  ]
  for (const value of wrong) t.equal(ofAuthorization(value), 'malformed', JSON.stringify(value))
})

t.test("a client token as Basic's password is that token, with the name that must own it", async (t) => {
  t.equal(ofAuthorization(`Basic ${basic(`vera:${TOKEN}`)}`), 'token of vera')
  t.equal(ofAuthorization(`Basic ${basic(`:${TOKEN}`)}`), 'token of ')
  const almost = `rmm_${'A'.repeat(64)}`
  t.equal(
    ofAuthorization(`Basic ${basic(`vera:${almost}`)}`),
    `basic vera:${almost}`,
    'else it may be a password',
  )
  t.equal(ofAuthorization(`Basic ${basic(`${TOKEN}:x`)}`), `basic ${TOKEN}:x`)
})

t.test("base64 is decoded as Python's b64decode does", async (t) => {
  const cases: unknown = JSON.parse(readFileSync(join(import.meta.dirname, 'base64-cases.json'), 'utf8'))
  if (!Array.isArray(cases)) throw new Error('not a list')
  t.ok(cases.length > 50)
  for (const [text, hex] of cases as readonly (readonly [string, string | null])[]) {
    t.equal(hexOf(decodeBase64(text)), hex, JSON.stringify(text))
  }
})

t.test('base64 in its plain spelling is decoded as every other one is', async () => {
  const plain = fc.string({ unit: 'binary' }).map((text) => Buffer.from(text).toString('base64'))
  const noise = fc.string({ unit: fc.constantFrom(...'AQZaz09+/==-_ \t\n!'.split('')) })
  const property = fc.property(
    fc.oneof(
      plain,
      noise,
      fc.tuple(plain, noise, plain).map((parts) => parts.join('')),
    ),
    (text) => decodeBase64(text) === decodeAsPython(text)?.toString('latin1'),
  )
  fc.assert(property, { numRuns: 5_000 })
})

t.test('Bearer in its usual spelling is read as every other one is', async () => {
  const unit = fc.constantFrom(...'aB.=_ \t\x1f\x85\xa0\xe9'.split(''))
  const rest = fc.tuple(fc.constantFrom('', TOKEN, 'rmm_'), fc.string({ unit, maxLength: 4 }))
  const property = fc.property(rest, fc.constantFrom('', ' ', '\xa0'), ([token, noise], before) => {
    const text = `${before}${token}${noise}`
    return ofAuthorization(`Bearer ${text}`) === ofAuthorization(`bearer ${text}`)
  })
  fc.assert(property, { numRuns: 2_000 })
})

t.test('the credential decided on is written anew, in its plain form', async (t) => {
  const headers = [
    ...[
      'Accept',
      '*/*',
      'cookie',
      `romm_csrftoken=t; romm_session="${ID}"`,
      'AUTHORIZATION',
      `basic  ${basic('a:b')}`,
    ],
    ...['COOKIE', 'romm_session=other; theme=dark'],
  ]
  const rewritten = (credential: Credential | undefined): string[] => rommCarrier.rewrite(headers, credential)
  const others = 'romm_csrftoken=t; theme=dark'
  t.same(rewritten(undefined), ['Accept', '*/*', 'Cookie', others])
  t.same(rewritten({ kind: 'malformed', why: 'x' }), ['Accept', '*/*', 'Cookie', others])
  t.same(rewritten({ kind: 'session', id: ID }), ['Accept', '*/*', 'Cookie', `${others}; romm_session=${ID}`])
  const plain = (credential: Credential): string | undefined => rewritten(credential).at(-1)
  t.equal(plain({ kind: 'basic', username: 'vera', password: 'pa:ss' }), `Basic ${basic('vera:pa:ss')}`)
  const beyond = Buffer.from('zo\u00eb:\u20ac').toString('base64')
  t.equal(plain({ kind: 'basic', username: 'zo\u00eb', password: '\u20ac' }), `Basic ${beyond}`, 'as UTF-8')
  t.equal(plain({ kind: 'jwt', token: 'a.b.c' }), 'Bearer a.b.c')
  t.equal(plain({ kind: 'token', token: TOKEN }), `Bearer ${TOKEN}`)
  t.equal(
    plain({ kind: 'token', token: TOKEN, ownerName: 'vera' }),
    `Bearer ${TOKEN}`,
    'RomM takes none in Basic',
  )
})

t.test('no Cookie header is left where there is no cookie', async (t) => {
  t.same(rommCarrier.rewrite(['Cookie', `romm_session=${ID}`, 'cookie', ' ; ;'], undefined), [])
  t.same(rommCarrier.rewrite([], { kind: 'session', id: ID }), ['Cookie', `romm_session=${ID}`])
})

// Every way found to say `romm_session` or `Authorization`, and neighbours that must stay.
const space = fc.stringMatching(/^[\t \x85\xa0]{0,2}$/)
const cookieName = fc.constantFrom('romm_session', 'romm_session', 'romm_csrftoken', 'ROMM_SESSION', 'x', '')
const cookieValue = fc.oneof(
  fc.constantFrom(ID, `"${ID}"`, '"\\066f"', 'a b', '', '"', 'romm_session=x', `"a; romm_session=${ID}"`),
  fc.stringMatching(/^[\x20-\x7e\xa0-\xff]{0,6}$/),
)
const cookie = fc
  .tuple(space, cookieName, space, fc.constantFrom('=', '=', ''), space, cookieValue, space)
  .map((parts) => parts.join(''))
const cookieHeader = fc.array(cookie, { maxLength: 4 }).map((cookies) => cookies.join(';'))
const header = fc.oneof(
  fc.tuple(fc.constantFrom('Cookie', 'cookie', 'COOKIE'), cookieHeader),
  fc.tuple(
    fc.constantFrom('Authorization', 'authorization', 'AUTHORIZATION'),
    fc.constantFrom('', 'Bearer a', 'Basic YTpi'),
  ),
  fc.tuple(fc.constantFrom('Accept', 'X-CSRFToken'), fc.constant('1')),
)
const requestHeaders = fc.array(header, { maxLength: 6 }).map((pairs) => pairs.flat())

t.test('whatever came, nothing but the one credential is left for RomM to read', async () => {
  const credentials: Credential[] = [
    { kind: 'session', id: ID },
    { kind: 'basic', username: 'vera', password: 'pass' },
    { kind: 'jwt', token: 'a.b.c' },
    { kind: 'token', token: TOKEN },
  ]
  const property = fc.property(
    requestHeaders,
    fc.constantFrom(undefined, ...credentials),
    (headers, credential) => {
      const presented = rommCarrier.read(rommCarrier.rewrite(headers, credential))
      if (presented === 'several') return false
      const { ambient, explicit } = presented
      return credential?.kind === 'session'
        ? words(ambient) === words(credential) && explicit === undefined
        : ambient === undefined && words(explicit) === words(credential)
    },
  )
  fc.assert(property, { numRuns: 3_000 })
})

t.test('a session and an Authorization are both seen, for others to choose', async (t) => {
  const presented = rommCarrier.read(['Cookie', `romm_session=${ID}`, 'Authorization', 'Bearer x'])
  t.match(presented, { ambient: { kind: 'session', id: ID }, explicit: { kind: 'jwt', token: 'x' } })
})

t.test('white space is stripped where Python strips it, and nowhere else', async (t) => {
  for (let code = 0; code < 256; code++) {
    const char = String.fromCharCode(code)
    const isSpace =
      (code >= 9 && code <= 13) || (code >= 0x1c && code <= 0x20) || code === 0x85 || code === 0xa0
    t.equal(strip(`${char}x${char}`), isSpace ? 'x' : `${char}x${char}`, `U+${code.toString(16)}`)
  }
})
