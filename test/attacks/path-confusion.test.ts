/** The edge decides on A, the backend serves B. Nobody has a credential here: whatever is protected must stay out of reach. */
import t from 'tap'
import { message } from '../gateway/support.ts'
import { freshGateway } from '../support/gateway.ts'
import { cameOf, stage } from './support.ts'

const { send, ask, standin } = await stage(t, {
  text: `
    rules:
      - { path: '/vault/**', closed: true }
      - { path: '/vault/docs/**', methods: [GET], public: true }
      - { path: '/health', methods: [GET], public: true }
  `,
})

const AMBIGUOUS = '400 ambiguous_target'
const FOREIGN = '400 foreign_target'
const MALFORMED = '400 malformed_request'
const ANONYMOUS = '401 no_credential'
const NO_ROUTE = '404 no_route'

/** What each attack is, and the targets that try it with what must come of each. */
const TARGETS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'query or fragment inside what a public rule matches (CVE-2025-54576, CVE-2026-41059, CVE-2023-47106)': {
    '/api/roms?/api/heartbeat': ANONYMOUS,
    '/api/roms?x=/../heartbeat': ANONYMOUS,
    '/api/roms/?/vault/docs/x': ANONYMOUS,
    '/api/roms#/api/heartbeat': AMBIGUOUS,
    '/api/roms?a#/api/heartbeat': AMBIGUOUS,
    '/api/roms%23/api/heartbeat': NO_ROUTE,
    '/vault?/docs/x': NO_ROUTE,
  },
  'dot segments, raw (CVE-2019-9901, CVE-2026-33494)': {
    '/api/heartbeat/../roms': AMBIGUOUS,
    '/vault/docs/../secret': AMBIGUOUS,
    '/../api/roms': AMBIGUOUS,
    '/./api/roms': AMBIGUOUS,
    '/api/./roms': AMBIGUOUS,
    '/api/roms/.': AMBIGUOUS,
    '/assets/romm/resources/..': AMBIGUOUS,
  },
  'dot segments, encoded or mixed with backslashes and single dots (CVE-2026-42274, CVE-2025-66490)': {
    '/vault/docs/%2e%2e/secret': AMBIGUOUS,
    '/vault/docs/.%2E/secret': AMBIGUOUS,
    '/vault/docs/%2e./secret': AMBIGUOUS,
    '/vault/docs/%2e/%2e%2e/secret': AMBIGUOUS,
    '/vault/docs\\..\\secret': AMBIGUOUS,
    '/vault/docs/..\\secret': AMBIGUOUS,
    '/vault/docs/%5c..%5csecret': AMBIGUOUS,
    '/vault/docs/.%5c%2e%2e%5csecret': AMBIGUOUS,
  },
  'strip or rewrite first, traverse afterwards (CVE-2026-48020, CVE-2026-40912, CVE-2026-65600)': {
    '/vault/docs/..//secret': AMBIGUOUS,
    '/vault/docs//../secret': AMBIGUOUS,
    '/vault/docs/..%2fsecret': AMBIGUOUS,
    '/vault/docs/..%00/secret': AMBIGUOUS,
    '//../api/roms': AMBIGUOUS,
    '/vault/docs/....//secret': '> /vault/docs/..../secret',
    '/api/heartbeat/....//roms': NO_ROUTE,
  },
  'an encoded separator, or a raw backslash (CVE-2026-42272, CVE-2026-52844, CVE-2021-29492)': {
    '/api%2fusers%2fme': AMBIGUOUS,
    '/api%2Fusers/me': AMBIGUOUS,
    '/api/users%2Fme': AMBIGUOUS,
    '/api/users/me%2f': AMBIGUOUS,
    '/api%5cusers%5cme': AMBIGUOUS,
    '/api/users%5Cme': AMBIGUOUS,
    '/api\\users\\me': AMBIGUOUS,
    '\\api/users/me': MALFORMED,
  },
  'a letter that is encoded without need': {
    '/%61pi/users/me': ANONYMOUS,
    '/api/users/%6de': ANONYMOUS,
    '/ap%69/u%73ers': ANONYMOUS,
    '/%76ault/secret': NO_ROUTE,
    '/%77s/socket.io/': ANONYMOUS,
  },
  'two slashes read as an authority (CVE-2026-26205)': {
    '//evil.example/api/roms': '> /evil.example/api/roms',
    '//api/roms': ANONYMOUS,
    '///api//roms': ANONYMOUS,
    '//vault/secret': NO_ROUTE,
    '/\\evil.example/api/roms': AMBIGUOUS,
  },
  'the absolute form, of another host or of ours': {
    'http://evil.example/api/heartbeat': FOREIGN,
    'http://games.example@evil.example/api/heartbeat': FOREIGN,
    'http://games.example:81/api/heartbeat': FOREIGN,
    'ftp://games.example/api/heartbeat': FOREIGN,
    'http:///api/heartbeat': FOREIGN,
    'http://games.example/api/roms': ANONYMOUS,
    'http://games.example?/api/heartbeat': '> /?/api/heartbeat',
  },
  'the asterisk, which is nobody’s path (CVE-2026-71324)': { '*': AMBIGUOUS, '/*': '> /*' },
  'a question mark that arrives as %3F (CVE-2026-32811)': {
    '/api/roms%3F/api/heartbeat': NO_ROUTE,
    '/api/roms%3f': NO_ROUTE,
    '/vault%3Fx': '> /vault%3Fx',
    '/vault/%3F': NO_ROUTE,
  },
  'a path without its slash (CVE-2026-33186)': {
    'api/roms': MALFORMED,
    'vault/secret': MALFORMED,
    '?/api/roms': MALFORMED,
    'api/heartbeat': MALFORMED,
  },
  'a malformed URI treated as unprotected (CVE-2021-32637)': {
    '/api/roms%': AMBIGUOUS,
    '/api/roms%2': AMBIGUOUS,
    '/api/%zzroms': AMBIGUOUS,
    '/api/%u0072oms': AMBIGUOUS,
    '/vault/%c0%ae%c0%ae/x': NO_ROUTE,
    '/api/roms/%E0%A4%A': AMBIGUOUS,
  },
  'the case of a path or prefix (CVE-2026-48794, CVE-2026-42273)': {
    // Two paths at RomM, whose web server has nothing but its start page at the other one.
    '/API/roms': '> /API/roms',
    '/Vault/secret': '> /Vault/secret',
    '/api/ROMS': NO_ROUTE,
    '/api/Heartbeat': NO_ROUTE,
  },
  'the case of the host (CVE-2026-27588)': {
    'http://GAMES.example/api/roms': ANONYMOUS,
    'HTTP://games.EXAMPLE/api/roms': ANONYMOUS,
  },
  'a prefix without a boundary (GHSA-gx7w-56w6-g48x)': {
    '/vault/docs/x': '> /vault/docs/x',
    '/vault/docs': '> /vault/docs',
    '/vault/docsecret': NO_ROUTE,
    '/vault/docs.bak': NO_ROUTE,
    '/healthy/../api/roms': AMBIGUOUS,
    // RomM's web server hands these to the backend too.
    '/apix': NO_ROUTE,
    '/api-internal/users': NO_ROUTE,
    '/wsx': NO_ROUTE,
    '/netplay2/x': NO_ROUTE,
  },
  'path parameters': {
    '/api/roms;x=1': NO_ROUTE,
    '/api/heartbeat;/../roms': AMBIGUOUS,
    '/vault/docs/..;/secret': AMBIGUOUS,
    '/vault/docs/..;a=b/secret': AMBIGUOUS,
    '/vault/docs/%2e%2e%3bx/secret': AMBIGUOUS,
    '/vault;x/secret': '> /vault;x/secret',
    '/vault/docs;x/y': NO_ROUTE,
  },
  'double encoding': {
    '/api/%2572oms': NO_ROUTE,
    '/%2561pi/roms': '> /%2561pi/roms',
    '/vault/docs/%252e%252e/secret': '> /vault/docs/%252e%252e/secret',
    '/api%252froms': NO_ROUTE,
  },
  'a trailing dot, space, NUL, tab or line end': {
    '/api/roms.': NO_ROUTE,
    '/api/roms%20': NO_ROUTE,
    '/api/roms%00': AMBIGUOUS,
    '/api/roms%09': AMBIGUOUS,
    '/api/users/me%0A': AMBIGUOUS,
    '/api/users/me%0d%0a': AMBIGUOUS,
    '/vault%00/secret': AMBIGUOUS,
  },
  'the twin with a slash': {
    '/api/roms/': ANONYMOUS,
    '/api/roms//': ANONYMOUS,
    '/vault/': NO_ROUTE,
    '/api/users/me/': ANONYMOUS,
  },
  'a public wildcard over a protected prefix': {
    '/api/no-such-route': NO_ROUTE,
    '/api': NO_ROUTE,
    '/api/': NO_ROUTE,
    '/ws': ANONYMOUS,
    '/ws/anything/at/all': ANONYMOUS,
    '/netplay/rooms': ANONYMOUS,
    '/library/x.zip': NO_ROUTE,
    '/assets/romm/assets/users/1/saves/x': NO_ROUTE,
    '/assets/romm/resources/tmp/uploads/x/00001': NO_ROUTE,
  },
}

for (const [attack, targets] of Object.entries(TARGETS)) {
  t.test(attack, async (t) => {
    for (const [target, wanted] of Object.entries(targets)) {
      await t.test(target, async (t) => cameOf(t, await ask(t, target), wanted))
    }
  })
}

t.test('CONNECT, TRACE and TRACK, whatever they name (CVE-2026-71324)', async (t) => {
  for (const [method, target] of [
    ['CONNECT', 'games.example:80'],
    ['CONNECT', '/api/heartbeat'],
    ['TRACE', '/api/heartbeat'],
    ['TRACK', '/api/heartbeat'],
  ] as const) {
    cameOf(t, await send(t, message(target, [], method)), MALFORMED)
  }
  cameOf(t, await send(t, message('*', [], 'OPTIONS')), NO_ROUTE)
})

t.test('a method in a header, a query or another case', async (t) => {
  const names = ['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override', 'x_http_method_override']
  const overridden = await ask(
    t,
    '/api/heartbeat?_method=DELETE',
    names.map((name) => `${name}: DELETE`),
  )
  cameOf(t, overridden, '> /api/heartbeat?_method=DELETE')
  t.equal(overridden.arrived[0]?.method, 'GET')
  t.notMatch(overridden.arrived[0]?.rawHeaders.join('\n'), /override|http.method|DELETE/i)
  cameOf(t, await ask(t, '/api/heartbeat', [], 'DELETE'), '405 method_not_allowed')
  cameOf(t, await send(t, message('/api/heartbeat', [], 'Get')), MALFORMED)
  cameOf(t, await ask(t, '/api/roms', [], 'HEAD'), ANONYMOUS)
})

t.test('a public wildcard over protected rows stops the start', async (t) => {
  for (const path of ['/api/**', '/**', '/api/*', '/api/roms/*/**']) {
    const text = `rules: [{ path: '${path}', public: true }]`
    await t.rejects(freshGateway(t, { 'upstream.url': standin.url }, { text }), {
      code: 'config_invalid',
      message: /dangerouslyPublic/,
    })
  }
})

t.test('file names that only look like an attack still work', async (t) => {
  const names = {
    'a;b.zip': 'a;b.zip',
    'a%20b.zip': 'a%20b.zip',
    'a%23b.zip': 'a%23b.zip',
    'a%3Fb.zip': 'a%3Fb.zip',
    'a%25b.zip': 'a%25b.zip',
    'Game%20%5B!%5D.zip': 'Game%20%5B!%5D.zip',
    'Game%20[!].zip': 'Game%20%5B!%5D.zip',
    'Game%2520%255B%2521%255D.zip': 'Game%2520%255B%2521%255D.zip',
    '%E6%9D%B1%E4%BA%AC.zip': '%E6%9D%B1%E4%BA%AC.zip',
    '%c3%a9t%c3%a9.zip': '%C3%A9t%C3%A9.zip',
    '..hidden': '..hidden',
    'a..b': 'a..b',
    '...': '...',
  }
  for (const [name, canonical] of Object.entries(names)) {
    const outcome = await ask(t, `//assets/romm/resources/roms/1/${name}?ts=2026-05-25%2001:00:40`)
    cameOf(t, outcome, `> /assets/romm/resources/roms/1/${canonical}?ts=2026-05-25%2001:00:40`)
    t.equal(outcome.answer.status, 200, name)
  }
})
