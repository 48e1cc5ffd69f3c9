import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { execute } from '../support/database.ts'
import { freshGateway, type TestGateway } from '../support/gateway.ts'
import { as, ask, freshStandin } from '../support/romm/ask.ts'
import type { Standin } from '../support/romm/standin.ts'
import { freshRedis } from '../support/services.ts'
import { eventually, fixture, freshLadder } from './support.ts'

const ladder = await freshLadder(t)
const redis = new Redis(ladder.redis.url)
t.teardown(() => redis.disconnect())

interface Stage {
  readonly gateway: TestGateway
  readonly standin: Standin
  readonly announced: () => Promise<number>
}

/** What is known counts for minutes: what is noticed sooner was told. */
async function stage(t: Test): Promise<Stage> {
  const standin = await freshStandin(t)
  const shared = await freshRedis(t)
  const gateway = await freshGateway(t, {
    ...ladder.settings,
    'upstream.url': standin.url,
    'redis.url': shared.url,
    'cache.secret': 'of these replicas',
    'cache.revalidate': '5m',
    replicas: '1',
    'assertion.enabled': 'false',
  })
  const metric = async (name: string): Promise<number> => {
    const { text } = await ask(gateway.probesPort, '/metrics')
    return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1])
  }
  await eventually(async () => (await metric('postern_replicas_joined')) === 1)
  return { gateway, standin, announced: () => metric('postern_changes_announced_total') }
}

async function statusOf({ gateway }: Stage, name: string, path: string): Promise<number> {
  return (await ask(gateway.port, path, { headers: as(name) })).status
}

t.test('whose permissions changed is noticed when RomM tells its web clients', async (t) => {
  const s = await stage(t)
  const path = '/api/users'
  t.equal(await statusOf(s, 'session admin', path), 200)
  const admin = fixture.users.find(({ username }) => username === 'admin')
  await execute(ladder.database, ["update users set role = 'VIEWER' where username = 'admin'"])
  t.equal(await statusOf(s, 'session admin', path), 200, 'what is known still counts')
  const told = { method: 'emit', event: 'permissions:changed', data: [{ user_id: admin?.id }] }
  t.equal(await redis.publish('socketio', JSON.stringify({ ...told, event: 'scan:done' })), 1)
  await redis.publish('socketio', JSON.stringify(told))
  await eventually(async () => (await statusOf(s, 'session admin', path)) === 403)
  t.equal(await s.announced(), 1, 'once: what is not about permissions is nothing')
  await execute(ladder.database, ["update users set role = 'ADMIN' where username = 'admin'"])
})

t.test(
  'a session that RomM takes away in an answer is asked for again; one that is made up changes nothing',
  async (t) => {
    const s = await stage(t)
    const [id = ''] = fixture.sessions
      .filter(({ data }) => data['sub'] === 'vera')
      .map((session) => session.id)
    const key = `session:${id}`
    const kept = (await redis.get(key)) ?? ''
    t.equal(await statusOf(s, 'session vera', '/api/roms'), 200)
    await redis.del(key)
    t.equal(await statusOf(s, 'session vera', '/api/roms'), 200, 'what is known still counts')
    s.standin.intercept = (_request, response) => {
      response.writeHead(200, { 'Set-Cookie': 'romm_session=null; path=/' }).end('{}')
      return true
    }
    for (let i = 0; i < 20; i++) {
      const headers = { cookie: `romm_session=00000000-0000-4000-8000-0000000000${10 + i}` }
      t.equal((await ask(s.gateway.port, '/api/heartbeat', { headers })).status, 200)
    }
    t.equal(await s.announced(), 0, 'nobody was let in with those')
    t.equal(await statusOf(s, 'session vera', '/api/roms'), 200, 'its answer has the cookie cleared')
    s.standin.intercept = undefined
    t.equal(await statusOf(s, 'session vera', '/api/roms'), 401)
    t.equal(await s.announced(), 1)
    await redis.set(key, kept)
  },
)

t.test('a sign-in over a live session makes it the other user’s', async (t) => {
  const s = await stage(t)
  const [id = ''] = fixture.sessions.filter(({ data }) => data['sub'] === 'vera').map((session) => session.id)
  const key = `session:${id}`
  const kept = (await redis.get(key)) ?? ''
  const whose = async (): Promise<unknown> => {
    const { text } = await ask(s.gateway.port, '/-/postern/me', { headers: as('session vera') })
    return (JSON.parse(text) as { user?: { name?: string } }).user?.name
  }
  t.equal(await whose(), 'vera')
  s.standin.intercept = (_request, response) => {
    void redis
      .set(key, kept.replace('"vera"', '"edith"'))
      .then(() => response.writeHead(307, { location: '/' }).end())
    return true
  }
  const callback = '/api/oauth/openid?code=c&state=s'
  t.equal((await ask(s.gateway.port, callback, { headers: as('session vera') })).status, 307)
  s.standin.intercept = undefined
  t.equal(await whose(), 'edith')
  await redis.set(key, kept)
})
