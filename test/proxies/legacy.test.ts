/** A backend without accounts, which reads the assertion, behind each proxy and in both ways. */
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import { join } from 'node:path'
import t from 'tap'
import { parse, stringify } from 'yaml'
import { cameOf, received } from '../attacks/support.ts'
import { ask as askFor, freshStandin } from '../support/romm/ask.ts'
import { shipped } from '../support/services/proxies.ts'
import { basic, openStore } from '../support/standalone.ts'
import { freshSite, RECIPES, sideOf } from './site.ts'

/** What stands behind does not matter here: nobody's credential gets there. */
const standin = await freshStandin(t)
const folder = t.testdir()
const database = join(folder, 'postern.sqlite')
const store = openStore(t, database)
await store.addUser('ada', 'a long password', { scopes: ['read', 'write'] })
const { token } = store.addToken('ada', 'phone', { scopes: ['read'] })

/** What the recipes tell their reader to change for such a backend. */
const edit = (recipe: string): string =>
  recipe.replaceAll('#legacy ', '').replace('[clean, postern]', '[clean, postern, strip]')

for (const recipe of RECIPES.map((each) => ({ ...each, edit }))) {
  t.test(recipe.name, async (t) => {
    const standalone = parse(shipped('config/standalone.yaml')) as object
    const text = stringify({ ...standalone, ...(parse(sideOf(recipe)) as object) })
    const { ask, gateway } = await freshSite(t, recipe, standin, { 'standalone.database': database }, text)
    const keys = (await askFor(gateway.port, '/.well-known/postern/jwks.json')).text
    const jwks = createLocalJWKSet(JSON.parse(keys) as JSONWebKeySet)

    for (const [how, authorization, scope] of [
      ['a password', basic('ada', 'a long password'), 'read write'],
      ['a token', `Bearer ${token}`, 'read'],
    ] as const) {
      t.test(
        `with ${how}: the backend is told who is asking, and has nothing to repeat it with`,
        async (t) => {
          const outcome = await ask(t, '/notes', [`Authorization: ${authorization}`, 'Cookie: theme=dark'])
          t.equal(outcome.arrived.length, 1, outcome.said)
          const [assertion = '', ...more] = received(outcome, /^x-postern-assertion$/i)
          t.same(more, [])
          const { payload } = await jwtVerify(assertion, jwks, { issuer: 'postern', audience: 'backend' })
          t.match(payload, { preferred_username: 'ada', scope })
          t.same(received(outcome, /^authorization$/i), [])
          t.same(received(outcome, /^cookie$/i), ['theme=dark'])
          t.equal(outcome.answer.one('x-postern-assertion'), undefined)
        },
      )
    }

    t.test('nobody, and who may not, get nowhere', async (t) => {
      cameOf(t, await ask(t, '/notes'), '401 no_credential')
      cameOf(t, await ask(t, '/notes', ['Authorization: Bearer pst_unknown']), '401 invalid_credential')
      cameOf(
        t,
        await ask(t, '/notes', [`Authorization: Bearer ${token}`], 'DELETE'),
        '403 insufficient_scope',
      )
    })

    t.test('nobody makes himself one by a header of his own', async (t) => {
      const names = ['X-Postern-Assertion', 'X_Postern_Assertion', 'X-Forwarded-User', 'Remote-User']
      for (const name of names) {
        const outcome = await ask(t, '/health', [`${name}: ada`])
        t.notOk(received(outcome, /./).includes('ada'), name)
        t.same((await ask(t, '/notes', [`${name}: ada`])).arrived, [])
      }
    })
  })
}
