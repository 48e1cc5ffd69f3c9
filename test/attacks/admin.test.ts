/** The admin listener believes whoever reaches it: so no web page may, and nothing it says is a credential. */
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { loadConfig } from '../../src/config/load.ts'
import { message, talk } from '../gateway/support.ts'
import { freshFolder } from '../cli/processes.ts'
import { freshGateway } from '../support/gateway.ts'
import { as, ask, freshStandin } from '../support/romm/ask.ts'
import { bare, basic, stage } from './support.ts'

const PLACES = ['/status', '/who', '/tail', '/refusals/x']

const judge = (admin: string, more: Record<string, string> = {}) =>
  loadConfig({ env: {}, overrides: { 'upstream.url': 'http://127.0.0.1:1', 'listen.admin': admin, ...more } })

t.test('a page whose name was made to point here is refused (DNS rebinding)', async (t) => {
  const { gateway } = await stage(t)
  const asking = async (place: string, host: string) =>
    (await talk(t, gateway.adminPort, `GET ${place} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).status
  const names = [
    'evil.example',
    `evil.example:${gateway.adminPort}`,
    '127.0.0.1.evil.example',
    'localhost.',
    '',
  ]
  for (const place of PLACES)
    for (const host of names) t.equal(await asking(place, host), 403, `${place} ${host}`)
  for (const host of ['127.0.0.1', 'localhost:1234', '[::1]:8092', '192.168.1.7'])
    t.equal(await asking('/status', host), 200, host)
})

t.test('a page that asks across origins is refused', async (t) => {
  const { gateway } = await stage(t)
  for (const line of [
    'Origin: https://evil.example',
    'Origin: null',
    `Origin: http://127.0.0.1:${gateway.adminPort}`,
    'Sec-Fetch-Site: cross-site',
    'Sec-Fetch-Site: same-site',
    'Sec-Fetch-Site: same-origin',
  ])
    for (const place of PLACES) {
      const bytes = `GET ${place} HTTP/1.1\r\nHost: localhost\r\n${line}\r\n\r\n`
      t.equal((await talk(t, gateway.adminPort, bytes)).status, 403, `${place} ${line}`)
    }
  const typed = 'GET /status HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: none\r\n\r\n'
  t.equal((await talk(t, gateway.adminPort, typed)).status, 200, 'an address that somebody typed')
})

t.test('no credential is in anything that it says', async (t) => {
  const { gateway, ask: send } = await stage(t, { settings: { enforcement: 'observe' } })
  const told: string[] = []
  const tailing = request({ port: gateway.adminPort, path: '/tail' }).end()
  const [lines] = (await once(tailing, 'response')) as [NodeJS.ReadableStream]
  lines.on('data', (chunk: Buffer) => told.push(chunk.toString()))
  const names = [
    'rmm vera all',
    'rmm unknown',
    'jwt vera all',
    'jwt expired',
    'session vera',
    'session unknown',
  ]
  for (const name of names)
    await send(
      t,
      '/api/users',
      Object.entries(as(name)).map((pair) => pair.join(': ')),
    )
  const { answer } = await send(t, '/api/roms', [basic('vera:guess-my-password'), 'User-Agent: x'])
  const id = answer.one('x-request-id') ?? ''
  for (const place of ['/status', '/who', `/refusals/${id}`]) {
    const { status, text } = await ask(gateway.adminPort, place)
    t.equal(status, 200, place)
    told.push(text)
  }
  const all = told.join('\n')
  t.match(all, /guess|vera|would_deny/)
  for (const secret of [
    ...names.map(bare),
    'guess-my-password',
    Buffer.from('vera:guess-my-password').toString('base64'),
  ])
    t.notMatch(all, secret)
  tailing.destroy()
})

t.test('a pairing code, which is one too, is in no path that is logged or told', async (t) => {
  for (const enforcement of ['enforce', 'observe']) {
    const { gateway, ask: send } = await stage(t, { settings: { enforcement } })
    const ids: string[] = []
    for (const [method, target] of [
      ['GET', '/api/client-tokens/pair/SESAME22/status'],
      ['PUT', '/api/client-tokens/pair/SESAME22/status'],
      ['GET', '/api/auth/device/pending/SESAME22'],
      ['PATCH', '/api/auth/device/pending/SESAME22'],
    ] as const) {
      const { answer } = await send(t, target, [], method)
      ids.push(answer.one('x-request-id') ?? '')
    }
    const told = await Promise.all(
      ids.map(async (id) => (await ask(gateway.adminPort, `/refusals/${id}`)).text),
    )
    const all = JSON.stringify([gateway.log, told])
    t.match(all, 'method_not_allowed')
    t.match(all, 'no_credential')
    t.match(all, '/api/client-tokens/pair/{code}/status')
    t.notMatch(all, 'SESAME22')
  }
})

t.test('nothing of it is reached through the edge, nor anything of the edge through it', async (t) => {
  const { gateway, ask: send } = await stage(t)
  for (const place of ['/-/postern/status', '/-/postern/who', '/-/postern/blocks', '/-/postern/tail']) {
    const { said, arrived } = await send(
      t,
      place,
      Object.entries(as('session admin')).map((pair) => pair.join(': ')),
    )
    t.equal(said, '404 no_route', place)
    t.same(arrived, [])
  }
  t.equal(
    (await talk(t, gateway.adminPort, message('/api/heartbeat').replace('games.example', 'localhost')))
      .status,
    404,
  )
})

t.test('nobody listens for an asker who cannot be told anything', async (t) => {
  const { gateway } = await stage(t)
  const bytes = 'HEAD /tail HTTP/1.1\r\nHost: localhost\r\n\r\n'
  t.equal((await talk(t, gateway.adminPort, bytes, 'HEAD')).status, 404)
})

t.test('what clients say of themselves cannot speak to a terminal', async (t) => {
  const { gateway, send } = await stage(t)
  await send(t, message('/api/roms', ['User-Agent: nice\x9b31mname\xad']))
  const { text } = await ask(gateway.adminPort, '/who')
  t.match(text, 'nice?31mname?')
})

t.test(
  'it listens on loopback, or on a socket for its user alone, unless an ugly name says otherwise',
  async (t) => {
    for (const address of [
      '0.0.0.0:8092',
      '[::]:8092',
      '192.168.1.7:8092',
      'postern.lan:8092',
      '127.0.0.1.evil.example:8092',
    ])
      t.match(judge(address), {
        ok: false,
        problems: [{ path: 'listen.admin', message: /whoever reaches it is believed/ }],
      })
    for (const address of [
      '127.0.0.1:8092',
      '127.8.9.1:8092',
      '[::1]:8092',
      'localhost:8092',
      'unix:/run/x',
      'off',
    ])
      t.match(judge(address), { ok: true, warnings: [] })
    t.match(judge('0.0.0.0:8092', { 'listen.dangerouslyExposeAdmin': 'on' }), {
      ok: true,
      warnings: [{ message: 'dangerouslyExposeAdmin is on' }],
    })
    const path = join(await freshFolder(t), 'admin.sock')
    const standin = await freshStandin(t)
    const { gateway } = await freshGateway(t, { 'upstream.url': standin.url, 'listen.admin': `unix:${path}` })
    t.equal(gateway.admin, `unix:${path}`)
    t.equal((await stat(path)).mode & 0o777, 0o600)
  },
)
