/**
 * What so many cached tokens cost, as JSON: `node --expose-gc bench/entries.ts SIZE`, a process for each size. The cache,
 * the authenticator and the reading of rows are the real ones; the source makes up RomM's rows in memory.
 */
import { setImmediate } from 'node:timers/promises'
import { createTokenAuthenticator } from '../src/authenticators/token.ts'
import { sha256 } from '../src/directory/digest.ts'
import { Lookup } from '../src/directory/lookup.ts'
import type { Source, TokenRecord, UserRecord } from '../src/directory/records.ts'
import { systemClock } from '../src/identity/clock.ts'
import { ScopeSet } from '../src/identity/scope.ts'
import { tokenRecord } from '../src/profiles/romm/queries.ts'
import type { MaybePromise, Outcome } from '../src/pipeline/outcome.ts'
import { readFixture } from '../test/support/romm/facts.ts'
import { benchRequest, createBenchAsserter } from './asserting.ts'
import { percentile } from './results.ts'

const size = Number(process.argv[2])
/** As RomM's database has them: all 22 scopes, the most that a token can hold. */
const scopes = readFixture().client_tokens[0]?.scopes ?? ''
const USERS = 1_000
const HITS = 1_000_000
/** Signing takes long; what one assertion takes up is known from so many. */
const ASSERTED = 20_000
const request = benchRequest()

/** Answers in a later turn of the event loop, as a database does. */
function sourceOf<V extends object>(make: (key: string, known: V | undefined) => V): Source<V> {
  return {
    load: async (keys, known) => {
      await setImmediate()
      return new Map(keys.map((key) => [key, make(key, known.get(key))]))
    },
  }
}

let rows = 0
const tokenSource = sourceOf<TokenRecord>((digest, known) => {
  const id = known === undefined ? ++rows : Number(known.id)
  // A driver makes every string anew.
  const hashed_token = Buffer.from(digest).toString()
  const text = Buffer.from(scopes).toString()
  return tokenRecord({
    id,
    user_id: id % USERS,
    hashed_token,
    scopes: text,
    expires_at: null,
    device_id: null,
  })
})
const held = ScopeSet.of(scopes.split(' '))
const userSource = sourceOf<UserRecord>((id) => ({
  id,
  username: `user ${id}`,
  role: 'user',
  enabled: true,
  passwordHash: undefined,
  scopes: held,
}))

/** Added to the clock, to make everything idle. */
let skipped = 0
const clock = { ...systemClock, monotonic: () => performance.now() + skipped }

const common = {
  clock,
  maxEntries: size + 1,
  // Nothing grows old while it is measured.
  freshFor: 3_600_000,
  staleIfError: 30_000,
  deadline: 60_000,
}
const tokens = new Lookup({ ...common, name: 'token', source: tokenSource })
const users = new Lookup({ ...common, name: 'user', source: userSource })
const authenticator = createTokenAuthenticator(
  { token: (digest) => tokens.find(digest), userById: (id) => users.find(id), userByName: () => undefined },
  clock,
)

const authenticate = (token: string): MaybePromise<Outcome> =>
  authenticator.authenticate({ kind: 'token', token }, request.client)

const asserter = createBenchAsserter()
// It is used to the end, so that nothing of it is collected before.
function assert(outcome: Outcome): unknown {
  return outcome.kind === 'authenticated' ? asserter.assert(outcome.principal, request) : undefined
}

const raw = (i: number): string => `rmm_${sha256(String(i))}`

async function fill(use: (i: number) => unknown): Promise<void> {
  for (let from = 0; from < size; from += 1_000) {
    await Promise.all(Array.from({ length: Math.min(1_000, size - from) }, (_, i) => use(from + i)))
  }
}

/** Bytes in use, after everything that nobody holds was collected. */
function heap(): number {
  global.gc?.()
  global.gc?.()
  return process.memoryUsage().heapUsed
}

/** Processor time of this thread in milliseconds: what neighbours on the machine do does not show in it. */
function cpu(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

/** Nanoseconds of the processor each. */
function timed(times: number, act: (i: number) => unknown): number {
  const began = cpu()
  for (let i = 0; i < times; i++) act(i)
  return ((cpu() - began) * 1e6) / times
}

/** Nanoseconds of one, by the clock: the median, which no pause of the process moves. */
function typical(times: number, act: (i: number) => unknown): number {
  return percentile(
    Array.from({ length: times }, (_, i) => {
      const began = performance.now()
      act(i)
      return (performance.now() - began) * 1e6
    }),
    0.5,
  )
}

interface BatchTime {
  /** Milliseconds of the processor. */
  readonly took: number
  /** The most in one turn of the event loop, for which nothing else could run. */
  readonly stall: number
}

/** One batch over what is in use, and that is everything. */
async function batch(): Promise<BatchTime> {
  const began = cpu()
  const batching = tokens.revalidate()
  let stall = cpu() - began
  for (let turn: unknown = 'turn'; turn === 'turn';) {
    const before = cpu()
    turn = await Promise.race([batching, setImmediate('turn')])
    stall = Math.max(stall, cpu() - before)
  }
  return { took: cpu() - began, stall }
}

/** A permutation of the entries that no cache of the processor foresees: the step has no divisor in common with the size. */
const STEP = 618_033_989
const anyOf = (i: number): number => (i * STEP) % size

const empty = heap()
await fill((i) => tokens.find(sha256(raw(i))))
const withRecords = heap()
await fill((i) => authenticate(raw(i)))
const withPrincipals = heap()
const asserted = Math.min(size, ASSERTED)
for (let i = 0; i < asserted; i++) await assert(await authenticate(raw(i)))
const withAssertions = heap()

const all = Array.from({ length: size }, (_, i) => sha256(raw(i)))
const some = Array.from({ length: Math.min(size, 100_000) }, (_, i) => anyOf(i))
const digests = some.map((i) => all[i] ?? '')
const raws = some.map(raw)
const hit = (i: number): unknown => tokens.find(digests[i % digests.length] ?? '')
const decide = (i: number): unknown => authenticate(raws[i % raws.length] ?? '')
const hash = (i: number): unknown => sha256(raws[i % raws.length] ?? '')
for (const act of [hit, decide, hash]) timed(HITS / 10, act)
const hitNs = timed(HITS, hit)
const authenticateNs = timed(HITS, decide)
const hashNs = timed(HITS, hash)

const useAll = (): void => {
  for (const digest of all) void tokens.find(digest)
}

useAll()
await batch()
useAll()
const confirming = await batch()
const { rss } = process.memoryUsage()

if (tokens.size !== size) throw new Error(`${tokens.size} entries of ${size}`)
const forgetNs = typical(500, (i) => tokens.forget((token) => token?.id === String(-i)))
const hitAfterForgetNs = typical(size, (i) => tokens.find(all[anyOf(i)] ?? ''))
const hitAgainNs = typical(size, (i) => tokens.find(all[anyOf(i)] ?? ''))
const doubtNs = typical(100, () => tokens.doubt())
const doubted = await batch()
skipped = 31_000
const idle = await batch()
const forgetKeyNs = typical(size / 10, (i) => tokens.forgetKey(all[anyOf(i)] ?? ''))

const figures = {
  size,
  bytesPerRecord: (withRecords - empty) / size,
  bytesPerPrincipal: (withPrincipals - withRecords) / size,
  bytesPerAssertion: (withAssertions - withPrincipals) / asserted,
  rss,
  hitNs,
  authenticateNs,
  hashNs,
  batchMs: confirming.took,
  batchStallMs: confirming.stall,
  idleBatchMs: idle.took,
  doubtNs,
  doubtBatchMs: doubted.took,
  forgetNs,
  hitAfterForgetNs,
  hitAgainNs,
  forgetKeyNs,
}
export type Entries = typeof figures

console.log(JSON.stringify(figures))
