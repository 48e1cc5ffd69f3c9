import { once } from 'node:events'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { databaseSettings, freshGateway } from '../support/gateway.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import { readFixture } from '../support/romm/facts.ts'
import { fillRomm, fillSessions } from '../support/romm/fixture.ts'
import { signJwt } from '../support/romm/jwt.ts'
import { createReader, createRommSchema } from '../support/romm/schema.ts'
import { execute } from '../support/database.ts'
import { freshPostgres, freshRedis } from '../support/services.ts'

const fixture = readFixture()

/** A gateway with every step of the ladder, which looks at its sockets ten times a second. */
async function stage(test: Test) {
  const database = await freshPostgres(test)
  await createRommSchema(database, 2)
  await fillRomm(database, 2)
  const server = await freshRedis(test)
  const redis = new Redis(server.url)
  test.teardown(() => redis.disconnect())
  await fillSessions(redis)
  const standin = await freshStandin(test)
  const { port } = await freshGateway(test, {
    'upstream.url': standin.url,
    'romm.secret': fixture.secret,
    'romm.redis.url': server.url,
    ...databaseSettings(await createReader(database, 2)),
    'cache.revalidate': '100ms',
  })
  const open = async (headers: Record<string, string>): Promise<WebSocket> => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/socket.io/`, { headers })
    socket.on('error', () => undefined)
    await once(socket, 'open')
    return socket
  }
  return { database, redis, open }
}

/** It answers, so it is open. */
async function echoes(socket: WebSocket): Promise<boolean> {
  const answer = once(socket, 'message')
  socket.send('still there?')
  await answer
  return true
}

t.test('a socket closes when what it was opened with is dead, and no other does', async (t) => {
  const { database, redis, open } = await stage(t)
  const admin = await open(as('session admin'))
  const { id = '' } = fixture.sessions.find(({ data }) => data['sub'] === 'vera') ?? {}
  const access = { iss: 'romm:oauth', type: 'access', scopes: 'me.read' }

  const session = await open({ Cookie: `romm_session=${id}` })
  const ended = once(session, 'close')
  await redis.del(`session:${id}`)
  await ended
  t.pass('a session that is gone')

  const token = await open(as('rmm gus all'))
  const revoked = once(token, 'close')
  await execute(database, ['delete from client_tokens where user_id = 4'])
  await revoked
  t.pass('a token that was deleted')

  const basic = await open(as('basic vera'))
  const changed = once(basic, 'close')
  await execute(database, ["update users set hashed_password = 'another' where id = 2"])
  await changed
  t.pass('a password that was changed')

  const exp = Date.now() / 1_000 + 1
  const jwt = await open({
    Authorization: `Bearer ${signJwt({ ...access, sub: 'edith', exp }, fixture.secret)}`,
  })
  await once(jwt, 'close')
  t.ok(Date.now() / 1_000 >= exp, 'an access token whose time is over')

  const disabled = await open(as('session edith'))
  const out = once(disabled, 'close')
  await execute(database, ['update users set enabled = false where id = 3'])
  await out
  t.pass('a user who was disabled')

  t.ok(await echoes(admin), 'the one that is good is open still')
})
