import { once } from 'node:events'
import { createServer, request, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { systemClock } from '../../src/identity/clock.ts'
import { StandaloneStore } from '../../src/profiles/standalone/store.ts'
import { freshGateway } from '../support/gateway.ts'
import { ask } from '../support/romm/ask.ts'
import { posternsSide, shipped, startProxy } from '../support/services/proxies.ts'
import { HOST } from '../support/services/server.ts'
import { basic } from '../support/standalone.ts'

const RECIPE = shipped('docs/examples/nginx-backend.conf')
const RULES = 'rules: [{ path: /app, authenticated: true }, { path: /open, public: true }]'
/** Somebody else's address on this machine. */
const ELSEWHERE = '127.0.0.9'

t.test('nginx alone: nobody but Postern comes near, and its plain headers count', async (t) => {
  const seen: IncomingHttpHeaders[] = []
  const legacy = createServer(({ headers }, response) => {
    seen.push(headers)
    response.end(headers['remote-user'] ?? 'nobody')
  })
  await once(legacy.listen(0, HOST), 'listening')
  t.teardown(() => legacy.close())
  const behind = { edge: 1, decision: 1, backend: 1 }
  const { port } = legacy.address() as AddressInfo // a TCP server's address is never a string
  const recipe = RECIPE.replaceAll('legacy:8080', `${HOST}:${port}`).replaceAll('172.30.90.2', HOST)
  const nginx = await startProxy('nginx', recipe, behind)
  t.teardown(() => nginx.close())

  t.same(parse(posternsSide(RECIPE)), { assertion: { plainHeaders: true } })
  const settings = { profile: 'standalone', 'upstream.url': nginx.url, 'assertion.plainHeaders': 'true' }
  const served = await freshGateway(t, settings, { text: RULES })
  const file = join(served.folder, 'postern.sqlite')
  const store = new StandaloneStore({ file, tokenPrefix: 'pst_', clock: systemClock })
  await store.addUser('ada', 'a-long-password', { scopes: [] })
  store.close()

  const ada = { authorization: basic('ada', 'a-long-password') }
  const forged = { 'x-forwarded-user': 'admin', x_forwarded_user: 'admin', 'remote-user': 'admin' }
  t.match(await ask(served.port, '/app', { headers: ada }), { status: 200, text: 'ada' })
  t.match(await ask(served.port, '/app', { headers: { ...ada, ...forged } }), { status: 200, text: 'ada' })
  t.match(await ask(served.port, '/app', { headers: forged }), { status: 401 })
  t.match(await ask(served.port, '/open', { headers: forged }), { status: 401 }, 'nobody, on a public route')
  t.equal(await statusFrom(ELSEWHERE, nginx.port, forged), 403)
  t.equal(
    await statusFrom(ELSEWHERE, nginx.port, { ...forged, 'x-forwarded-for': HOST, 'x-real-ip': HOST }),
    403,
  )
  t.equal(seen.length, 2, 'and nothing of the others reached the backend')
})

/** The status of `/app`, asked from an address of this machine. */
async function statusFrom(
  localAddress: string,
  port: number,
  headers: Record<string, string>,
): Promise<number> {
  const asking = request({ host: HOST, port, path: '/app', headers, localAddress, agent: false })
  const [response] = (await once(asking.end(), 'response')) as [
    { readonly statusCode: number; resume(): void },
  ]
  response.resume()
  return response.statusCode
}
