import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { Change } from '../../src/directory/change.ts'
import { redisChannel } from '../../src/directory/channel.ts'
import { MessageSeal } from '../../src/directory/message.ts'
import { connectRedis, settled as connected } from '../../src/directory/redis.ts'
import { Replicas, type ReplicasOptions } from '../../src/directory/replicas.ts'
import { Line, Wire } from '../support/channel.ts'
import { virtualClock, type VirtualClock } from '../support/clock.ts'
import { freshRedis } from '../support/services.ts'
import { settled } from './source.ts'

const SECRET = Buffer.from('shared by the replicas')
const CHANGE: readonly Change[] = [{ kind: 'user', id: '7' }]

const NOTHING = (): void => undefined

interface Member {
  readonly replicas: Replicas
  readonly line: Line
  readonly heard: (readonly Change[])[]
  readonly gaps: number[]
}

interface Group {
  readonly clock: VirtualClock
  readonly wire: Wire
  readonly join: (options?: Partial<ReplicasOptions>) => Promise<Member>
}

function group(t: Test): Group {
  const clock = virtualClock()
  const wire = new Wire()
  let ids = 0
  return {
    clock,
    wire,
    async join(options = {}) {
      const line = wire.line()
      const heard: (readonly Change[])[] = []
      const gaps: number[] = []
      const replicas = new Replicas({
        channel: line,
        clock,
        newId: () => `id${++ids}`,
        secret: SECRET,
        place: 'here',
        revokeWait: 100,
        onChange: (changes) => heard.push(changes),
        onGap: () => gaps.push(clock.monotonic()),
        about: () => ({ number: ids }),
        ...options,
      })
      t.teardown(() => replicas.close())
      await settled()
      return { replicas, line, heard, gaps }
    },
  }
}

/** In steps, so that messages pass between them. */
async function pass(clock: VirtualClock, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 100) {
    clock.advance(Math.min(100, left))
    await settled()
  }
}

t.test('an announcement returns when every other replica has taken it in', async (t) => {
  const { clock, join } = group(t)
  const [a, b, c] = [await join(), await join(), await join()]
  t.equal(a.replicas.live.length, 2)
  t.equal(c.replicas.live.length, 2, 'a newcomer knows the others at once')
  let done = false
  const announced = a.replicas.announce(CHANGE).then(() => (done = true))
  t.notOk(done)
  await settled()
  t.ok(done, 'without any time passing')
  await announced
  t.same([a.heard, b.heard, c.heard], [[], [CHANGE], [CHANGE]])
  t.same(a.replicas.counts, { announced: 1, unacknowledged: 0, gaps: 0 })
  t.equal(clock.monotonic(), 0)
})

t.test('alone, it waits for nobody', async (t) => {
  const { join } = group(t)
  const { replicas } = await join()
  await replicas.announce(CHANGE)
  t.equal(replicas.counts.unacknowledged, 0)
})

t.test(
  'who hangs is waited for no longer than was said, and counted; and not at all once it is silent',
  async (t) => {
    const { clock, join } = group(t)
    const [a, b] = [await join(), await join()]
    b.line.deaf = true
    let done = false
    void a.replicas.announce(CHANGE).then(() => (done = true))
    await settled()
    clock.advance(99)
    await settled()
    t.notOk(done)
    clock.advance(1)
    await settled()
    t.ok(done)
    t.equal(a.replicas.counts.unacknowledged, 1)
    await pass(clock, 7_000)
    t.ok(b.gaps.length >= 2, 'it noticed by itself that it does not hear')
    t.notOk(b.replicas.joined)
    t.equal(a.replicas.live.length, 0)
    await a.replicas.announce(CHANGE)
    t.equal(a.replicas.counts.unacknowledged, 1)
    b.line.deaf = false
    await pass(clock, 4_000)
    t.ok(b.replicas.joined)
    t.equal(a.replicas.live.length, 1)
  },
)

t.test('who leaves in order is waited for no more', async (t) => {
  const { join } = group(t)
  const [a, b] = [await join(), await join()]
  b.line.deaf = true
  let done = false
  void a.replicas.announce(CHANGE).then(() => (done = true))
  await settled()
  t.notOk(done)
  await b.replicas.close()
  await settled()
  t.ok(done)
  t.equal(a.replicas.live.length, 0)
})

t.test(
  'what was shared before a change is shared no longer: by nobody, from its own replica on',
  async (t) => {
    const { join } = group(t)
    const [a, b] = [await join(), await join()]
    const before = a.replicas.generation
    t.type(before, 'string')
    t.equal(b.replicas.generation, before)
    const announced = a.replicas.announce(CHANGE)
    t.equal(a.replicas.generation, undefined, 'others may not have heard of it')
    await announced
    t.not(a.replicas.generation, before)
    t.equal(a.replicas.generation, b.replicas.generation)
    const newcomer = await join()
    t.equal(newcomer.replicas.generation, a.replicas.generation, 'a newcomer begins another one for all')
  },
)

t.test('changes that cross each other leave all with the same generation', async (t) => {
  const { join } = group(t)
  const members = [await join(), await join(), await join()]
  await Promise.all(members.map(({ replicas }) => replicas.announce(CHANGE)))
  const generations = new Set(members.map(({ replicas }) => replicas.generation))
  t.equal(generations.size, 1)
  t.notOk(generations.has(undefined))
})

t.test('a lost connection is a gap, and so is coming back; in between nothing is shared', async (t) => {
  const { clock, wire, join } = group(t)
  const [a, b] = [await join(), await join()]
  const gaps = a.gaps.length
  wire.cut()
  t.equal(a.gaps.length, gaps + 1)
  t.equal(a.replicas.generation, undefined)
  t.notOk(a.replicas.joined)
  let done = false
  void a.replicas.announce(CHANGE).then(() => (done = true))
  await settled()
  t.ok(done, 'nobody is waited for')
  await pass(clock, 4_000)
  wire.mend()
  for (const { line } of [a, b]) line.connect()
  await settled()
  t.equal(a.gaps.length, gaps + 2)
  t.ok(a.replicas.joined)
  t.equal(a.replicas.generation, b.replicas.generation)
  await a.replicas.announce(CHANGE)
  t.same(b.heard, [CHANGE])
})

t.test('only the replicas of the same installation are heard, and each message of theirs once', async (t) => {
  const { wire, join } = group(t)
  const [a, b] = [await join(), await join()]
  const seal = new MessageSeal(Buffer.from('another secret'), 'here')
  const elsewhere = new MessageSeal(SECRET, 'elsewhere')
  const message = { kind: 'change', changes: CHANGE, generation: 'forged', from: 'x', number: 1 } as const
  for (const text of [
    ...[seal.write(message), elsewhere.write(message), '', '.', 'x', '.{}', `${'A'.repeat(43)}.{}`],
    ...[JSON.stringify(message), `.${JSON.stringify(message)}`],
  ]) {
    wire.send(text)
  }
  await settled()
  t.same([a.heard, b.heard], [[], []])
  t.not(a.replicas.generation, 'forged')
  await a.replicas.announce(CHANGE)
  const now = b.replicas.generation
  for (const text of [...wire.texts]) wire.send(text)
  await settled()
  t.same(b.heard, [CHANGE], 'a recording changes nothing')
  t.equal(b.replicas.generation, now)
})

t.test('an acknowledgement of something else, or by somebody else, is none', async (t) => {
  const { clock, wire, join } = group(t)
  const [a, b] = [await join(), await join()]
  b.line.deaf = true
  let done = false
  void a.replicas.announce(CHANGE).then(() => (done = true))
  const seal = new MessageSeal(SECRET, 'here')
  for (let of = 0; of < 20; of++)
    wire.send(seal.write({ kind: 'acknowledged', from: 'stranger', number: of + 1, to: 'id1', of }))
  await settled()
  t.notOk(done)
  clock.advance(100)
  await settled()
  t.ok(done)
})

t.test('a change that a newer release alone knows may concern anybody', async (t) => {
  const { wire, join } = group(t)
  const { heard } = await join()
  const changes = [{ kind: 'device', id: '1' }, { kind: 'user' }, 7, CHANGE[0]] as unknown as Change[]
  wire.send(
    new MessageSeal(SECRET, 'here').write({
      kind: 'change',
      changes,
      generation: 'g',
      from: 'newer',
      number: 1,
    }),
  )
  await settled()
  const anybody = { kind: 'everybody' }
  t.same(heard, [[anybody, anybody, anybody, CHANGE[0]]])
})

t.test('what the others say of themselves is known, and renewed', async (t) => {
  const { clock, join } = group(t)
  const a = await join()
  let word = 'first'
  await join({ about: () => word })
  t.same(a.replicas.live[0]?.about, 'first')
  word = 'second'
  await pass(clock, 1_000)
  t.same(a.replicas.live[0]?.about, 'second')
})

t.test('over a real Redis: heard, acknowledged, cut off and heard again', async (t) => {
  const server = await freshRedis(t)
  const { hostname, port } = new URL(server.url)
  const address = { host: hostname, port: Number(port), db: 0, tls: false }
  const clock = { ...virtualClock(), after: () => () => undefined }
  const joined = async (): Promise<Member & { gap: () => Promise<void> }> => {
    const publisher = connectRedis(address, 'test', () => undefined)
    publisher.on('error', () => undefined)
    await connected(publisher)
    const heard: (readonly Change[])[] = []
    const gaps: number[] = []
    let wake = NOTHING
    const replicas = new Replicas({
      channel: redisChannel('postern:test', publisher, address),
      clock,
      newId: () => crypto.randomUUID(),
      secret: SECRET,
      place: 'here',
      revokeWait: 100,
      onChange: (changes) => heard.push(changes),
      onGap: () => {
        gaps.push(0)
        wake()
      },
      about: () => null,
    })
    t.teardown(async () => {
      await replicas.close()
      publisher.disconnect()
    })
    const gap = (): Promise<void> => new Promise((resolve) => (wake = resolve))
    if (gaps.length === 0) await gap()
    return { replicas, line: new Line(new Wire()), heard, gaps, gap }
  }
  const a = await joined()
  const b = await joined()
  const watcher = new Redis(server.url)
  t.teardown(() => watcher.disconnect())
  // Redis answers in order: what was sent before this has been heard.
  const round = async (): Promise<void> => {
    for (let i = 0; i < 3; i++) await watcher.ping().then(settled)
  }
  while (a.replicas.live.length === 0 || !b.replicas.joined) await round()
  await a.replicas.announce(CHANGE)
  t.same(b.heard, [CHANGE])
  t.equal(a.replicas.counts.unacknowledged, 0, 'acknowledged before it returned, since no time passes here')

  const gaps = [a.gap(), b.gap()]
  await watcher.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
  await Promise.all(gaps)
  while (!a.replicas.joined || a.replicas.live.length === 0 || !b.replicas.joined) await round()
  await a.replicas.announce([{ kind: 'everybody' }])
  t.same(b.heard, [CHANGE, [{ kind: 'everybody' }]])
})
