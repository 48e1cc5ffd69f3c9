import { readFileSync } from 'node:fs'
import t from 'tap'
import { loadConfig } from '../../src/config/load.ts'
import { freshGateway } from '../support/gateway.ts'
import { as, ask, freshStandin } from '../support/romm/ask.ts'

const PAGE = readFileSync(new URL('../../docs/migration.md', import.meta.url), 'utf8')
const BLOCKS = [...PAGE.matchAll(/^( *)```yaml\n([^`]*)```/gm)].map(([, indent = '', text = '']) =>
  text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
)
/** What login proxies add to a request that they let through. */
const ADDED = { 'remote-user': 'admin', 'x-forwarded-user': 'admin', 'x-auth-request-user': 'admin' }
const FOREIGN = { authorization: 'Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmVk' }

t.test('docs/migration.md shows settings that load', async (t) => {
  t.equal(BLOCKS.length, 2)
  for (const text of BLOCKS) {
    const loaded = loadConfig({ env: {}, text, overrides: { 'upstream.url': 'http://romm:8080' } })
    t.ok(loaded.ok, JSON.stringify(loaded))
  }
})

t.test('passwords of people who sign in by OIDC can be closed', async (t) => {
  const standin = await freshStandin(t)
  const [text = ''] = BLOCKS
  const { port } = await freshGateway(t, { 'upstream.url': standin.url }, { text })
  for (const path of ['/api/login', '/api/login/', '/api/token'])
    t.equal((await ask(port, path, { method: 'POST', headers: as('basic vera') })).status, 404, path)
  t.equal((await ask(port, '/api/login/openid')).status, 200, "RomM's own OIDC login passes")
  t.equal((await ask(port, '/api/roms', { headers: as('rmm vera all') })).status, 200)
})

t.test('what a login proxy before Postern adds makes nobody anybody', async (t) => {
  const standin = await freshStandin(t)
  const { port } = await freshGateway(t, { 'upstream.url': standin.url })
  t.equal((await ask(port, '/api/roms', { headers: ADDED })).status, 401)
  t.equal((await ask(port, '/api/roms', { headers: FOREIGN })).status, 401)
  const cookie = `${as('session vera')['cookie'] ?? ''}; _oauth2_proxy=x; authelia_session=y`
  const answer = await ask(port, '/api/users/me', { headers: { ...ADDED, ...FOREIGN, cookie } })
  t.match([answer.status, JSON.parse(answer.text)], [200, { username: 'vera' }])
  const seen = standin.requests.at(-1)?.headers
  t.notHas(seen, 'authorization')
  t.notHas(seen, 'x-forwarded-user')
})
