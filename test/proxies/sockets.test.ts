/** WebSockets through each proxy and in both ways. */
import { once } from 'node:events'
import t from 'tap'
import { WebSocket } from 'ws'
import { lines } from '../gateway/support.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import { freshSite, RECIPES } from './site.ts'

const standin = await freshStandin(t)

/** What a socket is first told, with the socket, or the status that came in its place. */
async function open(
  port: number,
  headers: Record<string, string>,
): Promise<{ socket: WebSocket; came: string }> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/socket.io/`, {
    headers: { host: 'games.example', ...headers },
  })
  const outcome = Promise.withResolvers<string>()
  socket.once('message', (data: Buffer) => outcome.resolve(data.toString()))
  socket.once('unexpected-response', (_request, response) => {
    outcome.resolve(String(response.statusCode))
    socket.terminate()
  })
  // Of terminating what never opened.
  socket.on('error', () => undefined)
  return { socket, came: await outcome.promise }
}

for (const recipe of RECIPES) {
  const { scheme = 'http' } = recipe
  const other = scheme === 'http' ? 'https' : 'http'
  t.test(recipe.name, async (t) => {
    const { proxy, ask } = await freshSite(t, recipe, standin)

    t.test('whoever is known gets one, from a page of the same origin or from an app', async (t) => {
      const session = as('session vera')
      const allowed = [
        session,
        as('basic vera'),
        as('jwt vera all'),
        as('rmm vera all'),
        { ...session, origin: `${scheme}://games.example` },
      ]
      for (const headers of allowed) {
        const { socket, came } = await open(proxy.port, headers)
        t.match(came, /"url":"\/ws\/socket\.io\/"/, JSON.stringify(headers))
        socket.terminate()
      }
    })

    t.test('nobody else does', async (t) => {
      const refused: readonly (readonly [Record<string, string>, string])[] = [
        [{}, '401'],
        [as('session unknown'), '401'],
        [as('rmm unknown'), '401'],
        [{ ...as('session vera'), origin: 'https://evil.example' }, '403'],
        [{ ...as('session vera'), origin: 'null' }, '403'],
        // The scheme is the proxy's to say.
        [{ ...as('session vera'), origin: `${other}://games.example`, 'x-forwarded-proto': other }, '403'],
      ]
      for (const [headers, status] of refused) {
        standin.forget()
        t.equal((await open(proxy.port, headers)).came, status, JSON.stringify(headers))
        t.notOk(standin.requests.some(({ upgrade }) => upgrade))
      }
    })

    t.test('a message comes back whole, however long', async (t) => {
      const { socket } = await open(proxy.port, as('session vera'))
      const message = Buffer.alloc(1_000_000, 'x')
      socket.send(message)
      const [echo] = (await once(socket, 'message')) as [Buffer]
      t.ok(message.equals(echo))
      socket.terminate()
    })

    // With the decision API nobody of ours holds the socket.
    if (recipe.way === 'before') {
      t.test('it closes when its credential is dead', async (t) => {
        const { socket } = await open(proxy.port, as('session edith'))
        const closed = once(socket, 'close')
        const gone = await ask(t, '/api/logout', lines(as('session edith')), 'POST')
        t.equal(gone.answer.status, 200, gone.answer.head)
        await closed
        standin.reset()
      })
    }
  })
}
