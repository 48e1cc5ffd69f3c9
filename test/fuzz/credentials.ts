import { createHmac } from 'node:crypto'
import { readFixture } from '../support/romm/facts.ts'
import type { Random } from './random.ts'

/** What clients may make of a credential: tokens cut and signed anew, other spellings, cookies that two parsers read differently. */
const { secret, sessions, users, client_tokens: tokens } = readFixture()

const HEADERS = [
  { typ: 'JWT', alg: 'HS256' },
  { alg: 'none' },
  { alg: 'HS384' },
  { alg: 'hs256' },
  { alg: ['HS256'] },
  { alg: 'HS256', crit: ['exp'], exp: 1 },
  { alg: 'HS256', kid: '../../dev/null', jku: 'http://127.0.0.1:1/', jwk: { kty: 'oct', k: 'AA' } },
  { alg: 'HS256', zip: 'DEF' },
  { alg: 'HS256', b64: false },
]
const FAR = 4_102_444_800
const CLAIMS = {
  sub: [
    'admin',
    'vera',
    'VERA',
    'dora',
    'nobody',
    '',
    'admin\0',
    1,
    null,
    ['admin'],
    { a: 1 },
    '\u0131',
    'a'.repeat(300),
  ],
  iss: ['romm:oauth', 'romm:auth', ['romm:oauth'], null, ''],
  type: ['access', 'refresh', 'Access', null, ['access']],
  exp: [FAR, FAR + 0.5, 1, 0, -1, String(FAR), null, 1e308, true, [FAR]],
  scopes: [
    'roms.read',
    'roms.read users.write',
    '',
    ' ',
    ['roms.read'],
    null,
    'x'.repeat(2_000),
    'roms.read\troms.write',
  ],
  nbf: [FAR, 'x', null],
  iat: [FAR, null],
  aud: ['x', ['x']],
} as const
const OTHER_KEYS = [secret, `${secret} `, '', 'secret', secret.slice(1)]

const part = (text: string): string => Buffer.from(text).toString('base64url')

function sign(text: string, key: string): string {
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`
}

/** A JWT with anything in it, often with the right signature. */
function madeJwt(random: Random): string {
  const claims: Record<string, unknown> = {
    sub: random.pick(users).username,
    iss: 'romm:oauth',
    type: 'access',
    scopes: 'me.read roms.read roms.write users.write platforms.read',
    exp: FAR,
  }
  for (const [name, values] of Object.entries(CLAIMS)) {
    if (random.chance(0.12)) claims[name] = random.pick<unknown>(values)
    else if (random.chance(0.03)) delete claims[name]
  }
  const json = JSON.stringify(claims)
  const payload = random.chance(0.9)
    ? json
    : random.pick([`${json} `, `[${json}]`, '{', 'null', '""', json.replace('"sub"', '"sub":"vera","sub"')])
  const header = random.chance(0.7) ? HEADERS[0] : random.pick(HEADERS)
  const text = `${part(JSON.stringify(header))}.${part(payload)}`
  return sign(text, random.chance(0.8) ? secret : random.pick(OTHER_KEYS))
}

/** The same segments, cut otherwise. */
function recut(random: Random, jwt: string): string {
  const segments = jwt.split('.')
  const at = random.below(segments.length)
  const segment = segments[at] ?? ''
  const cut = random.place(segment)
  const ways: readonly (() => readonly string[])[] = [
    () => segments.toReversed(),
    () => segments.toSpliced(at, 1),
    () => segments.toSpliced(at, 0, segment),
    () => segments.with(at, ''),
    () => segments.with(at, segment.slice(0, cut)),
    () => segments.with(at, `${segment}${'='.repeat(1 + random.below(3))}`),
    () => segments.toSpliced(at, 1, segment.slice(0, cut), segment.slice(cut)),
    () =>
      segments.with(
        at,
        `${segment.slice(0, cut)}${random.pick(['+', '/', ' ', '\t', '%', '\xff', 'A'])}${segment.slice(cut)}`,
      ),
    () => [...segments, ''],
  ]
  const other = random.pick(ways)().join('.')
  const end = other.lastIndexOf('.')
  return random.chance(0.4) && end > 0 ? sign(other.slice(0, end), secret) : other
}

/** Other ways to spell `Authorization`. */
export function respelt(random: Random, value: string): string {
  const space = value.indexOf(' ')
  const [scheme, rest] = [value.slice(0, space), value.slice(space + 1)]
  const gap = random.pick([' ', '  ', '\t', ' \t ', '\xa0', '', '\x0b', '=', ' ,'])
  const ways: readonly (() => string)[] = [
    () =>
      `${random.pick(['bearer', 'BEARER', 'Basic', 'bASIC', 'Token', 'Digest', 'Negotiate', 'Bear er', ''])} ${rest}`,
    () => `${scheme}${gap}${rest}`,
    () => `${rest} ${scheme}`,
    () => `${value}${random.pick([' ', '\t', ' x', ',', '=', '==', ', Basic YWRtaW46cHctYWRtaW4tMTIzNA=='])}`,
    () => `${scheme} ${rest.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')}`,
    () => `${scheme} ${rest.toUpperCase()}`,
    () => `Bearer ${recut(random, rest)}`,
    () => `Bearer ${madeJwt(random)}`,
    () => `Bearer ${madeJwt(random)}`,
    () => basicToken(random),
  ]
  return random.pick(ways)()
}

/** A client token where a password is expected, beside its owner's name or another's. */
function basicToken(random: Random): string {
  const { raw } = random.pick(tokens)
  const name = random.pick([...users.map(({ username }) => username), '', 'nobody'])
  const pair = random.pick([
    `${name}:${raw}`,
    `${name}:${raw}:`,
    `:${raw}`,
    `${raw}:`,
    `${name}:\0${raw}`,
    `${name}:${raw.slice(0, -1)}`,
  ])
  return `Basic ${Buffer.from(pair).toString('base64')}`
}

/** Cookies that two parsers may read as different ones. */
export function oddCookie(random: Random): string {
  const { id } = random.pick(sessions)
  const other = random.pick(sessions).id
  const name = random.pick([
    'romm_session',
    'ROMM_SESSION',
    ' romm_session',
    'romm_session\t',
    '\xa0romm_session',
    '$romm_session',
    '"romm_session"',
  ])
  const octal = `\\${id.charCodeAt(0).toString(8).padStart(3, '0')}${id.slice(1)}`
  const value = random.pick([
    id,
    `"${id}"`,
    `"${octal}"`,
    ` ${id} `,
    `${id},`,
    id.toUpperCase(),
    `${id}\x1f`,
    id.slice(0, -1),
    `"${id}`,
    '',
    'null',
  ])
  const rest = random.pick([
    '',
    `; romm_session=${other}`,
    '; romm_session',
    '; =x',
    ';;',
    `, romm_session=${other}`,
    '; theme=dark',
    '; romm_session=""',
  ])
  return random.chance(0.5) ? `${name}=${value}${rest}` : `a=b; ${name}=${value}${rest}`
}
