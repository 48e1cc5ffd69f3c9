import t, { type Test } from 'tap'
import { freshProxy } from '../support/proxy.ts'
import { freshRedis } from '../support/services.ts'
import { underLoad } from './load.ts'
import { admit, admitAll, DEATHS, type Death } from './people.ts'
import {
  BOUND,
  cutOff,
  eventually,
  freshRomm,
  joined,
  ladderOf,
  QUICK,
  startReplicas,
  type Replica,
} from './support.ts'
import { askAll, untilRefused, Witness } from './witness.ts'

const romm = await freshRomm(t)
const shared = await freshRedis(t)
/** Between C and the Redis that all of them share. */
const wire = await freshProxy(t, shared.port)
const replicas = await startReplicas(
  t,
  { 'upstream.url': romm.standin.url, ...ladderOf(romm), ...QUICK, 'cache.revokeWait': '2s' },
  [
    { 'redis.url': shared.url },
    { 'redis.url': shared.url },
    { 'redis.url': `redis://127.0.0.1:${wire.port}` },
  ],
)
const [a, b, c] = replicas

const SOME_DEATHS: readonly Death[] = [
  DEATHS['token deleted'],
  DEATHS.logout,
  DEATHS.disabled,
  DEATHS.password,
  DEATHS.permissions,
]

/**
 * Somebody dies in each way through one replica.
 * @param told who refuses from the very answer on; the others do within the bound
 */
async function die(through: Replica, told: readonly Replica[], witness = new Witness()): Promise<Witness> {
  const bystanders = await admitAll(romm, 2)
  const people = await admitAll(romm, SOME_DEATHS.length)
  await askAll(witness, replicas, [...people, ...bystanders])
  const names = told.map(({ name }) => name)
  for (const [i, death] of SOME_DEATHS.entries()) {
    for (const person of people.slice(i, i + 1)) {
      const act = (): Promise<unknown> => through.ask(...death.request(person))
      await witness.dies(person, death, act, (name) => (names.includes(name) ? 0 : BOUND))
      await untilRefused(witness, replicas, person, death)
      await askAll(witness, replicas, bystanders)
    }
  }
  return witness
}

/** All hear each other: whoever answers has been acknowledged. */
async function areTold(t: Test, through: Replica): Promise<void> {
  await Promise.all(replicas.map((replica) => joined(replica, 2)))
  await eventually(
    'nobody is waited for',
    async () => (await through.metric('postern_changes_waiting')) === 0,
  )
  const before = await through.metric('postern_changes_unacknowledged_total')
  t.same((await die(through, replicas)).faults(), [])
  t.equal(await through.metric('postern_changes_unacknowledged_total'), before, 'all acknowledged')
}

t.test('the shared Redis stops: the bound holds, and when it is back everybody is told again', async (t) => {
  const gaps = await b.metric('postern_replica_gaps_total')
  await shared.stop()
  await Promise.all(replicas.map(cutOff))
  t.same((await die(a, [a])).faults(), [])
  await shared.start()
  await areTold(t, a)
  t.ok((await b.metric('postern_replica_gaps_total')) > gaps)
})

for (const how of ['is gone', 'hangs'] as const) {
  t.test(`for C the shared Redis ${how}: it keeps the bound, and the others are told`, async (t) => {
    if (how === 'hangs') await wire.hang()
    else wire.cut()
    const person = await admit(romm)
    const witness = new Witness()
    await askAll(witness, replicas, [person])
    // At once: A may still wait for C, and in vain.
    const act = (): Promise<unknown> => a.ask(...DEATHS.disabled.request(person))
    await witness.dies(person, DEATHS.disabled, act, (name) => (name === 'C' ? BOUND : 0))
    await untilRefused(witness, replicas, person, DEATHS.disabled)
    await cutOff(c)
    await eventually('A waits for C no longer', async () => {
      const metrics = await a.metrics()
      return metrics.get('postern_replicas') === 1 && metrics.get('postern_changes_waiting') === 0
    })
    const before = await a.metric('postern_changes_unacknowledged_total')
    await die(a, [a, b], witness)
    t.equal(await a.metric('postern_changes_unacknowledged_total'), before)
    await die(c, [c], witness)
    t.same(witness.faults(), [])
    wire.resume()
    await areTold(t, c)
    await areTold(t, a)
  })
}

t.test('under load, while the shared Redis comes and goes', async (t) => {
  /** Before the death with this number. */
  const trouble: Readonly<Record<number, () => unknown>> = {
    2: () => shared.stop(),
    5: () => shared.start(),
    9: () => wire.cut(),
    11: () => wire.resume(),
    14: () => wire.hang(),
    17: () => wire.resume(),
    19: () => shared.stop(),
    20: () => shared.start(),
  }
  const seen = await underLoad(romm, replicas, {
    dying: 22,
    living: 6,
    async kill(witness, person, death, turn) {
      await trouble[turn]?.()
      const through = replicas[turn % 3] ?? a
      const act = (): Promise<unknown> => through.ask(...death.request(person))
      await witness.dies(person, death, act, (name) => (name === through.name ? 0 : BOUND))
    },
  })
  t.comment(JSON.stringify(seen.statuses()))
  t.same(seen.faults(), [])
  await areTold(t, b)
})
