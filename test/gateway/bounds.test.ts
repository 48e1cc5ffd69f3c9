import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import { freshGateway, type TestGateway } from '../support/gateway.ts'
import { as, ask, freshStandin } from '../support/romm/ask.ts'
import type { Standin } from '../support/romm/standin.ts'
import { ASK_FREELY, fixture, isRefusal, lines, message, type RawAnswer, RawClient, talk } from './support.ts'

const SLOW = '/api/heartbeat?slow'
const HANDSHAKE = [
  ...['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'],
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
]
const SOCKET = '/ws/socket.io/?EIO=4&transport=websocket'
const VERA = lines(as('rmm vera all'))
const ADMIN = lines(as('rmm admin all'))

const from = (address: string): string => `X-Forwarded-For: ${address}`
const slow = (address: string, fields: readonly string[] = []): string =>
  message(SLOW, [from(address), ...fields])

/** A backend that answers `SLOW` when it is told to, and a gateway that believes what we say of our address. */
async function stage(t: Test, settings: Readonly<Record<string, string>>) {
  const standin = await freshStandin(t)
  const gateway = await freshGateway(t, {
    ...ASK_FREELY,
    'upstream.url': standin.url,
    'romm.secret': fixture.secret,
    trustedProxies: '127.0.0.1',
    ...settings,
  })
  return { ...holding(standin), gateway, port: gateway.port, standin }
}

function holding(standin: Standin) {
  const held: ServerResponse[] = []
  let wake = ignore
  standin.intercept = ({ url }, response) => {
    if (url !== SLOW) return false
    held.push(response)
    wake()
    return true
  }
  return {
    held,
    /** Resolves when so many are held. */
    holds: async (count: number): Promise<void> => {
      while (held.length < count) await new Promise<void>((resolve) => (wake = resolve))
    },
    release: () => void held.shift()?.end('done'),
  }
}

/** Resolves when so many requests wait for a connection. */
async function waits(gateway: TestGateway, count: number): Promise<void> {
  const { upstream } = gateway.gateway.runtime
  while (upstream.waiting !== count) await new Promise(setImmediate)
}

/** Sends a request and waits for nothing. */
async function start(t: Test, port: number, bytes: string): Promise<RawClient> {
  const client = await RawClient.open(t, port)
  return client.send(bytes)
}

t.test(
  'no more requests go up than there are connections; some wait, and what is beyond is 503',
  async (t) => {
    const { port, gateway, held, holds, release } = await stage(t, {
      'upstream.connections': '2',
      'upstream.queue': '2',
    })
    const clients: RawClient[] = []
    for (let i = 1; i <= 4; i++) clients.push(await start(t, port, slow(`192.0.2.${i}`)))
    await holds(2)
    await waits(gateway, 2)
    const refused = await talk(t, port, slow('192.0.2.5'))
    isRefusal(t, refused, 503, 'overloaded')
    t.equal((await refused.client.send(message('/api/unknown')).answer()).status, 404, 'others are answered')
    t.equal(held.length, 2)
    for (let i = 0; i < 4; i++) {
      await holds(1)
      release()
    }
    for (const client of clients) t.equal((await client.answer()).body, 'done')
    t.equal(gateway.gateway.runtime.upstream.inFlight, 0)
  },
)

t.test('many slow clients have a bounded number of requests under way', async (t) => {
  const { port, gateway, held, holds } = await stage(t, {
    'upstream.connections': '5',
    'upstream.queue': '10',
    'upstream.queuePerClient': '10',
  })
  const clients = await Promise.all(
    Array.from({ length: 60 }, (_, i) => start(t, port, slow(`192.0.2.${i}`))),
  )
  await holds(5)
  await waits(gateway, 10)
  const refused: RawAnswer[] = []
  for (const client of clients) void client.answer().then((answer) => refused.push(answer), ignore)
  while (refused.length < 45) await new Promise(setImmediate)
  for (const answer of refused) isRefusal(t, answer, 503, 'overloaded')
  t.equal(held.length, 5)
  t.equal(gateway.gateway.runtime.upstream.inFlight, 5)
  const metrics = await ask(gateway.probesPort, '/metrics')
  t.match(metrics.text, /^postern_upstream_waiting 10$/m)
  t.match(metrics.text, /^postern_upstream_requests 5$/m)
  t.match(metrics.text, /^postern_upstream_failures_total\{reason="overloaded"\} 45$/m)
})

t.test('a proxy that nobody named is more than one client, and not everybody', async (t) => {
  const { port, gateway, holds, held, release } = await stage(t, {
    trustedProxies: '',
    'upstream.connectionsPerClient': '1',
  })
  for (let i = 1; i <= 4; i++) await start(t, port, slow(`192.0.2.${i}`))
  await holds(3)
  await waits(gateway, 1)
  t.equal(held.length, 3)
  for (let i = 0; i < 4; i++) {
    await holds(1)
    release()
  }
})

t.test('who waits too long is refused', async (t) => {
  const { port, held, holds } = await stage(t, {
    'upstream.connections': '1',
    'upstream.queueTimeout': '200ms',
  })
  await start(t, port, slow('192.0.2.1'))
  await holds(1)
  isRefusal(t, await talk(t, port, slow('192.0.2.2')), 503, 'overloaded')
  t.equal(held.length, 1)
})

t.test('who leaves waits no longer', async (t) => {
  const { port, gateway, held, holds, release } = await stage(t, {
    'upstream.connections': '1',
    'upstream.queueTimeout': '1h',
  })
  const first = await start(t, port, slow('192.0.2.1'))
  await holds(1)
  const leaving = await start(t, port, slow('192.0.2.3'))
  await waits(gateway, 1)
  leaving.socket.destroy()
  await waits(gateway, 0)
  release()
  t.equal((await first.answer()).body, 'done')
  t.equal(held.length, 0, 'nobody else’s request arrived')
})

t.test('a login that RomM never saw was no attempt', async (t) => {
  const { port, gateway, held, holds, release } = await stage(t, {
    'upstream.connections': '1',
    'upstream.queue': '1',
    'attempts.perUserAndAddress': '2',
  })
  const vera = fixture.users.find(({ username }) => username === 'vera')
  const basic = Buffer.from(`vera:${vera?.password ?? ''}`).toString('base64')
  const login = message('/api/login', [`Authorization: Basic ${basic}`], 'POST')
  const first = await start(t, port, slow('192.0.2.1'))
  await holds(1)
  for (let i = 0; i < 3; i++) {
    const leaving = await start(t, port, login)
    await waits(gateway, 1)
    isRefusal(t, await talk(t, port, login), 503, 'overloaded')
    leaving.socket.destroy()
    await waits(gateway, 0)
  }
  t.equal(held.length, 1)
  release()
  t.equal((await first.answer()).status, 200)
  t.equal((await talk(t, port, login)).status, 200)
})

t.test('who waits is served by the configuration that let him in', async (t) => {
  const { port, gateway, holds, release } = await stage(t, { 'upstream.connections': '1' })
  const clients = [await start(t, port, slow('192.0.2.1')), await start(t, port, slow('192.0.2.2'))]
  await holds(1)
  await waits(gateway, 1)
  await gateway.gateway.reload(gateway.gateway.runtime.config)
  release()
  await holds(1)
  release()
  for (const client of clients) t.equal((await client.answer()).body, 'done')
})

t.test('a waiting upload is not asked for its body', async (t) => {
  const { port, gateway, holds, release } = await stage(t, { 'upstream.connections': '1' })
  await start(t, port, slow('192.0.2.1'))
  await holds(1)
  const fields = ['Expect: 100-continue', 'Content-Length: 5', ...ADMIN]
  const upload = await start(t, port, message('/api/saves?rom_id=1', fields, 'POST'))
  await waits(gateway, 1)
  t.equal(upload.rest, '')
  release()
  t.equal((await upload.answer()).status, 100)
  t.equal((await upload.send('hello').answer()).status, 200)
})

t.test('one address has a share of the connections, and others the rest', async (t) => {
  const { port, gateway, held, holds, release } = await stage(t, {
    'upstream.connections': '4',
    'upstream.connectionsPerClient': '2',
    'upstream.queuePerClient': '1',
  })
  const hog = '2001:db8::'
  const clients = [await start(t, port, slow(`${hog}1`)), await start(t, port, slow(`${hog}2`))]
  await holds(2)
  clients.push(await start(t, port, slow(`${hog}3`)))
  await waits(gateway, 1)
  isRefusal(t, await talk(t, port, slow(`${hog}4`)), 429, 'too_much_at_once')
  t.equal((await talk(t, port, message('/api/heartbeat', [from('192.0.2.1')]))).status, 200)
  t.equal(held.length, 2)
  for (let i = 0; i < 3; i++) {
    await holds(1)
    release()
  }
  for (const client of clients) t.equal((await client.answer()).body, 'done')
})

t.test('one user has a share, from however many addresses', async (t) => {
  const { port, holds } = await stage(t, {
    'upstream.connectionsPerClient': '2',
    'upstream.queuePerClient': '0',
  })
  for (const address of ['192.0.2.1', '192.0.2.2']) await start(t, port, slow(address, VERA))
  await holds(2)
  isRefusal(t, await talk(t, port, slow('192.0.2.3', VERA)), 429, 'too_much_at_once')
  await start(t, port, slow('192.0.2.3', ADMIN))
  await holds(3)
  t.pass('another user does not wait')
})

t.test('a client that does not read its download loses it, and the connection is free again', async (t) => {
  const { port, standin } = await stage(t, { 'upstream.connections': '1', 'limits.idleTimeout': '300ms' })
  const left = Promise.withResolvers<void>()
  standin.intercept = ({ url }, response) => {
    if (url !== SLOW) return false
    response.once('close', () => left.resolve())
    const block = Buffer.alloc(1024 * 1024)
    const more = (): void => {
      while (response.write(block));
    }
    response.on('drain', more)
    more()
    return true
  }
  const reader = await RawClient.open(t, port)
  reader.socket.pause()
  reader.send(message(SLOW))
  await left.promise
  t.equal((await talk(t, port, message('/api/heartbeat'))).status, 200)
})

t.test('sockets: so many in all, so many of one address and of one user', async (t) => {
  const { port, standin } = await stage(t, { 'sockets.max': '3', 'sockets.perClient': '2' })
  const open = (address: string, fields: readonly string[]) =>
    talk(t, port, message(SOCKET, [...HANDSHAKE, from(address), ...fields]))
  const first = await open('192.0.2.1', VERA)
  t.equal(first.status, 101)
  t.equal((await open('192.0.2.2', VERA)).status, 101)
  standin.forget()
  isRefusal(t, await open('192.0.2.3', VERA), 429, 'too_much_at_once')
  t.equal((await open('192.0.2.1', ADMIN)).status, 101)
  isRefusal(t, await open('192.0.2.4', lines(as('rmm gus all'))), 503, 'overloaded')
  t.equal(standin.requests.filter(({ target }) => target === SOCKET).length, 1, 'no handshake of the refused')
  first.client.socket.destroy()
  await once(first.client.socket, 'close')
  while ((await open('192.0.2.5', VERA)).status !== 101);
  t.pass('a closed one makes room')
})

t.test('one address has so many connections; one more is closed unanswered', async (t) => {
  const { port, gateway } = await stage(t, {
    trustedProxies: '192.0.2.1',
    'limits.connectionsPerAddress': '2',
  })
  const clients = [await RawClient.open(t, port), await RawClient.open(t, port)]
  for (const client of clients) t.equal((await client.send(message('/api/heartbeat')).answer()).status, 200)
  const third = await start(t, port, message('/api/heartbeat'))
  await third.ended()
  t.equal(third.rest, '')
  const metrics = await ask(gateway.probesPort, '/metrics')
  t.match(metrics.text, /^postern_connections_refused_total\{bound="address"\} 1$/m)
  clients[0]?.socket.destroy()
  let status = 0
  while (status !== 200) {
    const client = await start(t, port, message('/api/heartbeat'))
    status = await client.answer().then(
      (answer) => answer.status,
      () => 0,
    )
  }
  t.pass('a closed one makes room')
})

t.test('a trusted proxy has as many as there are in all', async (t) => {
  const { port, gateway } = await stage(t, {
    'limits.connectionsPerAddress': '1',
    'limits.connections': '3',
  })
  for (let i = 0; i < 3; i++) {
    const client = await RawClient.open(t, port)
    t.equal((await client.send(message('/api/heartbeat')).answer()).status, 200)
  }
  const fourth = await start(t, port, message('/api/heartbeat'))
  await fourth.ended()
  t.equal(fourth.rest, '')
  const metrics = await ask(gateway.probesPort, '/metrics')
  t.match(metrics.text, /^postern_connections_refused_total\{bound="all"\} 1$/m)
})

function ignore(): void {}
