import { once } from 'node:events'
import t, { type Test } from 'tap'
import { freshRedis } from '../support/services.ts'
import { admit, admitAll, ALL_DEATHS, DEATHS, MODES, type Death, type Person } from './people.ts'
import { underLoad } from './load.ts'
import {
  BOUND,
  everywhere,
  QUICK,
  type Replica,
  expected,
  freshRomm,
  ladderOf,
  startReplicas,
} from './support.ts'
import { askAll, untilRefused, Witness } from './witness.ts'

const romm = await freshRomm(t)
const { state } = romm.standin
const replicas = await startReplicas(
  t,
  {
    'upstream.url': romm.standin.url,
    'redis.url': (await freshRedis(t)).url,
    ...ladderOf(romm),
    ...QUICK,
  },
  [{}, {}, {}],
)
const [a, b, c] = replicas

/** Behind the gateways, and committed when it resolves. */
async function changeBehind(person: Person, { change }: Death): Promise<void> {
  await change(state, person)
  await romm.store.save()
}

/** @param known who has seen the dying before: the others find what those share, or ask */
async function dieBehind(t: Test, known: readonly Replica[]): Promise<void> {
  const witness = new Witness()
  const bystanders = await admitAll(romm, 2)
  const people = await admitAll(romm, ALL_DEATHS.length)
  const dying = ALL_DEATHS.flatMap((death, i) => people.slice(i, i + 1).map((person) => ({ death, person })))
  await askAll(witness, known, [...people, ...bystanders])
  t.same(Object.keys(witness.statuses()), ['200'], 'all are known')
  await Promise.all(
    dying.map(async ({ death, person }) => {
      await witness.dies(
        person,
        death,
        () => changeBehind(person, death),
        () => BOUND,
      )
      await untilRefused(witness, replicas, person, death)
      await askAll(witness, replicas, bystanders)
    }),
  )
  for (const { death, person } of dying)
    t.same(await everywhere(replicas, person), expected(replicas, death.dead, death.status), death.title)
  t.same(witness.faults(), [])
}

t.test('who dies behind the gateways is refused by all of them within the bound', (t) =>
  dieBehind(t, replicas),
)

t.test('and so by those who have the dead from another replica', (t) => dieBehind(t, [a]))

t.test('a socket closes when somebody changes what it rides on at its source', async (t) => {
  const witness = await b.socket((await admit(romm)).as.session)
  for (const mode of MODES) {
    const person = await admit(romm)
    const sockets = await Promise.all([b.socket(person.as[mode]), c.socket(person.as[mode])])
    const closed = sockets.map((socket) => once(socket, 'close'))
    await changeBehind(person, DEATHS.deleted)
    await Promise.all(closed)
    t.pass(mode)
  }
  const echo = once(witness, 'message')
  witness.send('still there?')
  await echo
  t.pass('and no other')
})

t.test('under load, nobody dead is let in too late and nobody alive is refused', async (t) => {
  const seen = await underLoad(romm, replicas, {
    dying: 2 * ALL_DEATHS.length,
    living: 8,
    async kill(witness, person, death, turn) {
      if (turn % 4 === 3)
        return witness.dies(
          person,
          death,
          () => changeBehind(person, death),
          () => BOUND,
        )
      const through = replicas[turn % 3] ?? a
      const { status } = await witness.dies(
        person,
        death,
        () => through.ask(...death.request(person)),
        () => 0,
      )
      t.ok(status < 300, death.title)
    },
  })
  t.comment(JSON.stringify(seen.statuses()))
  t.same(seen.faults(), [])
  t.ok(seen.count > 1_000)
  for (const replica of replicas) t.equal(await replica.metric('postern_changes_unacknowledged_total'), 0)
})
