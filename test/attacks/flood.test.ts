/** Bad credentials in masses, from everywhere: what of them reaches RomM, and what becomes of those who are known. */
import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { ASK_FREELY, freshLadder, lines, message, talk } from '../gateway/support.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import { signJwt } from '../support/romm/jwt.ts'
import { basicOf, HOME, PASSWORD, stage, type Stage, times, unknownToken } from './guessing.ts'

/** Of each kind; every one from an address of its own. */
const FLOOD = 80
const RATE = 10

const KINDS: readonly (() => Record<string, string>)[] = [
  unknownToken,
  () => basicOf('admin', randomBytes(8).toString('hex')),
  () => ({
    authorization: `Bearer ${signJwt({ ...CLAIMS, jti: randomBytes(8).toString('hex') }, 'not it')}`,
  }),
]
const CLAIMS = { sub: 'admin', iss: 'romm:oauth', type: 'access', scopes: 'roms.read', exp: 4_102_444_800 }
const KNOWN = [as('rmm vera all'), basicOf('vera', PASSWORD)]

const ladder = await freshLadder(t)

/** By a connection of its own, beside the flood. */
async function ask(t: Test, { port }: Stage, headers: Record<string, string>): Promise<number> {
  const fields = lines({ ...headers, 'X-Forwarded-For': HOME })
  const { status, client } = await talk(t, port, message('/api/roms', fields))
  client.socket.destroy()
  return status
}

/** @returns statuses of those who are known, asked again and again meanwhile */
async function flooded(t: Test, on: Stage): Promise<number[]> {
  const sent = FLOOD * KINDS.length
  const answered: number[] = []
  const flood = Array.from({ length: sent }, async (_, i) => {
    const { status } = await on.from(`198.51.${i >> 8}.${i & 255}`, KINDS[i % KINDS.length]?.() ?? {})
    answered.push(status)
  })
  const seen: number[] = []
  while (answered.length < sent) for (const headers of KNOWN) seen.push(await ask(t, on, headers))
  await Promise.all(flood)
  t.same(
    answered.filter((status) => ![401, 429, 503].includes(status)),
    [],
  )
  return seen
}

async function greet({ from }: Stage): Promise<void> {
  for (const headers of KNOWN) t.equal((await from(HOME, headers)).status, 200)
}

/** What a credential brought to RomM besides those of the known ones. */
function badOnes({ standin }: Stage): number {
  const known = new Set(KNOWN.map(({ authorization }) => authorization))
  return standin.requests.filter(
    ({ headers: { authorization } }) => authorization !== undefined && !known.has(authorization),
  ).length
}

t.test('with a database none of a flood reaches RomM, and nobody who is known is refused', async (t) => {
  // RomM fact: what protects its forms is signed with the secret of its access tokens, which proves the secret.
  const standin = await freshStandin(t, { csrf: true })
  const on = await stage(t, ladder, { 'attempts.perUser': '10' }, undefined, standin)
  await greet(on)
  on.standin.forget()
  const seen = await flooded(t, on)
  t.same(seen, times(seen.length, 200))
  t.equal(badOnes(on), 0)
  t.equal(on.standin.questions, 0)
})

async function askingStage(t: Test, settings: Record<string, string> = {}): Promise<Stage> {
  const on = await stage(
    t,
    { settings: { ...ASK_FREELY, 'ask.rate': String(RATE) } },
    { 'attempts.perUser': '10', ...settings },
  )
  await greet(on)
  on.standin.forget()
  return on
}

t.test('where RomM is asked, no more of a flood reaches it than may', async (t) => {
  const on = await askingStage(t)
  const began = performance.now()
  const seen = await flooded(t, on)
  t.same(seen, times(seen.length, 200))
  const seconds = Math.floor((performance.now() - began) / 1_000) + 1
  t.ok(badOnes(on) <= RATE * seconds, `${badOnes(on)} in ${seconds} seconds`)
  t.ok(badOnes(on) > 0)
})

t.test('who was known when it began is asked for again while it lasts', async (t) => {
  const on = await askingStage(t)
  // The verdicts on them count no longer.
  on.clock.advance(31_000)
  const seen = await flooded(t, on)
  t.same(seen, times(seen.length, 200))
})
