import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import t from 'tap'
import { canonicalLiteral, parseTarget } from '../../src/request/target.ts'
import type { CanonicalTarget } from '../../src/request/target.ts'

const HOST = 'romm.example'

/** The canonical target, or the fault in parentheses. */
function canonical(raw: string, method = 'GET', host = HOST): string {
  const parsed = parseTarget(raw, method, host)
  return parsed.ok ? parsed.target.value : `(${parsed.fault})`
}

interface Sent {
  readonly raw: string
  readonly value: string
}

function clientTargets(): Sent[] {
  const text = readFileSync(join(import.meta.dirname, 'client-targets.txt'), 'utf8')
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return lines.map((line) => {
    const [raw = '', value = ''] = line.split('\t')
    return { raw, value: value === '=' ? raw : value }
  })
}

t.test('what clients send is accepted, and goes on in the spelling beside it', async (t) => {
  const targets = clientTargets()
  t.ok(targets.length > 50, 'the file was read')
  for (const { raw, value } of targets) t.equal(canonical(raw), value, raw)
})

t.test('a name as long as any file system allows is accepted, whatever its script', async (t) => {
  const path = `/api/roms/12/content/${'%E6%9D%B1'.repeat(255)}.zip`
  t.equal(canonical(path), path)
  t.equal(canonical(`/${'a'.repeat(16_383)}`).length, 16_384)
  t.equal(canonical(`/${'a'.repeat(16_384)}`), '(too_long)')
})

const REFUSED: readonly (readonly [fault: string, ...targets: string[]])[] = [
  // CVE-2019-9901, CVE-2026-33494, CVE-2026-42274, CVE-2025-66490: dot segments in every dress.
  [
    'dot_segment',
    '/..',
    '/.',
    '/a/..',
    '/a/../b',
    '/a/./b',
    '/a/.',
    '/a/%2e%2e/b',
    '/a/.%2E/b',
    '/a/%2e',
    '/../',
  ],
  ['dot_segment', '//..//api', '/a//../b', '/%2E%2E/%2e%2e/etc/passwd', '/..?x', 'http://romm.example/..'],
  // Servlet containers read these as dot segments.
  ['dot_segment', '/a/..;/b', '/a/..;x=1/b', '/.;/a', '/a/..;', '/a/%2e%2e;/b', '/a/..%3b/b', '/a/..%3B'],
  // CVE-2026-42272, CVE-2026-52844: an encoded separator is one to the backend that decodes before it routes.
  [
    'encoded_separator',
    '/api%2fusers%2fme',
    '/api/users/me%2F',
    '/a%5cb',
    '/a%5C..%5cb',
    '/a%00',
    '/a%00.png',
  ],
  // CVE-2021-29492, CVE-2026-65600: backslashes, fragments, spaces and everything beyond ASCII, raw.
  ['forbidden_byte', '/a\\b', '/\\evil.example', '/a#b', '/a?b#c', '/a b', '/a?b c', '/é', '/a?é', '/a?\\'],
  [
    'forbidden_byte',
    '/a\u0000',
    '/a\tb',
    '/a\r\nb',
    '/a\u007f',
    '/a?\u0000',
    '/a?\n',
    'http://romm.example#x',
  ],
  // RomM's patterns end in Python's `$`: a last line feed is not there for them (`/api/users/me%0A`).
  [
    'forbidden_byte',
    '/api/users/me%0A',
    '/api/users/me%0a',
    '/a%0d%0aX: y',
    '/a%09',
    '/a%1F',
    '/a%7f',
    '/%01',
  ],
  // CVE-2021-32637: what one reader gives up on, another guesses.
  [
    'invalid_escape',
    '/%',
    '/a%',
    '/a%4',
    '/a%zz',
    '/a%%41',
    '/a%4%31',
    '/%u0041',
    '/%-1',
    '/% 1',
    '/%+f',
    '/%0x',
  ],
  // CVE-2026-33186: a path that does not begin with a slash.
  [
    'foreign_authority',
    '',
    'api/users',
    '?x',
    'romm.example',
    'romm.example:443',
    '*x',
    'ftp://romm.example/',
    '..',
  ],
  [
    'foreign_authority',
    'http:/api',
    'http:api',
    'http:///api',
    'http://',
    'https://?x',
    'https:\\\\romm.example\\a',
  ],
]

t.test('what two readers could read differently is refused, with its fault', async (t) => {
  for (const [fault, ...targets] of REFUSED) {
    for (const raw of targets) {
      // A raw space is found in the path before its escape is looked at.
      const expected = raw === '/% 1' || raw.includes(': y') ? 'forbidden_byte' : fault
      t.equal(canonical(raw), `(${expected})`, JSON.stringify(raw))
    }
  }
})

t.test('absolute-form is taken for our own host alone', async (t) => {
  const own = ['http://romm.example/a', 'https://romm.example/a', 'HtTp://RoMm.ExAmPlE/a']
  for (const raw of own) t.equal(canonical(raw), '/a', raw)
  const foreign = [
    'http://evil.example/a',
    'http://romm.example:80/a',
    'http://romm.example./a',
    'http://romm.example@evil.example/a',
    'http://user@romm.example/a',
    'http://romm.example:pw@evil.example/a',
    'http://romm.example\\@evil.example/a',
    'http://romm.example.evil.example/a',
    'http://romm.example%2eevil.example/a',
    'http://romm.exampl%65/a',
  ]
  for (const raw of foreign) t.equal(canonical(raw), '(foreign_authority)', raw)
  t.equal(canonical('http://romm.example:8443/a', 'GET', 'romm.example:8443'), '/a', 'the port belongs to it')
  t.equal(canonical('http://romm.example/a', 'GET', 'romm.example:8443'), '(foreign_authority)')
  t.equal(canonical('http://[::1]:8090/a', 'GET', '[::1]:8090'), '/a')
  t.equal(canonical('http:///a', 'GET', ''), '(foreign_authority)', 'no host is nobody')
})

t.test('absolute-form without a path is the root', async (t) => {
  t.equal(canonical('http://romm.example'), '/')
  t.equal(canonical('http://romm.example?x=1'), '/?x=1')
  t.equal(canonical('http://romm.example//evil.example/a'), '/evil.example/a')
})

t.test('a path that looks like an authority is a path', async (t) => {
  t.equal(canonical('//evil.example/a'), '/evil.example/a')
  t.equal(canonical('///evil.example'), '/evil.example')
  t.equal(canonical('/http://evil.example/'), '/http:/evil.example/')
})

t.test('the asterisk is for OPTIONS, and stands alone', async (t) => {
  t.equal(canonical('*', 'OPTIONS'), '*')
  for (const method of ['GET', 'POST', 'options', 'HEAD'])
    t.equal(canonical('*', method), '(not_a_path)', method)
  for (const raw of ['*/', '*?x', '**']) t.equal(canonical(raw, 'OPTIONS'), '(foreign_authority)', raw)
  t.equal(canonical('/*', 'GET'), '/*', 'in a path it is a character')
})

t.test('the first question mark ends the path', async (t) => {
  const parsed = parseTarget('/a?b/../c?d%3F', 'GET', HOST)
  t.match(parsed, { ok: true, target: { path: '/a', search: '?b/../c?d%3F', value: '/a?b/../c?d%3F' } })
})

t.test("a template's text is spelt as a path is", async (t) => {
  t.equal(canonicalLiteral('/api/users'), '/api/users')
  t.equal(canonicalLiteral('/été/[x]'), '/%C3%A9t%C3%A9/%5Bx%5D')
  t.equal(canonicalLiteral('/%c3%a9/%41'), '/%C3%A9/A')
  t.equal(canonicalLiteral('/a b'), '/a%20b')
  t.equal(canonicalLiteral('/a/../b'), undefined)
  t.equal(canonicalLiteral('/a%2Fb'), undefined)
})

// What an attacker would put together, in any order; most of it is refused, and the rest must keep its promises.
const piece = fc.oneof(
  fc.constantFrom('/', '//', '.', '..', '%2e', '%2E', '%252e', 'api', 'users', 'me', 'a', '?', '%3F', '%23'),
  fc.constantFrom('%2f', '%5c', '%00', '%0a', '%25', '%2', '%', ';', '\\', '@', ':', '+', '&', "'", ' ', '~'),
  fc.constantFrom('[', ']', '|', '^', '{', '}', '"', '`', '<', '>', '%C3%A9', '%e2%80%a8', '%FF', '%7e'),
  fc.integer({ min: 0, max: 255 }).map((byte) => `%${byte.toString(16).padStart(2, '0')}`),
  fc.string({ unit: 'binary-ascii', maxLength: 2 }),
)
const accepted = fc
  .array(piece, { maxLength: 14 })
  .map((pieces) => `/${pieces.join('')}`)
  .map((raw) => ({ raw, parsed: parseTarget(raw, 'GET', HOST) }))
  .filter(({ parsed }) => parsed.ok)

interface Accepted extends Pick<CanonicalTarget, 'path' | 'search' | 'value'> {
  readonly raw: string
}

function always(name: string, holds: (target: Accepted) => boolean): void {
  const property = fc.property(accepted, ({ raw, parsed }) => {
    if (!parsed.ok) return false
    const { path, search, value } = parsed.target
    return holds({ raw, path, search, value })
  })
  t.test(name, async () => fc.assert(property, { numRuns: 3_000 }))
}

/** As a backend reads it: every escape once, byte by byte. */
function decodedOnce(path: string): string {
  return path.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

function countSlashes(path: string): number {
  return path.split('/').length - 1
}

always('canonicalisation changes nothing the second time', ({ value }) => canonical(value) === value)

always('a WHATWG parser leaves the canonical path as it is', ({ path, value }) => {
  const url = new URL(`http://${HOST}${value}`)
  return url.pathname === path && url.host === HOST && url.hash === ''
})

always('decoding once shows no separator, control or dot segment that was not to be seen', ({ path }) => {
  const decoded = decodedOnce(path)
  const isQuiet = Buffer.from(decoded, 'latin1').every(
    (byte) => byte >= 0x20 && byte !== 0x7f && byte !== 0x5c,
  )
  const segments = decoded.split('/')
  const isPlain = !segments.includes('.') && !segments.includes('..') && !decoded.includes('//')
  return isQuiet && isPlain && countSlashes(decoded) === countSlashes(path)
})

always('no unreserved character is encoded, and hexadecimal is in upper case', ({ path }) =>
  [...path.matchAll(/%(..)/g)].every(
    ([escape, hex = '']) => hex === hex.toUpperCase() && !/[\w.~-]/.test(decodedOnce(escape)),
  ),
)

always('the query is the one that was sent, byte for byte', ({ raw, search }) => {
  const mark = raw.indexOf('?')
  return search === (mark === -1 ? '' : raw.slice(mark)) && /^[!-~]*$/.test(search) && !/[#\\]/.test(search)
})

always('the value is path and query, and nothing in it ends a request line', ({ path, search, value }) => {
  return value === path + search && /^\/[!-~]*$/.test(value)
})

t.test('a path that is canonical already stays as it is, and no other does', async (t) => {
  for (let byte = 0; byte < 256; byte++) {
    const raw = String.fromCharCode(byte)
    const escape = `%${byte.toString(16).padStart(2, '0').toUpperCase()}`
    const isRefused = byte < 0x20 || byte === 0x2f || byte === 0x5c || byte === 0x7f
    const isUnreserved = /[A-Za-z0-9\-._~]/.test(raw)
    for (const around of ['', 'a', '%20', 'b%C3%A9']) {
      const written = (text: string): string => canonical(`/x${around}${text}${around}y`)
      const expected = `/x${around}${isUnreserved ? raw : escape}${around}y`
      for (const spelling of [escape, escape.toLowerCase()]) {
        if (isRefused) t.match(written(spelling), /^\((?:encoded_separator|forbidden_byte)\)$/, spelling)
        else t.equal(written(spelling), expected, spelling)
      }
    }
  }
  for (const broken of ['%', '%2', '%4', '%g0', '%2g', '%%20', '%20%', '%C3%A', '%c3%zz'])
    for (const path of [`/${broken}`, `/a%20${broken}`]) t.equal(canonical(path), '(invalid_escape)', path)
})
