/** Who says what the original request was, and who is asking: the proxy and Postern, and no client through either way. */
import t from 'tap'
import { ELSEWHERE, FORWARDED, HEALTH_CHECKS, NO_ADDRESSES, OTHERWISE, OURS } from '../attacks/forwarded.ts'
import { asserted, type Outcome, received } from '../attacks/support.ts'
import { lines } from '../gateway/support.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import { CLIENT, freshSite, RECIPES } from './site.ts'

const standin = await freshStandin(t)
const by = (name: string): string[] => lines(as(name))
const CLAIM = '203.0.113.9'

/** The lines whose claim the backend was shown. */
function believed(outcome: Outcome, claims: readonly string[]): string[] {
  const values = received(outcome, /./)
  return claims.filter((line) => values.includes(line.slice(line.indexOf(':') + 2)))
}

for (const recipe of RECIPES) {
  const { way } = recipe
  t.test(recipe.name, async (t) => {
    const { ask, gateway } = await freshSite(t, recipe, standin)
    const client = () => gateway.log.filter((line) => 'decision' in line).at(-1)?.['client']

    t.test('another target, method or host in a header (CVE-2026-40575, CVE-2026-33495)', async (t) => {
      const truth = `X-Forwarded-Proto: ${recipe.scheme ?? 'http'}`
      const every = [...ELSEWHERE, ...OTHERWISE].filter((line) => line !== truth)
      for (const claims of [...every.map((line) => [line]), every]) {
        const refused = await ask(t, '/api/roms', claims)
        t.match(
          refused.said,
          way === 'before' ? /^401 no_cr/ : /^40[01] (?:no_cr|needs_rew)/,
          claims.join(' '),
        )
        t.same(refused.arrived, [])
        const open = await ask(t, '/api/heartbeat', claims)
        if (way === 'before') t.equal(open.arrived.length, 1, claims.join(' '))
        t.same(believed(open, claims), [])
      }
    })

    t.test('names that are ours, in whatever spelling (CVE-2025-64484, CVE-2026-54763)', async (t) => {
      for (const who of [[], by('session vera')]) {
        for (const claim of OURS.map((name) => `${name}: ${CLAIM}`)) {
          const outcome = await ask(t, '/api/heartbeat', [...who, claim])
          t.match(outcome.said, way === 'before' ? '200' : /^200$|^400 needs_rewriting/, claim)
          t.same(believed(outcome, [claim]), [])
        }
      }
    })

    t.test('Connection takes nothing away that the backend relies on (GHSA-w9mr-28mw-j8hg)', async (t) => {
      const named = [
        'X-Postern-Assertion',
        'X-Forwarded-For',
        'X-Forwarded-Uri',
        'X-Original-URI',
        'Authorization',
      ]
      for (const name of named) {
        const outcome = await ask(t, '/api/roms', [
          ...by('rmm vera all'),
          `Connection: close, ${name}`,
          `${name}x: 1`,
        ])
        t.ok(outcome.arrived.length === 0 || outcome.said === '200', name)
        const known = asserted(outcome)?.['preferred_username']
        if (way === 'before' && outcome.said === '200') t.equal(known, 'vera', name)
      }
    })

    t.test('an address of its own making (CVE-2024-21494, CVE-2026-57210)', async (t) => {
      const claims = [
        ...[CLAIM, `127.0.0.1, ${CLAIM}`, ...NO_ADDRESSES].map((entry) => `X-Forwarded-For: ${entry}`),
        ...FORWARDED.map((value) => `Forwarded: ${value}`),
        ...['X-Real-IP', 'X-Client-IP', 'True-Client-IP', 'CF-Connecting-IP'].map(
          (name) => `${name}: ${CLAIM}`,
        ),
      ]
      for (const claim of [...claims.map((line) => [line]), claims.slice(0, 2)]) {
        const outcome = await ask(t, '/api/heartbeat', claim)
        t.equal(client(), CLIENT, claim.join(' '))
        t.match(outcome.said, way === 'before' ? '200' : /^200$|^400 needs_rewriting/)
        t.notOk(
          received(outcome, /./).some((value) => value.includes('203.0.113.9')),
          claim.join(' '),
        )
      }
    })

    t.test('the backend is told of the client, the scheme and the host', async (t) => {
      const claims = ['X-Forwarded-Proto: https', 'X-Forwarded-Host: evil.example']
      const outcome = await ask(t, '/api/heartbeat', way === 'before' ? claims : [])
      const chain = way === 'before' ? `${CLIENT}, 127.0.0.1` : CLIENT
      t.same(received(outcome, /^x-forwarded-for$/i), [chain])
      t.same(received(outcome, /^x-forwarded-proto$/i), [recipe.scheme ?? 'http'])
      for (const host of received(outcome, /^(?:x-forwarded-)?host$/i)) t.equal(host, 'games.example')
    })

    t.test('an exception for health checks by User-Agent (CVE-2026-34457)', async (t) => {
      for (const agent of HEALTH_CHECKS)
        t.equal((await ask(t, '/api/roms', [`User-Agent: ${agent}`])).said, '401 no_credential', agent)
    })

    t.test('what is said twice is believed by nobody (CVE-2021-32777)', async (t) => {
      const [bearer = ''] = by('rmm vera all')
      for (const fields of [[bearer, bearer], ['Host: games.example']]) {
        const { answer, arrived } = await ask(t, '/api/roms', fields)
        t.ok(answer.status >= 400, answer.head)
        t.same(arrived, [])
      }
    })
  })
}
