/** Who says what the original request was: a proxy that is trusted, and of what it says only the client's address and scheme. */
import t from 'tap'
import { lines } from '../gateway/support.ts'
import { as } from '../support/romm/ask.ts'
import { ELSEWHERE, FORWARDED, HEALTH_CHECKS, NO_ADDRESSES, OTHERWISE } from './forwarded.ts'
import { cameOf, type Outcome, received, stage } from './support.ts'

const nobody = await stage(t)
const empty = await stage(t, { before: nobody.standin, text: 'trustedProxies: []' })
const trusting = await stage(t, { before: nobody.standin, text: 'trustedProxies: [127.0.0.1, 10.0.0.0/8]' })
const EVERY = { 'by default': nobody, 'with an empty list': empty, 'with a trusted proxy': trusting }

const addressOf = (outcome: Outcome): Record<string, string[]> => ({
  for: received(outcome, /^x-forwarded-for$/i),
  proto: received(outcome, /^x-forwarded-proto$/i),
  host: received(outcome, /^x-forwarded-host$/i),
  real: received(outcome, /^x-real-ip$/i),
})
const fromUs = (address: string, proto = 'http', chain = address): Record<string, string[]> => ({
  for: [chain],
  proto: [proto],
  host: ['games.example'],
  real: [address],
})

for (const [how, { ask }] of Object.entries(EVERY)) {
  t.test(`another target, method or host in a header (CVE-2026-40575, CVE-2026-33495), ${how}`, async (t) => {
    for (const line of [...ELSEWHERE, ...OTHERWISE])
      cameOf(t, await ask(t, '/api/roms', [line]), '401 no_credential')
    cameOf(t, await ask(t, '/api/roms', [...ELSEWHERE, ...OTHERWISE]), '401 no_credential')
    const open = await ask(t, '/api/heartbeat', [...ELSEWHERE, ...OTHERWISE])
    cameOf(t, open, '> /api/heartbeat')
    const kept = open.arrived[0]?.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase())
    const ours = [
      'host',
      'x-forwarded-for',
      'x-forwarded-proto',
      'x-forwarded-host',
      'x-real-ip',
      'x-request-id',
    ]
    t.same(
      kept?.filter((name) => name !== 'connection').sort(),
      ours.sort(),
      'nothing of it goes on (CVE-2026-3635, CVE-2026-35051)',
    )
    t.same(received(open, /^x-forwarded-host$/i), ['games.example'])
  })

  t.test(`an exception for health checks by User-Agent (CVE-2026-34457), ${how}`, async (t) => {
    for (const agent of HEALTH_CHECKS) {
      cameOf(t, await ask(t, '/api/roms', [`User-Agent: ${agent}`]), '401 no_credential')
    }
  })
}

const CHAIN = ['X-Forwarded-For: 127.0.0.1, 203.0.113.9', 'X-Forwarded-For: 198.51.100.7, 10.0.0.9:1234']

t.test('by default, and with an empty list, nobody is believed', async (t) => {
  for (const { ask } of [nobody, empty]) {
    const outcome = await ask(t, '/api/heartbeat', [
      ...CHAIN,
      'X-Forwarded-Proto: https',
      'X-Real-IP: 203.0.113.9',
    ])
    t.same(addressOf(outcome), fromUs('127.0.0.1'))
  }
})

t.test('the left-most entry of X-Forwarded-For taken as the client (CVE-2024-21494)', async (t) => {
  const outcome = await trusting.ask(t, '/api/heartbeat', CHAIN)
  t.same(addressOf(outcome), fromUs('198.51.100.7', 'http', '198.51.100.7, 10.0.0.9, 127.0.0.1'))
})

t.test('Forwarded, quoted or not (CVE-2026-57210)', async (t) => {
  for (const { ask } of Object.values(EVERY)) {
    for (const value of FORWARDED) {
      const outcome = await ask(t, '/api/heartbeat', [`Forwarded: ${value}`, `forwarded: ${value}`])
      t.same(addressOf(outcome), fromUs('127.0.0.1'), value)
      t.same(received(outcome, /^forwarded$/i), [])
    }
  }
})

t.test('failing open on malformed input (CVE-2026-25748, CVE-2026-54762)', async (t) => {
  for (const entry of NO_ADDRESSES) {
    const claims = [`X-Forwarded-For: ${entry}`, 'X-Forwarded-Proto: gopher']
    cameOf(t, await trusting.ask(t, '/api/roms', claims), '401 no_credential')
    t.same(
      addressOf(await trusting.ask(t, '/api/heartbeat', claims)),
      fromUs('127.0.0.1'),
      entry.slice(0, 40),
    )
  }
  const beyond = await trusting.ask(t, '/api/heartbeat', ['X-Forwarded-For: 198.51.100.7, unknown, 10.0.0.9'])
  t.same(addressOf(beyond), fromUs('10.0.0.9', 'http', '10.0.0.9, 127.0.0.1'), 'nothing left of it counts')
})

t.test('a scheme that only the client claims does not make a foreign page ours', async (t) => {
  const handshake = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']
  const fields = [...handshake, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', ...lines(as('session vera'))]
  const claims = ['Origin: https://games.example', 'X-Forwarded-Proto: https']
  for (const [{ ask }, said] of [
    [nobody, '403 foreign_origin'],
    [empty, '403 foreign_origin'],
    [trusting, '101'],
  ] as const) {
    t.equal((await ask(t, '/ws/socket.io/', [...fields, ...claims])).said, said)
  }
})
