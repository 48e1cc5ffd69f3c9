import t from 'tap'
import { type Attempts, type Judgement, userKey } from '../../src/authenticators/attempts.ts'
import { attemptsOf } from '../support/attempts.ts'
import { virtualClock } from '../support/clock.ts'
import { client, user } from './people.ts'

const MINUTE = 60_000

/** Guesses one after the other; what each was found to be, or how long to wait. */
function stage(attempts: Attempts) {
  let made = 0
  const guess = async (
    judgement: Judgement,
    { address = '192.0.2.1', name = 'vera', secret = `secret ${made++}`, shared = false } = {},
  ): Promise<Judgement | number | undefined> => {
    const from = { ...client, address, ...(shared && { shared }) }
    const begun = attempts.begin({ client: from, user: name, secret })
    return begun.then(
      async (conclude) => {
        await conclude(judgement)
        return judgement
      },
      (error: { retryAfter?: number }) => error.retryAfter,
    )
  }
  return guess
}

t.test('a window begins with its first failure, and what is refused does not prolong it', async (t) => {
  const clock = virtualClock()
  const guess = stage(attemptsOf({ perUserAndAddress: 2, window: 15 * MINUTE }, clock))
  await guess('bad')
  clock.advance(14 * MINUTE)
  t.same([await guess('bad'), await guess('bad'), await guess('bad')], ['bad', 'bad', 20])
  clock.advance(MINUTE)
  t.same([await guess('bad'), await guess('bad')], ['bad', 'bad'])
})

t.test('beyond the limit there is one turn a pace, for whoever comes first', async (t) => {
  const clock = virtualClock()
  const guess = stage(attemptsOf({ perUserAndAddress: 1, pace: 10_000 }, clock))
  t.same([await guess('bad'), await guess('bad'), await guess('bad')], ['bad', 'bad', 10])
  clock.advance(9_001)
  t.equal(await guess('good'), 1, 'whole seconds, rounded up')
  clock.advance(999)
  t.equal(await guess('good'), 'good')
  t.equal(await guess('bad'), 'bad', 'where the user succeeded there is more room')
})

t.test('only failures count: not successes, not what nobody could say, not the same one again', async (t) => {
  const guess = stage(attemptsOf({ perUser: 3, perUserAndAddress: 3, perAddress: 3 }))
  for (let i = 0; i < 20; i++) {
    await guess('unknown')
    await guess('bad', { secret: 'stale' })
  }
  await guess('good', { name: 'edith' })
  t.same([await guess('bad'), await guess('bad'), await guess('bad')], ['bad', 'bad', 'bad'])
  t.equal(await guess('bad'), 20)
})

t.test('what was good is never refused, until it was found bad', async (t) => {
  const guess = stage(attemptsOf({ perUserAndAddress: 1, perUser: 1, perAddress: 1 }))
  await guess('good', { secret: 'right' })
  for (let i = 0; i < 30; i++) await guess('bad', { address: `198.51.100.${i}`, name: 'vera' })
  t.equal(await guess('good', { secret: 'right', address: '198.51.100.1' }), 'good')
  t.equal(await guess('bad', { secret: 'right', address: '198.51.100.1' }), 'bad', 'it was changed')
  t.equal(await guess('bad', { secret: 'right', address: '198.51.100.1' }), 20)
})

t.test('a success is forgotten after a week', async (t) => {
  const clock = virtualClock()
  const guess = stage(attemptsOf({ perUserAndAddress: 1 }, clock))
  await guess('good')
  clock.advance(7 * 24 * 60 * MINUTE)
  t.same([await guess('bad'), await guess('bad'), await guess('bad')], ['bad', 'bad', 20])
})

t.test('an address that is a proxy’s has room for many; one user behind it has not', async (t) => {
  const guess = stage(attemptsOf({ perAddress: 2, perUserAndAddress: 5 }))
  const seen = []
  for (let i = 0; i < 41; i++) seen.push(await guess('bad', { shared: true, name: `user ${i}` }))
  t.same(seen, Array<string>(41).fill('bad'))
  t.equal(await guess('bad', { shared: true, name: 'another' }), 20)
  const other = stage(attemptsOf({ perAddress: 2, perUserAndAddress: 1 }))
  t.same([await other('bad', { shared: true }), await other('bad', { shared: true })], ['bad', 'bad'])
  t.equal(await other('bad', { shared: true }), 20)
})

t.test('junk counts once each, and a repetition of it is never told to wait', async (t) => {
  const clock = virtualClock()
  const attempts = attemptsOf({ perAddress: 2, window: 15 * MINUTE }, clock)
  for (const [secret, wait] of [
    ['a', undefined],
    ['a', undefined],
    ['b', undefined],
    ['c', 15 * MINUTE],
    ['c', undefined],
    ['a', undefined],
  ] as const)
    t.equal(await attempts.failed(client, secret), wait, secret)
  t.equal(await attempts.failed({ ...client, address: '192.0.2.2' }, 'd'), undefined)
  clock.advance(15 * MINUTE)
  t.equal(await attempts.failed(client, 'e'), undefined)
})

t.test('spellings of one user are one, and so are those of nobody', async (t) => {
  const vera = { kind: 'user', user: user('vera') } as const
  t.equal(userKey('vera', vera), userKey('VÉRA ', vera), 'the source says so')
  t.equal(userKey('nobody', undefined), userKey('Ｎobody  ', undefined))
  t.equal(userKey('nobody', undefined), userKey('NOBODY', { kind: 'ambiguous' }))
  t.not(userKey('nobody', undefined), userKey('no body', undefined))
  t.not(userKey('id of vera', undefined), userKey('vera', vera), 'no name is an id')
})
