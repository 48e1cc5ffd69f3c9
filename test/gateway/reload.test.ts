import t from 'tap'
import { configOf, freshGateway, inFolder } from '../support/gateway.ts'
import { as, ask, freshStandin } from '../support/romm/ask.ts'

t.test(
  'a request that waits for its decision while the configuration changes is answered all the same',
  async (t) => {
    const standin = await freshStandin(t)
    const settings = { 'upstream.url': standin.url }
    const { gateway, port, folder } = await freshGateway(t, settings)
    const asked = Promise.withResolvers<void>()
    const mayAnswer = Promise.withResolvers<void>()
    standin.intercept = ({ url, headers }, response) => {
      if (url !== '/api/users/me' || headers.authorization === undefined) return false
      asked.resolve()
      void mayAnswer.promise.then(() => response.writeHead(401).end())
      return true
    }
    const waiting = ask(port, '/api/roms/1', { headers: as('rmm vera all') })
    await asked.promise
    await gateway.reload(configOf({ ...inFolder(folder), ...settings }))
    standin.intercept = undefined
    mayAnswer.resolve()
    t.equal((await waiting).status, 401, 'by the answer it waited for')
    t.equal(
      (await ask(port, '/api/roms/1', { headers: as('rmm vera all') })).status,
      200,
      'and the next by the new one',
    )
  },
)

t.test('of two reloads at once the later wins', async (t) => {
  const standin = await freshStandin(t)
  const { gateway, port, folder } = await freshGateway(t, { 'upstream.url': standin.url })
  const closing = (path: string) =>
    configOf({ ...inFolder(folder), 'upstream.url': standin.url }, `rules: [{ path: ${path}, closed: true }]`)
  await Promise.all([gateway.reload(closing('/one')), gateway.reload(closing('/two'))])
  t.equal((await ask(port, '/one')).status, 200)
  t.equal((await ask(port, '/two')).status, 404)
})
