import { once } from 'node:events'
import t from 'tap'
import { WebSocket } from 'ws'
import { freshLadder } from '../gateway/support.ts'
import { freePort } from '../support/services/process.ts'
import { as, askedAbout, freshStandin } from '../support/romm/ask.ts'
import { readFixture } from '../support/romm/facts.ts'
import { startStandin } from '../support/romm/standin.ts'
import { execute, type Database } from '../support/database.ts'
import { freshMariadb, freshPostgres } from '../support/services.ts'
import { createRommSchema } from '../support/romm/schema.ts'
import { fillRomm } from '../support/romm/fixture.ts'
import { curl, headerOptions, readiness, serve, type Serving, type Variables } from './processes.ts'

const { secret } = readFixture()
const ROMM_YAML = new URL('../../config/romm.yaml', import.meta.url).pathname
/** Each way to be Vera, by name in the fixture. */
const CREDENTIALS = ['session vera', 'basic vera', 'jwt vera all', 'rmm vera all']
const ASKED = {
  session: 'asking RomM',
  basic: 'asking RomM',
  jwt: 'shape and expiry, then asking RomM',
  token: 'asking RomM, which alone knows its scopes',
}

/** The variables with which RomM itself would be started. */
function rommVariables(database: Database): Variables {
  return {
    ROMM_DB_DRIVER: database.kind === 'postgres' ? 'postgresql' : 'mariadb',
    DB_HOST: database.host,
    DB_PORT: String(database.port),
    DB_USER: database.user,
    DB_PASSWD: database.password,
    DB_NAME: database.database,
  }
}

function whoami({ url }: Serving, credential: string): ReturnType<typeof curl> {
  return curl(...headerOptions(as(credential)), `${url}/api/users/me`)
}

async function socketOf({ url }: Serving, credential: string): Promise<string> {
  const address = `${url.replace('http', 'ws')}/ws/socket.io/?EIO=4&transport=websocket`
  const socket = new WebSocket(address, { headers: as(credential) })
  const [data] = (await once(socket, 'message')) as [Buffer]
  socket.close()
  await once(socket, 'close')
  return data.toString()
}

t.test("the backend's URL is all that must be given", async (t) => {
  const standin = await freshStandin(t)
  const serving = await serve(t, ['--upstream', standin.url])
  t.match(serving.listening, { profile: 'romm', upstream: standin.url, checks: ASKED })
  t.equal(serving.listening['config'], undefined)
  for (const credential of CREDENTIALS) {
    t.match(await whoami(serving, credential), { status: 200, body: /"username": ?"vera"/ }, credential)
    t.match(await socketOf(serving, credential), /socket\.io/, credential)
  }
  t.equal((await curl(`${serving.url}/api/roms`)).status, 401)
  t.equal((await curl(`${serving.url}/api/nowhere`)).status, 404)
  t.equal((await curl(`${serving.url}/`)).status, 200)
  t.same(await readiness(serving), { status: 200, body: { status: 'ok', troubles: [] } })
  t.match(await curl(`${serving.probes}/metrics`), { status: 200, body: /^postern_/m })
})

t.test("RomM's own variables give every step of the ladder", async (t) => {
  const standin = await freshStandin(t)
  const { reader, redis } = await freshLadder(t, freshMariadb)
  const env = {
    ...rommVariables(reader),
    ROMM_URL: standin.url,
    ROMM_AUTH_SECRET_KEY: secret,
    REDIS_HOST: redis.host,
    REDIS_PORT: String(redis.port),
  }
  const serving = await serve(t, ['--config', ROMM_YAML], { env })
  t.match(serving.listening, { config: ROMM_YAML, upstream: standin.url })
  t.same(serving.listening['checks'], {
    session: "RomM's Redis and database",
    basic: "RomM's database",
    jwt: "its signature, then RomM's database",
    token: "RomM's database",
  })
  t.same(await readiness(serving), { status: 200, body: { status: 'ok', troubles: [] } })
  standin.forget()
  for (const credential of CREDENTIALS) {
    t.match(
      await curl(...headerOptions(as(credential)), `${serving.url}/api/roms`),
      { status: 200 },
      credential,
    )
    t.match(await socketOf(serving, credential), /socket\.io/, credential)
  }
  t.equal(askedAbout(standin), 0, 'nothing is asked of RomM')
  t.equal((await curl('-u', 'vera:wrong', `${serving.url}/api/roms`)).status, 401)
  t.notMatch(JSON.stringify(serving.log), secret)
})

t.test('a backend that is away is waited for', async (t) => {
  const port = await freePort()
  const serving = await serve(t, ['--upstream', `http://127.0.0.1:${port}`])
  t.match(await readiness(serving), {
    status: 200,
    body: { status: 'degraded', troubles: [/openapi: /, `http://127.0.0.1:${port}: cannot be reached`] },
  })
  t.match(await curl('-i', `${serving.url}/api/roms`), { status: 503, body: /retry-after: \d/i })
  t.match(await whoami(serving, 'basic vera'), { status: 503 })
  t.equal((await curl(`${serving.probes}/livez`)).status, 200)
  const standin = await startStandin({ port })
  t.teardown(() => standin.close())
  t.match(await whoami(serving, 'basic vera'), { status: 200 })
  t.equal((await curl(`${serving.url}/api/roms`)).status, 401)
  t.same(await readiness(serving), { status: 200, body: { status: 'ok', troubles: [] } })
})

t.test('a database that cannot be used is said, and RomM asked instead', async (t) => {
  const standin = await freshStandin(t)
  const database = await freshPostgres(t)
  await createRommSchema(database, 2)
  await fillRomm(database, 2)
  const user = `poor_${database.database.slice(-8)}`
  await execute(database, [`create user ${user} password 'given'`])
  const without = { ...database, user, password: 'given' }
  const cases: readonly (readonly [Database, RegExp])[] = [
    [{ ...database, port: await freePort() }, /the database does not answer/],
    [{ ...database, password: 'wrong' }, /the database refuses the user, its password or the database name/],
    [without, /may not read a table or column of RomM's; docs\/romm\.md has the GRANT to run/],
  ]
  for (const [address, sentence] of cases) {
    const serving = await serve(t, ['--upstream', standin.url], { env: rommVariables(address) })
    await serving.line(({ level, msg }) => level === 40 && sentence.test(String(msg)))
    t.match(await readiness(serving), { status: 200, body: { status: 'degraded', troubles: [sentence] } })
    standin.forget()
    for (const credential of CREDENTIALS)
      t.match(await whoami(serving, credential), { status: 200 }, credential)
    t.ok(standin.questions > 0)
    t.notMatch(JSON.stringify(serving.log), /wrong|given/)
    serving.kill('SIGTERM')
    t.equal((await serving.ended).code, 0)
  }
})

t.test('a wrong secret is said, and access tokens are asked of RomM', async (t) => {
  const standin = await freshStandin(t, { csrf: true })
  const serving = await serve(t, ['--upstream', standin.url], { env: { ROMM_AUTH_SECRET_KEY: 'not-it' } })
  const sentence = /^romm\.secret is not RomM's ROMM_AUTH_SECRET_KEY/
  await serving.line(({ level, msg }) => level === 40 && sentence.test(String(msg)))
  t.match(await readiness(serving), { status: 503, body: { status: 'not_ready', troubles: [sentence] } })
  for (const credential of CREDENTIALS)
    t.match(await whoami(serving, credential), { status: 200 }, credential)
  t.notMatch(JSON.stringify(serving.log), 'not-it')
})
