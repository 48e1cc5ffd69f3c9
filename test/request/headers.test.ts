import * as fc from 'fast-check'
import t from 'tap'
import { createHygiene, foldName, hostOf, plainFraming, valuesOf } from '../../src/request/headers.ts'
import { anyNamed, sieve } from '../../src/request/names.ts'
import type { ClientInfo } from '../../src/request/request.ts'

const client: ClientInfo = {
  address: '198.51.100.7',
  peer: '10.0.0.2',
  scheme: 'https',
  host: 'romm.example:8443',
  forwardedFor: '198.51.100.7, 10.0.0.2',
}
/** What we say of every request ourselves. */
const OURS = [
  ...['Host', 'romm.example:8443'],
  ...['X-Forwarded-For', '198.51.100.7, 10.0.0.2'],
  ...['X-Forwarded-Proto', 'https'],
  ...['X-Forwarded-Host', 'romm.example:8443'],
  ...['X-Real-IP', '198.51.100.7'],
  ...['X-Request-Id', 'req-1'],
]

/** The client's own headers that go on, ours taken off. */
function kept(headers: readonly string[], reserved: readonly string[] = ['X-Postern-Assertion']): string[] {
  const out = createHygiene(reserved).outgoing(headers, client, 'req-1')
  return [...out.slice(0, 2), ...out.slice(-10)].join('\n') === OURS.join('\n')
    ? out.slice(2, -10)
    : ['?', ...out]
}

/** `name` in every spelling that some backend reads as the same one. */
function spellings(name: string): string[] {
  const cases = [name, name.toLowerCase(), name.toUpperCase()]
  const signs = ['-', '_', '.', '~', '!', '|']
  const whole = signs.flatMap((sign) => cases.map((text) => text.replaceAll('-', sign)))
  return [...new Set([...whole, name.replace('-', '_'), name.replace(/-(?=[^-]*$)/, '_')])]
}

t.test("what only we may say is deleted from the client's headers, in every spelling", async (t) => {
  const reserved = ['X-Postern-Assertion', 'X-Identity', 'Club_Member']
  const names = [
    ...[...reserved, 'X-Postern-Anything', 'Postern-Reason'],
    ...['X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Forwarded-Port', 'X-Forwarded-Prefix'],
    ...[
      'X-Forwarded-Uri',
      'X-Forwarded-Method',
      'X-Forwarded-User',
      'X-Forwarded-Groups',
      'X-Forwarded-Scopes',
    ],
    ...['Forwarded', 'X-Forwarded', 'X-Real-IP', 'X-Client-IP', 'True-Client-IP', 'CF-Connecting-IP'],
    ...['X-Original-URL', 'X-Rewrite-URL', 'X-Original-Method', 'X-HTTP-Method-Override', 'X-Request-Id'],
    ...['Remote-User', 'X-Remote-User', 'Proxy'],
  ]
  for (const name of names) {
    for (const spelling of spellings(name)) t.same(kept([spelling, 'root'], reserved), [], spelling)
  }
})

t.test('what speaks to the next hop stays here', async (t) => {
  const names = [
    ...['Connection', 'Keep-Alive', 'Proxy-Connection', 'Proxy-Authorization', 'TE', 'Trailer', 'Upgrade'],
    ...['Transfer-Encoding', 'Transfer_Encoding', 'HTTP2-Settings', 'Expect', 'Host', 'HOST'],
  ]
  for (const name of names) t.same(kept([name, 'x']), [], name)
})

t.test('everything else goes on as it was spelt, in its order, repeats included', async (t) => {
  const headers = [
    ...['accept', '*/*', 'X-CSRFToken', 'abc', 'X-Upload-Filename', 'a%20b', 'Range', 'bytes=0-0'],
    ...['api_key', '1', 'Cookie', 'a=1', 'Cookie', 'b=2', 'Authorization', 'Bearer x', 'Content-Length', '3'],
    ...['Sec-WebSocket-Key', 'x', 'Origin', 'https://romm.example', 'X-Forward', 'y', 'Postern', 'z'],
  ]
  t.same(kept(headers), headers)
})

t.test('what Connection names is deleted, whatever the spelling, and nothing of ours with it', async (t) => {
  const kinds: readonly (readonly string[])[] = [
    ['Connection', 'x-secret, X_Other'],
    ['Connection', 'keep-alive', 'connection', 'X-Secret', 'CONNECTION', 'close,x-other'],
    ['Connection', ',, x-secret ,\tX-OTHER,'],
  ]
  for (const connection of kinds) {
    t.same(kept([...connection, 'X-Secret', '1', 'X-Other', '2', 'X-Kept', '3']), ['X-Kept', '3'])
  }
  const ours = 'host, x-forwarded-for, x-forwarded-proto, x-forwarded-host, x-real-ip, x-request-id, cookie'
  t.same(kept(['Connection', ours, 'Cookie', 'a=1']), [], 'ours are written after the deletion')
})

t.test('Connection cannot take away what frames the body', async (t) => {
  for (const name of ['content-length', 'Content_Length', 'close, Content-Length']) {
    t.same(kept(['Connection', name, 'Content-Length', '5']), ['Content-Length', '5'], name)
  }
})

t.test('a second spelling of what frames the body goes no further', async (t) => {
  t.same(kept(['Content_Length', '5', 'content-length', '3']), ['content-length', '3'])
})

t.test('names that clients make up do not wear the memory of names out', async (t) => {
  const hygiene = createHygiene([])
  for (let i = 0; i < 3_000; i++)
    hygiene.outgoing([`X-Made-Up-${i}`, '1', `X-Forwarded-${i}`, '1'], client, 'r')
  const out = hygiene.outgoing(
    ['X-New', '1', 'x_forwarded_for', '2', `X-Forwarded-${'a'.repeat(99)}`, '3'],
    client,
    'r',
  )
  t.same(out.slice(2, -10), ['X-New', '1'])
})

t.test('a name is folded as the laxest backend folds it', async (t) => {
  for (const name of ['X-Real-IP', 'x_real_ip', 'X.Real!ip']) t.equal(foldName(name), 'x-real-ip')
})

t.test('the values of a header are found without case, in their order, and by the whole name', async (t) => {
  const headers = ['A', '1', 'a', '2', 'Ab', '3', 'a_', '4', 'A', '']
  t.same(valuesOf(headers, 'a'), ['1', '2', ''])
  t.same(valuesOf(headers, 'b'), [])
})

t.test('a request has one Host that is a host', async (t) => {
  const good = [
    ...['romm.example', 'ROMM.example:8443', 'localhost', '192.0.2.1:80', '[::1]', '[2001:db8::1]:8090'],
    ...['my_nas', 'xn--bcher-kva.example', 'romm.example.', 'romm.example:'],
  ]
  for (const host of good) t.equal(hostOf(['host', host]), host, host)
  const bad = [
    ...[
      '',
      'a b',
      'a/b',
      'a?b',
      'a#b',
      'user@romm.example',
      'a\\b',
      'a\tb',
      'é.example',
      'a:b',
      'a:80:80',
      '::1',
    ],
    ...['[::1', '::1]', '[::1]x', '[evil]', 'a:123456', 'http://romm.example', '<a>', 'a"b', '[', ':80'],
  ]
  for (const host of bad) t.equal(hostOf(['Host', host]), undefined, JSON.stringify(host))
  t.equal(hostOf([]), undefined)
  t.equal(hostOf(['Host', 'a', 'HOST', 'a']), undefined, 'not even twice the same (CVE-2021-32777)')
})

t.test('a body has one framing that every reader understands alike', async (t) => {
  const chunked = ['Transfer-Encoding', 'chunked']
  t.ok(plainFraming([], '1.1'))
  t.ok(plainFraming(['Content-Length', '0'], '1.0'))
  t.ok(plainFraming(['Content-Length', '67108864'], '1.1'))
  t.ok(plainFraming(chunked, '1.1'))
  t.ok(plainFraming(['transfer-encoding', 'Chunked'], '1.1'), 'coding names have no case (RFC 9112 §7)')
})

t.test('framing that readers could understand differently is refused', async (t) => {
  const chunked = ['Transfer-Encoding', 'chunked']
  t.notOk(plainFraming(chunked, '1.0'), 'chunked before HTTP/1.1 (RFC 9112 §6.1)')
  t.notOk(plainFraming([...chunked, 'Content-Length', '3'], '1.1'), 'length beside coding')
  t.notOk(plainFraming([...chunked, ...chunked], '1.1'), 'coded twice')
  for (const coding of [
    'gzip, chunked',
    'chunked, identity',
    'identity',
    'xchunked',
    '',
    '\u000bchunked',
    'chunked;a=b',
  ]) {
    t.notOk(plainFraming(['Transfer-Encoding', coding], '1.1'), JSON.stringify(coding))
  }
  for (const length of ['', '+3', '-3', '0x3', '3 ', '3,3', '1e3', '3.0', '٣']) {
    t.notOk(plainFraming(['Content-Length', length], '1.1'), JSON.stringify(length))
  }
  t.notOk(plainFraming(['Content-Length', '3', 'content-length', '3'], '1.1'), 'two lengths')
})

const tokens = fc.string({
  unit: fc.constantFrom(..."abxzABXZ019-_.!~|^`'".split('')),
  minLength: 1,
  maxLength: 9,
})

t.test('what length and first letter rule out is none of the wanted names', async (t) => {
  let out = 0
  const property = fc.property(
    fc.array(tokens),
    fc.array(tokens),
    fc.array(tokens),
    (some, begun, others) => {
      const [names, prefixes] = [some, begun].map((each) => each.map((name) => name.toLowerCase()))
      const mayBe = sieve(names ?? [], prefixes)
      const isOne = anyNamed(names ?? [])
      for (const name of [...some, ...some.map((each) => each.toUpperCase()), ...begun, ...others, '']) {
        const lower = name.toLowerCase()
        const isWanted = names?.includes(lower) === true
        t.equal(isOne(name), isWanted, name)
        if (!mayBe(name)) out++
        t.ok(mayBe(name) || !(isWanted || prefixes?.some((each) => lower.startsWith(each)) === true), name)
        for (const begin of begun) t.ok(mayBe(`${begin.toUpperCase()}${name}`), `${begin} ${name}`)
      }
    },
  )
  fc.assert(property)
  t.ok(out > 100, 'it rules something out')
})

t.test('what goes on is what its folded name lets pass, whatever it is called', async (t) => {
  const ours = [
    ...['host', 'connection', 'te', 'upgrade', 'expect', 'forwarded', 'x-real-ip', 'proxy', 'x-identity'],
    ...['remote-user', 'x-request-id', 'x-http-method', 'x-forwarded', '-id'],
  ]
  const prefixes = ['x-forwarded-', 'x-postern-', 'postern-']
  const near = fc.constantFrom(
    ...ours,
    ...prefixes,
    'content-length',
    'x-forwarded',
    'x-postern',
    'accept',
    'id',
  )
  const sign = fc.constantFrom('-', '_', '.')
  const spelt = fc
    .tuple(near, sign, fc.boolean(), fc.constantFrom('', '', 'x', '-', '9'))
    .map(([name, with_, loud, end]) => {
      const text = name.replaceAll('-', with_) + end
      return loud ? text.toUpperCase() : text
    })
  const passes = (name: string): boolean => {
    const folded = foldName(name)
    if (folded === 'content-length') return name.toLowerCase() === folded
    return !ours.includes(folded) && !prefixes.some((prefix) => folded.startsWith(prefix))
  }
  const property = fc.property(fc.array(fc.oneof(spelt, tokens)), (names) => {
    const headers = names.filter((name) => foldName(name) !== 'connection').flatMap((name) => [name, '1'])
    t.same(
      kept(headers, ['X_Identity', '_Id']),
      headers.filter((_, i) => passes(headers[i - (i % 2)] ?? '')),
    )
  })
  fc.assert(property)
})
