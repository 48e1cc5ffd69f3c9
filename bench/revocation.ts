/**
 * How fast a revoked token is refused everywhere: `npm run bench -- revocation [--short]`. Three replicas that share a
 * Redis, each a process, before one RomM; beside them a gateway alone, and RomM itself.
 */
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startRedis } from '../test/support/services/redis.ts'
import { Closing, Installation, type Peer, type Token } from './installation.ts'
import { printTable, saveResults, spread } from './results.ts'

const { values } = parseArgs({ options: { short: { type: 'boolean', default: false } } })
const REQUESTS = values.short ? 20 : 300
/** At the database's own hands: so many rounds of so many at once. */
const ROUNDS = values.short ? 1 : 10
const AT_ONCE = 6
/** Milliseconds after which only batches have confirmed a token. */
const IN_USE = 3_500
/** Milliseconds between two looks at one replica while waiting for a batch. */
const LOOK = 20

/** Milliseconds that the request which revokes takes. */
async function revoke({ admin }: Installation, through: Peer, { id }: Token): Promise<number> {
  const began = performance.now()
  const status = await through.ask(admin, 'DELETE', `/api/client-tokens/${id}/admin`)
  if (status !== 204) throw new Error(`the revocation was answered with ${status}`)
  return performance.now() - began
}

async function warm(peers: readonly Peer[], token: Token): Promise<void> {
  for (const peer of peers) {
    if ((await peer.ask(token.raw)) !== 200) throw new Error('a good token was refused')
  }
}

/** Milliseconds from `began` to the beginning of the first request that is refused, one after the other. */
async function firstRefusal(peer: Peer, { raw }: Token, began: number, pause: number): Promise<number> {
  for (;;) {
    const asked = performance.now()
    if ((await peer.ask(raw)) === 401) return Math.max(0, asked - began)
    if (pause > 0) await setTimeout(pause)
  }
}

interface Quiet {
  readonly romm: number[]
  readonly alone: number[]
  readonly replicas: number[]
  /** Requests right after a revocation's answer that were not refused. */
  passed: number
}

/** What the request that revokes costs its client; then everybody must refuse. */
async function measureRequests(
  installation: Installation,
  replicas: readonly Peer[],
  alone: Peer,
): Promise<Quiet> {
  const [first] = replicas
  if (first === undefined) throw new Error('no replica')
  const quiet: Quiet = { romm: [], alone: [], replicas: [], passed: 0 }
  for (let round = 0; round < REQUESTS; round++) {
    const [direct, single, shared] = await installation.addTokens(3)
    if (direct === undefined || single === undefined || shared === undefined) throw new Error('no tokens')
    quiet.romm.push(await revoke(installation, installation.romm, direct))
    await warm([alone], single)
    quiet.alone.push(await revoke(installation, alone, single))
    await warm(replicas, shared)
    quiet.replicas.push(await revoke(installation, first, shared))
    const statuses = await Promise.all(replicas.map((replica) => replica.ask(shared.raw)))
    quiet.passed += statuses.filter((status) => status !== 401).length
  }
  return quiet
}

/** From sending the revocation to the moment since which every replica refuses; each is asked without a pause. */
async function measureEverywhere(
  installation: Installation,
  replicas: readonly Peer[],
  requests: number,
): Promise<number[]> {
  const [first] = replicas
  if (first === undefined) throw new Error('no replica')
  const times: number[] = []
  for (const token of await installation.addTokens(requests)) {
    await warm(replicas, token)
    const began = performance.now()
    const refusals = replicas.map((replica) => firstRefusal(replica, token, began, 0))
    await revoke(installation, first, token)
    times.push(Math.max(...(await Promise.all(refusals))))
  }
  return times
}

/** From sending the statement to the first refusal, by replica. */
async function measureSql(installation: Installation, replicas: readonly Peer[]): Promise<number[][]> {
  const times: number[][] = replicas.map(() => [])
  const one = async (token: Token): Promise<void> => {
    await warm(replicas, token)
    await setTimeout(IN_USE + Math.random() * 2_000)
    const began = performance.now()
    const refusals = replicas.map((replica) => firstRefusal(replica, token, began, LOOK))
    await installation.connection.query(`delete from client_tokens where id = ${token.id}`)
    for (const [i, took] of (await Promise.all(refusals)).entries()) times[i]?.push(took)
  }
  for (let round = 0; round < ROUNDS; round++)
    await Promise.all((await installation.addTokens(AT_ONCE)).map(one))
  return times
}

async function total(replicas: readonly Peer[], metric: string): Promise<number> {
  const counts = await Promise.all(replicas.map((replica) => replica.metric(metric)))
  return counts.reduce((sum, count) => sum + count, 0)
}

/** Resolves when each hears the others. */
async function joined(replicas: readonly Peer[]): Promise<void> {
  while ((await total(replicas, 'postern_replicas')) < replicas.length * (replicas.length - 1))
    await setTimeout(100)
}

const closing = new Closing()
try {
  const installation = await Installation.start(closing)
  const redis = await startRedis()
  closing.add(() => redis.close())
  // Hundreds of revoked tokens from one address are no guesses here.
  const unlimited = { 'attempts.perAddress': '1000000' }
  const secret = 'of this bench alone, and of nobody else'
  const shared = { ...unlimited, 'redis.url': redis.url, 'cache.secret': secret }
  const replicas = await Promise.all([1, 2, 3].map(() => installation.serve(shared)))
  const alone = await installation.serve(unlimited)
  await joined(replicas)
  // The first requests run uncompiled.
  await measureEverywhere(installation, replicas, 20)
  const announcedBefore = await total(replicas, 'postern_changes_announced_total')
  const missedBefore = await total(replicas, 'postern_changes_unacknowledged_total')
  const quiet = await measureRequests(installation, replicas, alone)
  const everywhere = await measureEverywhere(installation, replicas, REQUESTS)
  const announced = (await total(replicas, 'postern_changes_announced_total')) - announcedBefore
  const missed = (await total(replicas, 'postern_changes_unacknowledged_total')) - missedBefore
  const sql = await measureSql(installation, replicas)

  printTable(
    ['milliseconds', 'p50', 'p99', 'max', 'n'],
    [
      ['the revoking request, at RomM itself', ...spread(quiet.romm), String(quiet.romm.length)],
      ['… through a gateway alone', ...spread(quiet.alone), String(quiet.alone.length)],
      ['… through one of three replicas', ...spread(quiet.replicas), String(quiet.replicas.length)],
      ['from sending it until all three refuse', ...spread(everywhere), String(everywhere.length)],
      ...sql.map((times, i) => [
        `from SQL until replica ${i + 1} refuses`,
        ...spread(times, 0),
        String(times.length),
      ]),
    ],
  )
  console.log(
    `after the answer: ${quiet.passed} of ${quiet.replicas.length * replicas.length} next requests not refused; ` +
      `${missed} acknowledgements missed of ${announced} announcements`,
  )
  await saveResults('revocation', { ...quiet, everywhere, sql, announced, missed })
} finally {
  await closing.close()
}
