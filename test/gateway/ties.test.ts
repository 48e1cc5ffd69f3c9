import t from 'tap'
import { execute } from '../support/database.ts'
import { databaseSettings, freshGateway, type TestGateway } from '../support/gateway.ts'
import { freshProxy } from '../support/proxy.ts'
import { as, ask, freshStandin } from '../support/romm/ask.ts'
import { eventually, freshLadder } from './support.ts'

/** What is known counts for little more than a second. */
const QUICK = { 'cache.revalidate': '100ms', 'cache.staleIfError': '0s' }
const ladder = await freshLadder(t)
const standin = await freshStandin(t)

async function statusOf({ port }: TestGateway, name: string, path = '/api/roms', method = 'GET') {
  return (await ask(port, path, { method, headers: as(name) })).status
}

t.test(
  'a session whose user changed the password is forwarded nowhere, whatever RomM thinks of it',
  async (t) => {
    const proxy = await freshProxy(t, ladder.reader.port)
    const settings = { ...ladder.settings, ...databaseSettings({ ...ladder.reader, port: proxy.port }) }
    const gateway = await freshGateway(t, { ...settings, ...QUICK, 'upstream.url': standin.url })
    for (const name of ['session vera', 'session gus', 'jwt vera all', 'rmm vera all'])
      t.equal(await statusOf(gateway, name), 200, name)

    await execute(ladder.database, ["update users set hashed_password = '$2b$new' where username = 'vera'"])
    await eventually(async () => (await statusOf(gateway, 'session vera')) === 401)
    t.equal(await statusOf(gateway, 'session gus'), 200, 'nobody else is concerned')
    t.equal(await statusOf(gateway, 'jwt vera all'), 200, 'nor what goes without a password')
    t.equal(await statusOf(gateway, 'rmm vera all'), 200)

    standin.forget()
    const cookie = as('session vera')['cookie']
    for (const [method, path] of [
      ['GET', '/api/heartbeat'],
      ['POST', '/api/logout'],
      ['GET', '/api/login/openid'],
      ['GET', '/api/oauth/openid?code=a&state=b'],
    ] as const) {
      await statusOf(gateway, 'session vera', path, method)
      const arrived = standin.requests.at(-1)
      t.match(arrived, { method }, `${method} ${path} is public`)
      t.notMatch(JSON.stringify(arrived?.headers), cookie, 'and arrives without it')
    }

    proxy.cut()
    await eventually(async () => {
      standin.forget()
      const status = await statusOf(gateway, 'session gus')
      return status === 200 && standin.questions > 0
    })
    t.equal(
      await statusOf(gateway, 'session vera'),
      401,
      'without the database RomM is asked, but not about what is held for revoked',
    )
  },
)
