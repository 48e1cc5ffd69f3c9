import t from 'tap'
import { redisAddress } from '../../src/config/addresses.ts'
import { KINDS, type KindName } from '../../src/config/kinds.ts'
import {
  parseDocumentPlace,
  parseDuration,
  parseListenAddress,
  parseOrigin,
  parseProxyRange,
  parseSize,
} from '../../src/config/values.ts'

t.test('durations have a unit and are milliseconds then', async () => {
  t.equal(parseDuration('500ms'), 500)
  t.equal(parseDuration('1.5s'), 1_500)
  t.equal(parseDuration('10m'), 600_000)
  t.equal(parseDuration('14d'), 1_209_600_000)
  for (const bad of ['', '5', '5 s', '-1s', '1S', '1w', '1e3s', 's', '0.0001s', '1h30m', '99999999999999d']) {
    t.equal(parseDuration(bad), undefined, bad)
  }
})

t.test('sizes are powers of 1024 alone', async () => {
  t.equal(parseSize('16KiB'), 16_384)
  t.equal(parseSize('1MiB'), 1_048_576)
  for (const bad of ['16', '16k', '16KB', '1.3B', '-1B']) t.equal(parseSize(bad), undefined, bad)
})

t.test('listen addresses name a host and a port, or a socket', async () => {
  t.same(parseListenAddress('[::1]:80'), { kind: 'tcp', host: '::1', port: 80 })
  t.same(parseListenAddress('localhost:0'), { kind: 'tcp', host: 'localhost', port: 0 })
  t.same(parseListenAddress('unix:/run/p.sock'), { kind: 'unix', path: '/run/p.sock' })
  for (const bad of [':80', '80', '::1:80', 'a:65536', 'unix:p.sock', '1.2.3:80', '[a]:1', 'a:', 'a b:1']) {
    t.equal(parseListenAddress(bad), undefined, bad)
  }
})

t.test('an origin is a scheme, a host and a port', async () => {
  t.equal(parseOrigin('HTTP://RomM:80/'), 'http://romm')
  t.equal(parseOrigin('https://[::1]:8443'), 'https://[::1]:8443')
  for (const bad of [
    'romm:8080',
    'ftp://romm',
    'http://u:p@romm',
    'http://romm/x',
    'http://romm?',
    'http:romm',
    'http://',
  ]) {
    t.equal(parseOrigin(bad), undefined, bad)
  }
})

t.test('proxies are networks, names or the word private', async () => {
  t.same(parseProxyRange('10.1.2.3'), { kind: 'addresses', entry: '10.1.2.3' })
  t.same(parseProxyRange('fd00::/8'), { kind: 'addresses', entry: 'fd00::/8' })
  t.same(parseProxyRange('Caddy'), { kind: 'name', name: 'caddy' })
  for (const bad of ['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', '10.0.0', 'caddy/8', '*', '']) {
    t.equal(parseProxyRange(bad), undefined, bad)
  }
})

t.test('a document is at the upstream, at a URL, in a file, or nowhere', async () => {
  t.same(parseDocumentPlace('/openapi.json?v=1'), { kind: 'upstream', path: '/openapi.json?v=1' })
  t.same(parseDocumentPlace('./openapi.json'), { kind: 'file', path: './openapi.json' })
  t.same(parseDocumentPlace('https://x/o.json?v=1'), { kind: 'url', url: 'https://x/o.json?v=1' })
  t.same(parseDocumentPlace('file:/etc/o.json'), { kind: 'file', path: '/etc/o.json' })
  for (const bad of ['openapi.json', '//evil/openapi.json', '/a b', '', 'http://u:p@x/o.json', 'http://u@x/'])
    t.equal(parseDocumentPlace(bad), undefined, bad)
})

t.test('no kind of text takes the empty one', async () => {
  for (const name of Object.keys(KINDS) as KindName[]) t.equal(KINDS[name].parse(''), undefined, name)
})

t.test('a Redis is one address, however it was written', async () => {
  const base = { port: 6379, db: 0, tls: false }
  t.match(redisAddress({ ...base, url: 'rediss://u:p%40@[::1]:7000/3' }), {
    host: '::1',
    port: 7000,
    username: 'u',
    password: 'p@',
    db: 3,
    tls: true,
  })
  t.match(redisAddress({ ...base, url: 'redis://r', password: 'x' }), {
    host: 'r',
    port: 6379,
    password: 'x',
    tls: false,
  })
  t.match(redisAddress({ ...base, host: 'r', port: 1 }), { host: 'r', port: 1 })
  t.match(redisAddress({ ...base, sentinels: ['a:1', '[::1]:2'], sentinelName: 'm' }), {
    sentinelName: 'm',
    sentinels: [
      { host: 'a', port: 1 },
      { host: '::1', port: 2 },
    ],
  })
})
