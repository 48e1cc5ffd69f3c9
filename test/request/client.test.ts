import * as fc from 'fast-check'
import t from 'tap'
import { AddressSet, createClientResolver } from '../../src/request/client.ts'
import type { ClientInfo } from '../../src/request/request.ts'

const HOST = 'romm.example'

interface Asked {
  readonly info: ClientInfo
  /** The peers that were reported as not trusted. */
  readonly untrusted: readonly string[]
}

function ask(trusted: AddressSet, peer: string | undefined, ...headers: string[]): Asked {
  const untrusted: string[] = []
  const resolver = createClientResolver(trusted, (address) => untrusted.push(address))
  return { info: resolver.resolve({ remoteAddress: peer, encrypted: false }, headers, HOST), untrusted }
}

/** Address and chain, for a peer 10.0.0.2 behind which 10.0.0.0/8 and fd00::/8 are trusted. */
function behindProxy(...claims: string[]): [address: string, chain: string] {
  const trusted = new AddressSet(['10.0.0.0/8', 'fd00::/8'])
  const { info } = ask(trusted, '10.0.0.2', ...claims.flatMap((claim) => ['X-Forwarded-For', claim]))
  return [info.address, info.forwardedFor]
}

t.test('nobody is trusted unless named: what they say of others is not heard', async (t) => {
  const claims = ['X-Forwarded-For', '192.0.2.66', 'X-Forwarded-Proto', 'https', 'X-Real-IP', '192.0.2.67']
  const { info, untrusted } = ask(new AddressSet([]), '198.51.100.7', ...claims)
  t.same(info, {
    address: '198.51.100.7',
    peer: '198.51.100.7',
    shared: true,
    scheme: 'http',
    host: HOST,
    forwardedFor: '198.51.100.7',
  })
  t.same(untrusted, ['198.51.100.7'], 'which is worth a warning')
  t.same(ask(new AddressSet([]), '198.51.100.7').untrusted, [], 'a peer that claims nothing is not')
})

t.test('a trusted proxy says who the client is', async (t) => {
  t.same(behindProxy('198.51.100.7'), ['198.51.100.7', '198.51.100.7, 10.0.0.2'])
  t.same(behindProxy(), ['10.0.0.2', '10.0.0.2'], 'or does not')
})

t.test('the chain is walked from the right, and ends at the first that nobody vouches for', async (t) => {
  t.same(behindProxy('198.51.100.7, 10.1.1.1'), ['198.51.100.7', '198.51.100.7, 10.1.1.1, 10.0.0.2'])
  // CVE-2024-21494, CVE-2026-57210: the left end is the client's own invention.
  t.same(behindProxy('192.0.2.66, 198.51.100.7'), ['198.51.100.7', '198.51.100.7, 10.0.0.2'])
  t.same(behindProxy('10.9.9.9, 198.51.100.7, 10.1.1.1'), [
    '198.51.100.7',
    '198.51.100.7, 10.1.1.1, 10.0.0.2',
  ])
  t.same(behindProxy('10.9.9.9, 10.8.8.8'), ['10.9.9.9', '10.9.9.9, 10.8.8.8, 10.0.0.2'], 'all trusted')
})

t.test('several headers are one list', async (t) => {
  t.same(behindProxy('192.0.2.66', '198.51.100.7', '10.1.1.1'), [
    '198.51.100.7',
    '198.51.100.7, 10.1.1.1, 10.0.0.2',
  ])
  t.same(behindProxy('198.51.100.7,10.1.1.1', '10.2.2.2')[0], '198.51.100.7')
})

t.test('hops are read with ports, brackets and spaces, and IPv4 seen through IPv6 is IPv4', async (t) => {
  const hops = {
    '198.51.100.7:50123': '198.51.100.7',
    '[2001:db8::7]:50123': '2001:db8::7',
    '[2001:db8::7]': '2001:db8::7',
    '2001:db8::7': '2001:db8::7',
    ' \t198.51.100.7 ': '198.51.100.7',
    '::ffff:198.51.100.7': '198.51.100.7',
    '::FFFF:198.51.100.7': '198.51.100.7',
    '[::ffff:198.51.100.7]:1': '198.51.100.7',
  }
  for (const [sent, address] of Object.entries(hops)) t.equal(behindProxy(sent)[0], address, sent)
  t.equal(behindProxy('192.0.2.66, ::ffff:10.1.1.1')[0], '192.0.2.66', 'a mapped proxy is that proxy')
  t.equal(behindProxy('2001:db8::7, fd00::1')[0], '2001:db8::7')
})

t.test('the chain breaks at what is no address', async (t) => {
  const garbage = [
    ...[
      'unknown',
      '_hidden',
      '',
      ' ',
      'for=198.51.100.7',
      '"198.51.100.7"',
      '198.51.100',
      '198.51.100.256',
      '0x0a000001',
    ],
    ...[
      '010.0.0.1',
      '198.51.100.7:',
      '198.51.100.7:x',
      '[2001:db8::7',
      '2001:db8::7]:1',
      '[]',
      'localhost',
      '1',
      '[a]:1',
    ],
  ]
  for (const entry of garbage) {
    t.same(behindProxy(`192.0.2.66, ${entry}`), ['10.0.0.2', '10.0.0.2'], JSON.stringify(entry))
    t.same(behindProxy(`${entry}, 10.1.1.1`), ['10.1.1.1', '10.1.1.1, 10.0.0.2'], JSON.stringify(entry))
  }
})

t.test('the peer is compared as what it is, however the socket spells it', async (t) => {
  const trusted = new AddressSet(['10.0.0.2'])
  const { info } = ask(trusted, '::ffff:10.0.0.2', 'X-Forwarded-For', '198.51.100.7')
  t.match(info, { address: '198.51.100.7', peer: '10.0.0.2', forwardedFor: '198.51.100.7, 10.0.0.2' })
  t.equal(
    ask(new AddressSet(['fe80::/10']), 'fe80::1%eth0', 'X-Forwarded-For', '198.51.100.7').info.address,
    '198.51.100.7',
  )
  t.equal(
    ask(new AddressSet(['private']), undefined, 'X-Forwarded-For', '198.51.100.7').info.address,
    '',
    'gone already',
  )
})

t.test('the scheme is what the nearest trusted proxy says, if it is one', async (t) => {
  const trusted = new AddressSet(['10.0.0.2'])
  const scheme = (...protos: string[]): string =>
    ask(trusted, '10.0.0.2', ...protos.flatMap((proto) => ['X-Forwarded-Proto', proto])).info.scheme
  t.equal(scheme('https'), 'https')
  t.equal(scheme('HTTPS'), 'https')
  t.equal(scheme('http, https'), 'https')
  t.equal(scheme('https', 'http'), 'http')
  t.same(
    [scheme('wss'), scheme('ws'), scheme('http, wss')],
    ['https', 'http', 'https'],
    'a handshake at Traefik',
  )
  for (const odd of ['wsss', '', 'https://', 'javascript', 'http,', 'https\u00a0x'])
    t.equal(scheme(odd), 'http', odd)
  t.equal(scheme(), 'http')
  const resolver = createClientResolver(trusted, () => undefined)
  t.equal(
    resolver.resolve({ remoteAddress: '10.0.0.9', encrypted: true }, [], HOST).scheme,
    'https',
    'our own TLS',
  )
})

t.test('the trusted can be swapped', async (t) => {
  const resolver = createClientResolver(new AddressSet([]), () => undefined)
  const address = (): string =>
    resolver.resolve({ remoteAddress: '10.0.0.2', encrypted: false }, ['x-forwarded-for', '192.0.2.1'], HOST)
      .address
  t.equal(address(), '10.0.0.2')
  resolver.trust(new AddressSet(['10.0.0.2']))
  t.equal(address(), '192.0.2.1')
})

t.test('everybody is everybody: then the left end is the client', async (t) => {
  const { info, untrusted } = ask(
    AddressSet.everybody(),
    '203.0.113.9',
    'X-Forwarded-For',
    '192.0.2.66, 198.51.100.7',
  )
  t.equal(info.address, '192.0.2.66')
  t.same(untrusted, [])
})

t.test("'private' is what no packet from the Internet can bear", async (t) => {
  const set = new AddressSet(['private'])
  const inside = [
    ...[
      '10.0.0.0',
      '10.255.255.255',
      '172.16.0.1',
      '172.31.255.255',
      '192.168.7.1',
      '100.64.0.1',
      '100.127.255.255',
    ],
    ...['127.0.0.1', '169.254.1.1', '::1', 'fd12::1', 'fe80::1', 'febf::1'],
  ]
  for (const address of inside) t.ok(set.has(address), address)
  const outside = [
    ...[
      '9.255.255.255',
      '11.0.0.0',
      '172.15.255.255',
      '172.32.0.0',
      '192.167.255.255',
      '192.169.0.0',
      '100.63.255.255',
    ],
    ...[
      '100.128.0.0',
      '126.255.255.255',
      '128.0.0.0',
      '169.253.1.1',
      '::2',
      '2001:db8::1',
      'fec0::1',
      '8.8.8.8',
      '0.0.0.0',
    ],
    ...['', 'localhost', '10.0.0', '10.0.0.1:80'],
  ]
  for (const address of outside) t.notOk(set.has(address), address)
})

t.test('blocks and single addresses hold what they say', async (t) => {
  const set = new AddressSet(['192.0.2.128/25', '198.51.100.7', '2001:db8::/33', '2001:db8:ffff::1'])
  for (const address of [
    '192.0.2.128',
    '192.0.2.255',
    '198.51.100.7',
    '2001:db8:7fff::1',
    '2001:db8:ffff::1',
  ]) {
    t.ok(set.has(address), address)
  }
  for (const address of ['192.0.2.127', '198.51.100.8', '2001:db8:8000::1', '2001:db8:ffff::2'])
    t.notOk(set.has(address), address)
  t.ok(new AddressSet(['0.0.0.0/0']).has('203.0.113.9'))
  t.notOk(new AddressSet([]).has('127.0.0.1'), 'an empty list is nobody')
})

t.test('what is no block is refused by its name', async (t) => {
  const wrong = [
    ...[
      '',
      'localhost',
      'caddy',
      '10.0.0.0/33',
      '::/129',
      '10.0.0.0/',
      '10.0.0.0/-1',
      '10.0.0.0/8.0',
      '10.0.0.0/0x8',
    ],
    ...[
      '10.0.0.0/1e1',
      '10.0.0.0/ 8',
      '10.0.0.0/8/8',
      '10.0.0.0/8/',
      '10.0.0/8',
      '10.0.0.0/255.0.0.0',
      '/8',
      'PRIVATE',
      '*',
    ],
    ...[' 10.0.0.1', '[::1]', '10.0.0.1:80', '::/1280'],
  ]
  for (const entry of wrong) {
    t.throws(
      () => new AddressSet(['10.0.0.1', entry]),
      { name: 'RangeError', message: `'${entry}' is not` },
      entry,
    )
  }
})

/** Every hop at once, as one list; each is an address as it is written below. */
function wholeChain(claims: readonly string[]): [address: string, chain: string] {
  const hops = claims.flatMap((value) => value.split(','))
  const chain = ['10.0.0.2']
  while (hops.length > 0 && chain[0]?.startsWith('10.') === true) {
    const hop = ADDRESSES.get(hops.pop()?.trim() ?? '')
    if (hop === undefined) break
    chain.unshift(hop)
  }
  return [chain[0] ?? '', chain.join(', ')]
}

const ADDRESSES: ReadonlyMap<string, string> = new Map([
  ['10.0.0.3', '10.0.0.3'],
  ['10.0.0.4:80', '10.0.0.4'],
  ['::ffff:10.0.0.5', '10.0.0.5'],
  ['198.51.100.7', '198.51.100.7'],
  ['[2001:db8::1]:443', '2001:db8::1'],
  ['2001:db8::2', '2001:db8::2'],
])

t.test('hops are read one by one from the right, as if all were one list', async (t) => {
  const hop = fc.constantFrom(
    ...ADDRESSES.keys(),
    '10.0.0.3',
    '10.0.0.3',
    '',
    ' ',
    'unknown',
    '1.2.3',
    ' 10.0.0.3 ',
  )
  const value = fc.array(hop, { maxLength: 5 }).map((hops) => hops.join(','))
  const property = fc.property(fc.array(value, { maxLength: 4 }), (claims) => {
    t.same(behindProxy(...claims), wholeChain(claims), JSON.stringify(claims))
  })
  fc.assert(property)
})

t.test('the nearest proxy says what scheme it was, in any case and among others', async (t) => {
  const trusted = new AddressSet(['10.0.0.2'])
  const schemeOf = (...values: string[]): string =>
    ask(trusted, '10.0.0.2', ...values.flatMap((value) => ['X-Forwarded-Proto', value])).info.scheme
  for (const value of ['https', 'wss', 'HTTPS', ' https', 'http,https', 'http, WSS ', ',https'])
    t.equal(schemeOf(value), 'https', value)
  for (const value of ['http', 'ws', 'https,http', 'https,', '', ',', 'https;', 'ftp'])
    t.equal(schemeOf(value), 'http', value)
  t.equal(schemeOf('https', 'http'), 'http')
})
