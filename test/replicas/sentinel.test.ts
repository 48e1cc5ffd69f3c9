import t from 'tap'
import { freshSentinel, MASTER } from '../support/services/sentinel.ts'
import { admitAll, DEATHS, type Death } from './people.ts'
import { BOUND, eventually, freshRomm, joined, ladderOf, QUICK, startReplicas } from './support.ts'
import { askAll, untilRefused, Witness } from './witness.ts'

const romm = await freshRomm(t)
const watched = await freshSentinel(t)
const replicas = await startReplicas(
  t,
  {
    'upstream.url': romm.standin.url,
    'redis.sentinels': `["127.0.0.1:${watched.sentinel.port}"]`,
    'redis.sentinelName': MASTER,
    ...ladderOf(romm),
    ...QUICK,
  },
  [{}, {}],
)
const [a] = replicas

const GAPS = 'postern_replica_gaps_total'
const SOME_DEATHS: readonly Death[] = [
  DEATHS['token deleted'],
  DEATHS.logout,
  DEATHS.disabled,
  DEATHS.password,
]

/** Somebody dies in each way through A. @param grace for B */
async function die(witness: Witness, grace: number): Promise<void> {
  const [bystander, ...people] = await admitAll(romm, SOME_DEATHS.length + 1)
  if (bystander === undefined) return
  await askAll(witness, replicas, [bystander, ...people])
  for (const [i, death] of SOME_DEATHS.entries()) {
    for (const person of people.slice(i, i + 1)) {
      const act = (): Promise<unknown> => a.ask(...death.request(person))
      await witness.dies(person, death, act, (name) => (name === 'A' ? 0 : grace))
      await untilRefused(witness, replicas, person, death)
      await askAll(witness, replicas, [bystander])
    }
  }
}

/** @returns waits until each has lost the other since now, and hears it again */
async function rejoining(): Promise<() => Promise<unknown>> {
  const gaps = await Promise.all(replicas.map((replica) => replica.metric(GAPS)))
  return () =>
    Promise.all(
      replicas.map(async (replica, i) => {
        await replica.reaches(GAPS, (gaps[i] ?? 0) + 1)
        await joined(replica, 1)
      }),
    )
}

t.test('Redis behind a sentinel fails over: the bound holds, and then everybody is told again', async (t) => {
  const witness = new Witness()
  await die(witness, 0)
  t.equal(await a.metric('postern_changes_unacknowledged_total'), 0)
  const before = await watched.master()
  const rejoined = await rejoining()
  const over = watched.failover()
  await die(witness, BOUND)
  await over
  t.not(await watched.master(), before)
  await rejoined()
  const missed = await a.metric('postern_changes_unacknowledged_total')
  await die(witness, 0)
  t.equal(await a.metric('postern_changes_unacknowledged_total'), missed, 'acknowledged at the new master')
  t.same(witness.faults(), [])
})

t.test('a master that dies is the same', async (t) => {
  const witness = new Witness()
  const port = await watched.master()
  const rejoined = await rejoining()
  // The one that was the master first follows by now, or the sentinel could not choose it.
  await eventually('the other one follows', async () => (await watched.followers()) === 1)
  await watched.servers.find((server) => server.port === port)?.stop()
  await die(witness, BOUND)
  await eventually('another master', async () => (await watched.master()) !== port)
  await rejoined()
  await die(witness, 0)
  t.same(witness.faults(), [])
})
