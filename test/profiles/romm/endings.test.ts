import type { ServerResponse } from 'node:http'
import t from 'tap'
import { freshGateway } from '../../support/gateway.ts'
import { as, ask, freshStandin } from '../../support/romm/ask.ts'

t.test('nobody asks about a session while its logout is under way', async (t) => {
  const standin = await freshStandin(t)
  const { port } = await freshGateway(t, { 'upstream.url': standin.url })
  const headers = as('session vera')
  const arrived = Promise.withResolvers<void>()
  const mayEnd = Promise.withResolvers<void>()
  const end = async (response: ServerResponse): Promise<void> => {
    await mayEnd.promise
    standin.state.deleteSession(headers['cookie']?.replace('romm_session=', '') ?? '')
    response.writeHead(200).end('null')
  }
  standin.intercept = ({ url }, response) => {
    if (url !== '/api/logout') return false
    arrived.resolve()
    void end(response)
    return true
  }
  const logout = ask(port, '/api/logout', { method: 'POST', headers })
  await arrived.promise
  const before = standin.questions
  const other = ask(port, '/api/roms/1', { headers })
  // One of another session shows that the gateway is past the first.
  t.equal((await ask(port, '/api/roms/1', { headers: as('session admin') })).status, 200)
  t.equal(standin.questions, before + 1, 'one question, about the other session')
  mayEnd.resolve()
  t.equal((await logout).status, 200)
  t.equal((await other).status, 401, 'asked when it was over')
  t.equal((await ask(port, '/api/roms/1', { headers })).status, 401)
})
