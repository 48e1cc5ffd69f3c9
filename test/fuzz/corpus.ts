import { readFixture } from '../support/romm/facts.ts'
import type { Random } from './random.ts'

/** A request before it is bytes. Texts are Latin-1: one character a byte. */
export interface Message {
  readonly method: string
  readonly target: string
  readonly version: string
  /** Names and values, in order. */
  readonly fields: readonly Field[]
  /** As it goes on the wire, chunks included. */
  readonly body: string
}

export type Field = readonly [name: string, value: string]

export const HOST = 'games.example'

const fixture = readFixture()

/** Every credential of the fixture, the good ones and the bad, as fields. */
const CREDENTIALS: readonly (readonly Field[])[] = Object.values(fixture.credentials).map(
  ({ authorization, cookie }) => [
    ...(authorization === null ? [] : [['Authorization', authorization] as const]),
    ...(cookie === null ? [] : [['Cookie', cookie] as const]),
  ],
)

/** RomM has 60 ms of bcrypt for each wrong password: they are of use now and then only. */
const CHEAP = CREDENTIALS.filter((fields) => !fields.some(([, value]) => /^basic /i.test(value)))
/** Who may do everything, in each mode. */
const ADMIN = ['session admin', 'jwt admin all', 'rmm admin all', 'basic admin'].map((name): Field => {
  const { authorization, cookie } = fixture.credentials[name] ?? {}
  return typeof authorization === 'string' ? ['Authorization', authorization] : ['Cookie', cookie ?? '']
})

const READ = [
  ...[
    '/api/heartbeat',
    '/api/users/me',
    '/api/roms',
    '/api/roms/1',
    '/api/platforms',
    '/api/config',
    '/api/stats',
  ],
  ...[
    '/api/roms?platform_id=1&search=a%20b&limit=50',
    '/api/roms/1/content/Game%20%28USA%29.zip',
    '/api/feeds/tinfoil',
  ],
  ...['/api/collections', '/api/users', '/api/saves?rom_id=1', '/api/raw/assets/a.png', '/api/client-tokens'],
  ...[
    '/',
    '/rom/7',
    '/login?next=%2From%2F7',
    '/assets/index-1.js',
    '//assets/romm/resources/1/cover/big.png',
  ],
  ...[
    '/openapi.json',
    '/-/postern/me',
    '/.well-known/postern/jwks.json',
    '/-/postern/x',
    '/library/secret.zip',
  ],
  ...['/assets/romm/assets/users/1/saves/x.srm', '/api/client-tokens/pair/ABCD1234/status', '/api/nowhere'],
  ...['/ws/socket.io/?EIO=4&transport=polling', '/api/roms/1/content/a%23b%3Fc%25d%5B%5D%E3%81%82.zip'],
]
const WRITE = [
  ...[
    'POST /api/login',
    'POST /api/logout',
    'POST /api/token',
    'POST /api/saves?rom_id=1',
    'PUT /api/roms/1',
  ],
  ...[
    'DELETE /api/users/2',
    'PUT /api/users/2',
    'POST /api/users',
    'POST /api/client-tokens',
    'DELETE /api/roms/1',
  ],
  ...['POST /api/client-tokens/exchange', 'DELETE /api/client-tokens/3', 'POST /api/roms/upload/start'],
  ...['PUT /api/permissions/groups/2', 'POST /api/tasks/run/scan', 'POST /-/postern/me', 'PATCH /api/roms/1'],
].map((line) => line.split(' '))

const HANDSHAKE: readonly Field[] = [
  ['Connection', 'Upgrade'],
  ['Upgrade', 'websocket'],
  ['Sec-WebSocket-Version', '13'],
  ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
]

/** As apps send them: a browser, a handheld, a script, a feed reader. */
const APPS: readonly (readonly Field[])[] = [
  [['Accept', '*/*']],
  [
    ['User-Agent', 'Mozilla/5.0'],
    ['Accept', 'application/json, text/plain, */*'],
    ['Accept-Encoding', 'gzip, deflate, br'],
    ['Origin', `http://${HOST}`],
    ['Referer', `http://${HOST}/`],
    ['X-CSRFToken', 'abc'],
  ],
  [
    ['User-Agent', 'okhttp/4.12.0'],
    ['Connection', 'Keep-Alive'],
    ['Range', 'bytes=0-3'],
    ['If-Range', '"x"'],
  ],
  [
    ['User-Agent', 'Java-http-client/21'],
    ['Connection', 'Upgrade, HTTP2-Settings'],
    ['Upgrade', 'h2c'],
    ['HTTP2-Settings', 'AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA'],
  ],
  [
    ['X-Forwarded-For', '203.0.113.9, 198.51.100.3'],
    ['X-Forwarded-Proto', 'https'],
    ['X-Real-IP', '203.0.113.9'],
  ],
]

/** One request as it may really come. */
export function realRequest(random: Random): Message {
  const kind = random.below(20)
  if (kind < 10) return reading(random)
  if (kind < 16) return writing(random)
  if (kind < 18) return handshake(random)
  return preflight(random)
}

function credential(random: Random): readonly Field[] {
  if (random.chance(0.35)) return [random.pick(ADMIN)]
  return random.pick(random.chance(0.05) ? CREDENTIALS : CHEAP)
}

function reading(random: Random): Message {
  const fields = [['Host', HOST] as const, ...random.pick(APPS), ...credential(random)]
  return {
    method: random.chance(0.1) ? 'HEAD' : 'GET',
    target: random.pick(READ),
    version: 'HTTP/1.1',
    fields,
    body: '',
  }
}

function writing(random: Random): Message {
  const [method = '', target = ''] = random.pick(WRITE)
  const text = random.pick([
    '',
    '{}',
    '{"password":"x"}',
    'grant_type=password&username=a',
    'x'.repeat(random.below(5_000)),
  ])
  const isChunked = random.chance(0.3)
  const framing: Field = isChunked
    ? ['Transfer-Encoding', 'chunked']
    : ['Content-Length', String(text.length)]
  const expect: readonly Field[] = random.chance(0.25) ? [['Expect', '100-continue']] : []
  const fields = [['Host', HOST] as const, ...random.pick(APPS), ...credential(random), framing, ...expect]
  return { method, target, version: 'HTTP/1.1', fields, body: isChunked ? chunked(text, random) : text }
}

/** RFC 9112 §7.1. */
function chunked(text: string, random: Random): string {
  let body = ''
  for (let at = 0; at < text.length;) {
    const size = 1 + random.below(text.length - at)
    body += `${size.toString(16)}\r\n${text.slice(at, at + size)}\r\n`
    at += size
  }
  return `${body}0\r\n\r\n`
}

function handshake(random: Random): Message {
  const target = random.pick([
    '/ws/socket.io/?EIO=4&transport=websocket',
    '/netplay/socket.io/?EIO=4&transport=websocket',
    '/api/roms',
  ])
  const origin: readonly Field[] = random.chance(0.3)
    ? [['Origin', random.pick([`http://${HOST}`, 'null', 'https://evil.example'])]]
    : []
  const fields = [['Host', HOST] as const, ...HANDSHAKE, ...origin, ...credential(random)]
  return { method: 'GET', target, version: 'HTTP/1.1', fields, body: '' }
}

function preflight(random: Random): Message {
  const fields: Field[] = [
    ['Host', HOST],
    ['Origin', random.pick(['https://app.example', 'null', `http://${HOST}`])],
    ['Access-Control-Request-Method', random.pick(['GET', 'PUT'])],
    ['Access-Control-Request-Headers', 'authorization'],
  ]
  return { method: 'OPTIONS', target: random.pick(READ), version: 'HTTP/1.1', fields, body: '' }
}
