import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { freshGateway } from '../../support/gateway.ts'
import { as, ask, freshStandin } from '../../support/romm/ask.ts'
import { freshRedis } from '../../support/services.ts'

const PATH = '/api/roms/1'

/** Two replicas before one RomM, given nothing but its URL and a Redis, each with its own idea of the secret. */
async function replicas(test: Test, secrets: readonly [string, string]) {
  const standin = await freshStandin(test)
  const server = await freshRedis(test)
  const redis = new Redis(server.url)
  test.teardown(() => redis.disconnect())
  const start = (secret: string) =>
    freshGateway(test, {
      'upstream.url': standin.url,
      'redis.url': server.url,
      'cache.secret': secret,
      'assertion.enabled': 'false',
    })
  const one = await start(secrets[0])
  const other = await start(secrets[1])
  /** Verdicts are written without anybody waiting for it. */
  const kept = async (count: number): Promise<string[]> => {
    const keys = await redis.keys('postern:verdict:*')
    return keys.length >= count ? keys : kept(count)
  }
  return { standin, redis, one, other, kept }
}

t.test('what one replica was told of a credential, the other need not ask', async (t) => {
  const { standin, one, other, kept } = await replicas(t, ['shared', 'shared'])
  const names = ['rmm vera all', 'jwt vera all', 'session vera', 'rmm admin roms.read']
  for (const [index, name] of names.entries()) {
    t.equal((await ask(one.port, PATH, { headers: as(name) })).status, 200)
    await kept(index + 1)
    const before = standin.questions
    t.equal((await ask(other.port, PATH, { headers: as(name) })).status, 200, name)
    t.equal(standin.questions, before, `${name}: nothing was asked`)
  }
})

t.test('a password, and what was said of it, never leave the process', async (t) => {
  const { standin, redis, one, other, kept } = await replicas(t, ['shared', 'shared'])
  await ask(one.port, PATH, { headers: as('basic vera') })
  await ask(one.port, PATH, { headers: as('rmm vera all') })
  const keys = await kept(1)
  t.equal(keys.length, 1, 'the token alone is there')
  t.notMatch(await redis.get(keys[0] ?? ''), /rmm_|pw-vera/, 'and not in clear')
  const before = standin.questions
  t.equal((await ask(other.port, PATH, { headers: as('basic vera') })).status, 200)
  t.equal(standin.questions, before + 1)
})

t.test('an entry that was not signed with our secret is not believed', async (t) => {
  const { standin, one, other, kept } = await replicas(t, ['ours', 'theirs'])
  t.equal((await ask(one.port, PATH, { headers: as('rmm vera all') })).status, 200)
  await kept(1)
  const before = standin.questions
  t.equal((await ask(other.port, PATH, { headers: as('rmm vera all') })).status, 200)
  t.equal(standin.questions, before + 1, 'it asked for itself')
})
