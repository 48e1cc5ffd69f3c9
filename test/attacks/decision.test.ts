/** Who says what the original request was, to a decision API: the proxy that asks, in its own headers, and nobody through it. */
import t from 'tap'
import {
  claimsOf,
  type Decider,
  DIALECTS,
  type DialectName,
  freshDecider,
  OWN,
  said,
} from '../support/decision.ts'
import { lines, message } from '../gateway/support.ts'
import { as, freshStandin } from '../support/romm/ask.ts'

const standin = await freshStandin(t)
const vera = lines(as('session vera'))
/** A route that needs somebody, and one that does not. */
const [CLOSED, OPEN] = ['/api/roms', '/api/heartbeat']

/** Where proxies, and what stands behind them, look for another target, method, scheme or host. */
const CLAIMS: readonly (readonly [name: string, value: string])[] = [
  ...['X-Forwarded-Uri', 'X-Forwarded-Path', 'X-Original-URL', 'X-Original-URI', 'X-Rewrite-URL'].map(
    (name) => [name, OPEN] as const,
  ),
  ...['X-Envoy-Original-Path', 'X-Forwarded-Prefix', 'X-Auth-Request-Redirect'].map(
    (name) => [name, OPEN] as const,
  ),
  ...['X-Forwarded-Method', 'X-Original-Method', 'X-HTTP-Method-Override', 'X-Method-Override'].map(
    (name) => [name, 'OPTIONS'] as const,
  ),
  ['X-Forwarded-Proto', 'http'],
  ['X-Forwarded-Host', 'localhost'],
  ['X-Original-Host', 'localhost'],
  ['X-Forwarded-Port', '80'],
  ['X-Forwarded-For', '127.0.0.1'],
  ['X-Original-Upgrade', ''],
]

for (const dialect of DIALECTS) {
  const decider = await freshDecider(t, dialect, { standin })

  t.test(`${dialect}: a client's word on what it asks for (CVE-2026-40575, CVE-2026-33495)`, async (t) => {
    for (const [name, value] of CLAIMS) {
      for (const spelling of [name, name.toLowerCase(), name.replaceAll('-', '_'), name.replace('-', '.')]) {
        const line = `${spelling}: ${value}`
        const fields = ['Accept: */*', line]
        // Before the proxy's own lines and behind them: neither the first nor the last may win.
        const first = await decider.ask(t, { uri: CLOSED, fields })
        const last = await decider.ask(t, { uri: CLOSED, own: [...OWN[dialect]({ uri: CLOSED }), line] })
        for (const answer of [first, last]) {
          t.not(answer.status, 200, line)
          t.equal(claimsOf(answer), undefined)
        }
      }
    }
  })

  t.test(
    `${dialect}: such a word beside a request that may pass (CVE-2026-3635, CVE-2026-35051)`,
    async (t) => {
      const harmless = new Set(['X-Auth-Request-Redirect', 'X-Original-Upgrade'])
      for (const [name, value] of CLAIMS) {
        if (harmless.has(name)) continue
        const answer = await decider.ask(t, { uri: OPEN, fields: [...vera, `${name}: ${value}`] })
        // Of what Traefik writes and deletes itself nothing can be a client's.
        const isTraefiks = dialect === 'traefik' && name === 'X-Forwarded-Port'
        t.match(
          said(answer),
          isTraefiks ? /^400 unclear_question$/ : /^400 (unclear_question|needs_rewriting)$/,
          name,
        )
      }
    },
  )

  t.test(`${dialect}: the words of another proxy's dialect`, async (t) => {
    for (const other of DIALECTS) {
      if (isAlike(dialect, other)) continue
      const answer = await decider.ask(t, { uri: OPEN, own: OWN[other]({ uri: OPEN }) })
      t.equal(answer.status === 200, false, `${dialect} asked as ${other}`)
      const both = [...OWN[dialect]({ uri: CLOSED }), ...OWN[other]({ uri: OPEN })]
      t.not((await decider.ask(t, { uri: CLOSED, own: both })).status, 200)
    }
  })

  t.test(`${dialect}: exceptions for health checks by User-Agent (CVE-2026-34457)`, async (t) => {
    for (const agent of ['kube-probe/1.31', 'GoogleHC/1.0', 'ELB-HealthChecker/2.0', 'Prometheus/3.0', ''])
      t.equal(
        said(await decider.ask(t, { uri: CLOSED, fields: [`User-Agent: ${agent}`] })),
        '401 no_credential',
      )
  })

  t.test(`${dialect}: failing open on malformed input (CVE-2026-25748, CVE-2026-54762)`, async (t) => {
    for (const uri of [
      '/api/%zz',
      '/api/%2e%2e/x',
      '/api%2froms',
      '/api\\roms',
      '/api/roms#x',
      '/a/..;/b',
      '/%00',
    ])
      t.equal(said(await decider.ask(t, { uri, fields: vera })), '400 ambiguous_target', uri)
    if (dialect === 'envoy') return
    for (const uri of [
      'api/roms',
      '?x',
      'http://',
      '*',
      'http://evil.example/api/heartbeat',
      '//evil.example',
      '@evil/x',
    ])
      t.equal((await decider.ask(t, { uri, fields: vera })).one('postern-reason') === undefined, false, uri)
    for (const method of ['CONNECT', 'TRACE', 'GET /api/heartbeat', 'GET,OPTIONS', '\tGET\x0b', 'GÉT', 'get'])
      t.not((await decider.ask(t, { uri: CLOSED, method })).status, 200, method)
  })

  t.test(
    `${dialect}: the left-most X-Forwarded-For (CVE-2024-21494), Forwarded (CVE-2026-57210)`,
    async (t) => {
      const own = saying(dialect, OPEN, '127.0.0.1, 203.0.113.9, 198.51.100.7')
      t.equal(said(await decider.ask(t, { uri: OPEN, own })), '200')
      t.match(decider.log.at(-1), { decision: 'permit', client: '198.51.100.7' })
      for (const value of ['for=127.0.0.1', 'for="127.0.0.1, 198.51.100.7"', 'for="[::1]:80";proto=http']) {
        const answer = await decider.ask(t, { uri: OPEN, fields: [`Forwarded: ${value}`] })
        t.equal(said(answer), '400 needs_rewriting')
      }
      for (const entry of ['unknown', ',', '"198.51.100.7"', '999.1.1.1', 'a'.repeat(4_000)]) {
        const broken = saying(dialect, CLOSED, entry)
        t.equal(
          said(await decider.ask(t, { uri: CLOSED, own: broken })),
          '401 no_credential',
          entry.slice(0, 20),
        )
      }
    },
  )
}

/** A token that is nobody's. */
function guess(n: number): string {
  return `Authorization: Bearer rmm_${String(n).padStart(64, '0')}`
}

/** What a proxy says of a request that came over `chain`. */
function saying(dialect: DialectName, uri: string, chain: string): string[] {
  return OWN[dialect]({ uri }).map((line) =>
    /^x-forwarded-for:/i.test(line) ? `X-Forwarded-For: ${chain}` : line,
  )
}

/** Traefik's words are Caddy's and more. */
function isAlike(one: DialectName, other: DialectName): boolean {
  return one === other || (one === 'traefik' && other === 'caddy')
}

t.test(
  'a client that a proxy lets through to the listener by mistake, and that does not say what it wants',
  async (t) => {
    const decider = await freshDecider(t, 'caddy', { standin })
    const forwarded = [
      'X-Forwarded-For: 198.51.100.7',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Host: games.example',
    ]
    for (const target of [
      '/api/heartbeat',
      '/decide',
      '/decide/',
      '/decide?X-Forwarded-Uri=/api/heartbeat',
      '/',
    ]) {
      const bytes = message(target, [...vera, ...forwarded])
      const answer = await decider.send(t, bytes)
      t.equal(said(answer), '400 unclear_question', target)
      t.equal(claimsOf(answer), undefined)
    }
  },
)

t.test('guessing through the proxy: the address that guesses is told to wait, and no other', async (t) => {
  const decider: Decider = await freshDecider(t, 'caddy', {
    standin,
    settings: { 'attempts.perAddress': '2' },
  })
  const from = (address: string): string[] =>
    OWN.caddy({ uri: CLOSED }).map((line) => line.replace('198.51.100.7', address))
  const outcomes: string[] = []
  for (let n = 0; n < 4; n++)
    outcomes.push(said(await decider.ask(t, { uri: CLOSED, fields: [guess(n)], own: from('203.0.113.1') })))
  t.same(outcomes.slice(0, 2), ['401 invalid_credential', '401 invalid_credential'])
  t.equal(outcomes.at(-1), '429 too_many_attempts')
  const other = await decider.ask(t, { uri: CLOSED, fields: [guess(9)], own: from('203.0.113.2') })
  t.equal(said(other), '401 invalid_credential')
})
