import t from 'tap'
import type { AddressSet } from '../../src/request/client.ts'
import { followProxies } from '../../src/request/proxies.ts'
import { virtualClock } from '../support/clock.ts'

const INTERVAL = 30_000

/** A name server whose answers the test sets; `undefined` is a failure. */
function world(answers: Record<string, readonly string[] | undefined>) {
  const clock = virtualClock()
  const sets: AddressSet[] = []
  const unknown: string[] = []
  const follow = (fixed: readonly string[], names: readonly string[]): Promise<() => void> =>
    followProxies({
      fixed,
      names,
      clock,
      resolve: async (name) => {
        const addresses = answers[name]
        if (addresses === undefined) throw new Error('ENOTFOUND')
        return addresses
      },
      trust: (set) => sets.push(set),
      onUnknown: (name) => unknown.push(name),
    })
  const later = async (): Promise<void> => {
    clock.advance(INTERVAL)
    await new Promise(setImmediate)
  }
  return {
    clock,
    sets,
    unknown,
    follow,
    later,
    answers,
    trusts: (address: string) => sets.at(-1)?.has(address),
  }
}

t.test('without names there is nothing to look up again', async (t) => {
  const { clock, follow, trusts } = world({})
  const stop = await follow(['10.0.0.0/8'], [])
  t.ok(trusts('10.1.1.1'))
  t.equal(clock.waiting, 0)
  stop()
})

t.test('a name is trusted at the addresses it has now', async (t) => {
  const { answers, follow, later, trusts } = world({ caddy: ['172.20.0.2'] })
  const stop = await follow(['10.0.0.1'], ['caddy'])
  t.ok(trusts('172.20.0.2') && trusts('10.0.0.1'))
  answers['caddy'] = ['172.20.0.7', 'fd00::7']
  await later()
  t.ok(trusts('172.20.0.7') && trusts('fd00::7') && trusts('10.0.0.1'))
  t.notOk(trusts('172.20.0.2'), 'somebody else may have it by now')
  stop()
})

t.test('a name that cannot be looked up keeps its addresses, and is reported', async (t) => {
  const { answers, follow, later, trusts, unknown } = world({ caddy: ['172.20.0.2'], edge: undefined })
  const stop = await follow([], ['caddy', 'edge'])
  t.same(unknown, ['edge'])
  answers['caddy'] = undefined
  answers['edge'] = ['172.20.0.3']
  await later()
  t.ok(trusts('172.20.0.2') && trusts('172.20.0.3'))
  t.same(unknown, ['edge', 'caddy'])
  stop()
})

t.test('once stopped it neither looks nor trusts', async (t) => {
  const { clock, sets, follow, later } = world({ caddy: ['172.20.0.2'] })
  const stop = await follow([], ['caddy'])
  clock.advance(INTERVAL)
  stop()
  await new Promise(setImmediate)
  await later()
  t.equal(sets.length, 1)
  t.equal(clock.waiting, 0)
})
