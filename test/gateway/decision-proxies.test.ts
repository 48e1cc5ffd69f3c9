/** The decision API behind real proxies, with the configuration that is shipped for them. */
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { freshDecider, said } from '../support/decision.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import type { Received } from '../support/romm/standin.ts'
import { type Behind, startCaddy, startNginx } from '../support/services/proxies.ts'
import type { Server } from '../support/services/server.ts'
import { lines, message, type RawAnswer, talk } from './support.ts'

const PROXIES = { caddy: startCaddy, nginx: startNginx } as const satisfies Record<
  string,
  (behind: Behind) => Promise<Server>
>
/** What a socket is first told, or the status that it got instead. */
async function open(port: number, headers: Record<string, string>): Promise<string> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/socket.io/`, {
    headers: { host: 'games.example', ...headers },
  })
  const outcome = Promise.withResolvers<string>()
  socket.once('message', (data: Buffer) => outcome.resolve(data.toString()))
  socket.once('unexpected-response', (_request, response) => {
    outcome.resolve(String(response.statusCode))
    socket.terminate()
  })
  socket.once('error', () => undefined)
  const came = await outcome.promise
  socket.terminate()
  return came
}

/** What proxies like to tidy up. */
const TARGETS = [
  ...['/api/roms?search=a%20b&x=%2F..%2f', '/api/roms?a?b=//c', '/api/roms?q=[x]|{y}', '/api/roms?'],
  ...[
    "/assets/romm/resources/a;b,c'(d)!*@=.png",
    '/assets/romm/resources/%E3%82%BC%25%23%3F.png',
    '/api/roms/',
  ],
  ...[
    '//api/roms',
    '/api//roms',
    '/api/./roms',
    '/api/x/../roms',
    '/api/%2e%2e/roms',
    '/api%2froms',
    '/%61pi/roms',
  ],
  ...[
    '/api/roms%3Fa',
    '/api/roms%',
    '/api/roms%zz',
    '/api/roms;x',
    '/api/roms\\x',
    '/api/roms#x',
    '/api/roms%00',
  ],
  ...['/assets/romm/resources/[1].png'],
]

const by = (name: string): string[] => lines(as(name))

for (const [name, start] of Object.entries(PROXIES)) {
  t.test(name, async (t) => {
    const standin = await freshStandin(t)
    const decider = await freshDecider(t, name as keyof typeof PROXIES, { standin })
    const proxy = await start({ decision: decider.decisionPort, backend: standin.port })
    t.teardown(() => proxy.close())

    /** What became of a request to the proxy, and what of it reached the backend; the gateway's questions have no Host of ours. */
    const send = async (
      t: Test,
      target: string,
      fields: readonly string[] = [],
      method = 'GET',
    ): Promise<{ answer: RawAnswer; arrived: Received | undefined }> => {
      standin.forget()
      const answer = await talk(
        t,
        proxy.port,
        message(target, ['Connection: close', ...fields], method),
        method,
      )
      return { answer, arrived: standin.requests.find(({ headers }) => headers.host === 'games.example') }
    }

    t.test('every mode passes, and the backend is told who it is', async (t) => {
      for (const mode of ['session vera', 'basic vera', 'jwt vera all', 'rmm vera all']) {
        const { answer, arrived } = await send(t, '/api/roms?search=a%20b', by(mode))
        t.equal(answer.status, 200, answer.head)
        t.equal(answer.one('x-postern-assertion'), undefined, 'the client is not shown it')
        t.equal(arrived?.target, '/api/roms?search=a%20b')
        t.match(String(arrived?.headers['x-postern-assertion']), /^ey[\w-]+\.[\w-]+\.[\w-]+$/)
      }
      const { answer, arrived } = await send(t, '/api/heartbeat')
      t.equal(answer.status, 200)
      t.equal(arrived?.headers['x-postern-assertion'] || undefined, undefined)
    })

    t.test('refusals arrive with their status, and nothing reaches the backend', async (t) => {
      const cases: readonly (readonly [string, readonly string[], string, string])[] = [
        ['/api/roms', [], 'GET', '401 no_credential'],
        ['/api/users', by('session vera'), 'GET', '403 insufficient_scope'],
        ['/api/nowhere', by('session admin'), 'GET', '404 no_route'],
        ['/api/heartbeat', by('session admin'), 'DELETE', '405 method_not_allowed'],
        ['//api/heartbeat', [], 'GET', '400 needs_rewriting'],
        ['/api/%72oms', by('session admin'), 'GET', '400 needs_rewriting'],
        ['/api/roms', [...by('session vera'), ...by('jwt vera all')], 'GET', '400 conflicting_credentials'],
      ]
      for (const [target, fields, method, expected] of cases) {
        const { answer, arrived } = await send(t, target, fields, method)
        t.equal(said(answer), expected, answer.head)
        t.match(answer.body, /^\{"detail":"/)
        t.equal(arrived, undefined)
        t.equal(answer.one('x-postern-assertion'), undefined)
      }
      const { answer } = await send(t, '/api/roms')
      t.equal(answer.one('www-authenticate'), 'Bearer')
      const dead = await send(t, '/api/roms', by('session unknown'))
      t.match(dead.answer.one('set-cookie'), /^romm_session=/)
    })

    t.test('what a client says of another request reaches neither of the two', async (t) => {
      const elsewhere = [
        ...[
          'X-Forwarded-Uri: /api/heartbeat',
          'X-Forwarded-Method: OPTIONS',
          'X-Original-URI: /api/heartbeat',
        ],
        ...['X-Original-Method: OPTIONS', 'X-Forwarded-For: 203.0.113.9', 'X-Original-URL: /api/heartbeat'],
        ...['X_Forwarded_Uri: /api/heartbeat', 'X-Postern-Assertion: forged', 'X_Postern_Assertion: forged'],
        ...['Connection: X-Forwarded-Uri, X-Original-URI, X-Postern-Assertion'],
      ]
      for (const line of elsewhere) {
        const refused = await send(t, '/api/roms', [line])
        t.not(refused.answer.status, 200, line)
        t.equal(refused.arrived, undefined, line)
        const { arrived } = await send(t, '/api/heartbeat', [line])
        const values = arrived?.rawHeaders.filter((_, i) => i % 2 === 1) ?? []
        const claimed = line.slice(line.indexOf(':') + 2)
        t.notOk(values.includes(claimed), `${line} went on`)
      }
      const { arrived } = await send(t, '/api/heartbeat', [
        'X-Forwarded-For: 203.0.113.9',
        'Forwarded: for=203.0.113.9',
      ])
      t.equal(arrived?.headers['x-forwarded-for'], '127.0.0.1')
      t.equal(arrived?.headers['forwarded'], undefined)
      t.match(decider.log.at(-1), { decision: 'permit', client: '127.0.0.1' })
    })

    t.test('what is decided on is what reaches the backend, byte for byte', async (t) => {
      const outcomes = new Map<string, string>()
      for (const target of TARGETS) {
        const { answer, arrived } = await send(t, target, by('session admin'))
        const reason = answer.one('postern-reason')
        outcomes.set(
          target,
          reason === undefined && arrived !== undefined ? `> ${arrived.target}` : 'refused',
        )
        if (reason !== undefined) t.equal(arrived, undefined, target)
      }
      for (const [target, outcome] of outcomes)
        t.ok(outcome === `> ${target}` || outcome === 'refused', outcome)
      t.ok(
        [...outcomes.values()].filter((outcome) => outcome.startsWith('>')).length >= 6,
        'not all are refused',
      )
    })

    t.test('an upload is decided on before it is sent on', async (t) => {
      const refused = await send(t, '/api/roms/upload/start', ['Content-Length: 3', '', 'abc'], 'POST')
      t.equal(refused.answer.status, 401)
      t.equal(refused.arrived, undefined)
    })

    t.test('a socket is decided on at its handshake', async (t) => {
      t.match(await open(proxy.port, as('session vera')), /"user":"vera"/)
      t.match(
        await open(proxy.port, { ...as('session vera'), origin: 'http://games.example' }),
        /"user":"vera"/,
      )
      t.equal(await open(proxy.port, { ...as('session vera'), origin: 'https://evil.example' }), '403')
    })

    t.test('while Postern is away nothing passes', async (t) => {
      await decider.gateway.close()
      const { answer, arrived } = await send(t, '/api/heartbeat', by('session vera'))
      t.ok(answer.status >= 500, answer.head)
      t.equal(arrived, undefined)
    })
  })
}
