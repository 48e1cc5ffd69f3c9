import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { isDeepStrictEqual } from 'node:util'
import t, { type Test } from 'tap'
import { freshProxy } from '../support/proxy.ts'
import { freshRedis } from '../support/services.ts'
import {
  admit,
  ALL_DEATHS,
  DEATHS,
  exchange,
  MODES,
  spellingsOf,
  type Death,
  type Person,
  type Sent,
} from './people.ts'
import {
  cutOff,
  eventually,
  everywhere,
  expected,
  freshRomm,
  joined,
  ladderOf,
  startReplicas,
} from './support.ts'

const romm = await freshRomm(t)
const { state } = romm.standin
const shared = await freshRedis(t)
/** Between C and the Redis that all of them share. */
const wire = await freshProxy(t, shared.port)
const settings = {
  'upstream.url': romm.standin.url,
  'redis.url': shared.url,
  ...ladderOf(romm),
  // What is known counts for five minutes: whoever refuses before that was told.
  'cache.revalidate': '5m',
}
const replicas = await startReplicas(t, settings, [{}, {}, { 'redis.url': `redis://127.0.0.1:${wire.port}` }])
const [a, b, c] = replicas
const bystander = await admit(romm)

/** Somebody whom every replica knows dies by a request through A. */
async function dies(
  t: Test,
  person: Person,
  { dead, status }: Pick<Death, 'dead' | 'status'>,
  [path, question]: readonly [string, Sent],
): Promise<void> {
  t.same(await everywhere(replicas, person), expected(replicas, [], 0), 'all are known')
  const before = await a.metric('postern_changes_announced_total')
  const answer = await a.ask(path, question)
  const after = everywhere(replicas, person)
  t.ok(answer.status < 300, `${question.method} ${path}: ${answer.status} ${answer.text}`)
  t.same(await after, expected(replicas, dead, status), path)
  t.ok((await a.metric('postern_changes_announced_total')) > before, 'it was announced')
  t.equal(await a.metric('postern_changes_unacknowledged_total'), 0, 'and acknowledged')
  t.same(await everywhere(replicas, bystander), expected(replicas, [], 0), 'the others live')
}

for (const death of ALL_DEATHS) {
  t.test(`${death.title} is refused everywhere once A has answered`, async (t) => {
    const person = await admit(romm)
    await dies(t, person, death, death.request(person))
  })
}

t.test('a token that is handed out for a code dies, though the body alone says which', async (t) => {
  const person = await admit(romm)
  const pairing = { method: 'POST', headers: person.as.jwt }
  const { text } = await b.ask(`/api/client-tokens/${person.tokenId}/pair`, pairing)
  const { code } = JSON.parse(text) as { readonly code: string }
  await dies(t, person, DEATHS['token deleted'], exchange(code))
})

t.test('an id that RomM alone reads as a number, and a twin with a slash, change the same', async (t) => {
  const cases = [
    [DEATHS['token deleted'], 'tokenId'],
    [DEATHS['token taken'], 'tokenId'],
    [DEATHS.disabled, 'id'],
    [DEATHS.permissions, 'id'],
  ] as const
  for (const [index] of spellingsOf(0).entries()) {
    for (const [turn, [death, field]] of cases.entries()) {
      const person = await admit(romm)
      const spelling = spellingsOf(person[field])[index] ?? ''
      const [path, question] = death.request(person, spelling)
      const isTwin = (index + turn) % 2 === 0
      await dies(t, person, death, [isTwin ? `${path}/` : path, question])
    }
  }
})

t.test('a change counts whose answer is lost, and one whose client has left', async (t) => {
  const { standin, store } = romm
  const usual = standin.intercept
  t.teardown(() => (standin.intercept = usual))
  for (const leaves of [false, true]) {
    const person = await admit(romm)
    await everywhere(replicas, person)
    const arrived = Promise.withResolvers<ServerResponse>()
    standin.intercept = (request, response) => {
      if (request.method === 'PUT') arrived.resolve(response)
      return request.method === 'PUT' || usual?.(request, response) === true
    }
    const [path, question] = DEATHS.disabled.request(person)
    const client = new AbortController()
    const answer = fetch(`http://127.0.0.1:${a.port}${path}`, { ...question, signal: client.signal })
    const told = answer.then(
      ({ status }) => status,
      () => 'nothing',
    )
    const response = await arrived.promise
    if (leaves) client.abort()
    state.disableUser(person.name)
    await store.save()
    response.destroy()
    t.equal(await told, leaves ? 'nothing' : 502)
    // Who has left is not answered, so nobody says when it is acknowledged; known answers count for minutes here.
    const refused = expected(replicas, MODES, 401)
    const areRefused = async (): Promise<boolean> =>
      isDeepStrictEqual(await everywhere(replicas, person), refused)
    if (leaves) await eventually('everybody is told', areRefused)
    t.same(await everywhere(replicas, person), refused)
  }
})

t.test('a socket that was opened through B closes by a change through A', async (t) => {
  const witness = await b.socket(bystander.as.session)
  for (const mode of MODES) {
    const person = await admit(romm)
    const socket = await b.socket(person.as[mode])
    const closed = once(socket, 'close')
    const [path, question] = DEATHS.disabled.request(person)
    t.equal((await a.ask(path, question)).status, 200)
    await closed
    t.pass(mode)
  }
  const echo = once(witness, 'message')
  witness.send('still there?')
  await echo
  t.pass('and no other')
})

t.test('one who is let in again is let in everywhere', async (t) => {
  const person = await admit(romm)
  await dies(t, person, DEATHS.disabled, DEATHS.disabled.request(person))
  const [path, { headers }] = DEATHS.disabled.request(person)
  await a.ask(path, { method: 'PUT', headers, body: 'enabled=true' })
  // RomM takes the sessions of a disabled user away for good, as soon as it sees them.
  t.same(await everywhere(replicas, person), expected(replicas, ['session'], 401))
})

t.test('who was cut off has missed something, and asks about everybody anew', async (t) => {
  const person = await admit(romm)
  wire.cut()
  await cutOff(c)
  await eventually('A waits for C no longer', async () => (await a.metric('postern_replicas')) === 1)
  t.same(await everywhere(replicas, person), expected(replicas, [], 0), 'all are known')
  await a.ask(...DEATHS.disabled.request(person))
  t.same(await everywhere([a, b], person), expected([a, b], MODES, 401))
  t.same(await everywhere([c], person), expected([c], [], 0), 'which C was not told')
  wire.resume()
  await joined(c, 2)
  t.same(await everywhere(replicas, person), expected(replicas, MODES, 401))
  t.equal(await a.metric('postern_changes_unacknowledged_total'), 0)
})
