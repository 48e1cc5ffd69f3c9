import t from 'tap'
import { ASK_FREELY, freshLadder, lines, message, talk } from '../gateway/support.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import { freshRedis } from '../support/services.ts'
import {
  ATTACKER,
  basicOf,
  HOME,
  PASSWORD,
  passwordOf,
  stage,
  type Stage,
  times,
  unknownToken,
} from './guessing.ts'

/** Guessing in masses: what it may cost those who do not guess, and several gateways as one. */
const ladder = await freshLadder(t)

t.test('a storm of unknown tokens drives nobody out of the cache', async (t) => {
  const { from, gateway } = await stage(t, ladder, { 'cache.entries': '20' })
  const asked = (): number =>
    gateway.runtime
      .gauges()
      .lookups.reduce((sum, { name, counts }) => sum + (name === 'user' ? (counts['source'] ?? 0) : 0), 0)
  t.equal((await from(HOME, as('rmm vera all'))).status, 200)
  const before = asked()
  await Promise.all(Array.from({ length: 300 }, (_, i) => from(`203.0.113.${i % 250}`, unknownToken())))
  t.equal((await from(HOME, as('rmm vera all'))).status, 200)
  t.equal(asked(), before)
})

t.test('a flood of passwords from a few addresses does not keep newcomers out', async (t) => {
  const { port } = await stage(t, ladder, {
    'attempts.perAddress': '1000',
    'attempts.perUser': '1000',
    'attempts.perUserAndAddress': '1000',
  })
  const send = async (address: string, name: string, password: string): Promise<number> => {
    const fields = lines({ ...basicOf(name, password), 'X-Forwarded-For': address })
    return (await talk(t, port, message('/api/users/me', fields))).status
  }
  let refused = 0
  const full = Promise.withResolvers<void>()
  const flood = Array.from({ length: 150 }, async (_, i) => {
    const status = await send(`203.0.113.${i % 3}`, 'dora', `guess ${i}`)
    if (status === 503 && ++refused === 10) full.resolve()
  })
  await full.promise
  const newcomers = ['admin', 'vera', 'edith', 'gus', 'ovid'].map((name, i) =>
    send(`192.0.2.${i}`, name, passwordOf(name)),
  )
  t.same(await Promise.all(newcomers), times(5, 200))
  await Promise.all(flood)
})

t.test('where RomM is asked it is not asked to guess', async (t) => {
  const { basic, standin, clock } = await stage(t, { settings: ASK_FREELY })
  t.same(await basic(HOME, ['vera', PASSWORD]), [200])
  standin.forget()
  t.same(await basic(ATTACKER, ['vera', 'a'], ['VERA', 'b'], ['Vera ', 'c'], ['vera', 'd']), times(4, 401))
  t.same(await basic(ATTACKER, ['vera', 'e'], ['vera', 'f']), [429, 429])
  t.equal(standin.questions, 4)
  clock.advance(60_000)
  t.same(await basic(ATTACKER, ['vera', 'g'], ['vera', 'h'], ['vera', PASSWORD]), [401, 429, 200])
  t.same(await basic(HOME, ['vera', PASSWORD]), [200])
})

t.test('replicas count together, and each by itself while their Redis is away', async (t) => {
  const redis = await freshRedis(t)
  const shared = { 'redis.url': redis.url, 'cache.secret': 'the same for both', 'assertion.enabled': 'false' }
  // Replicas count together before one backend.
  const standin = await freshStandin(t)
  const join = (): Promise<Stage> => stage(t, ladder, shared, undefined, standin)
  const [one, other] = [await join(), await join()]
  t.same(await one.basic(ATTACKER, ['vera', 'a'], ['vera', 'b']), [401, 401])
  t.same(await other.basic(ATTACKER, ['VERA', 'c'], ['vera', 'd'], ['vera', 'e']), [401, 401, 429])
  t.same(await one.basic(ATTACKER, ['vera', 'f']), [429])
  t.same(await one.basic(HOME, ['vera', PASSWORD]), [200])
  await redis.stop()
  t.same(await one.basic(ATTACKER, ['vera', 'g'], ['vera', 'h'], ['vera', 'i']), times(3, 401))
  t.same(await one.basic(ATTACKER, ['vera', 'j'], ['vera', 'k']), [401, 429])
  t.same(await one.basic(ATTACKER, ['vera', PASSWORD]), [200])
})
