import type { Redis } from 'ioredis'
import { evictionOf } from '../../../directory/redis.ts'
import { error, fixIn, notice, ok, warning } from '../../finding.ts'
import type { Check, Observation } from '../../finding.ts'
import type { AskUpstream } from '../../profile.ts'

export interface RedisToExamine {
  readonly redis: Redis
  readonly ask: AskUpstream
  /** Also by a question that leaves a trace there for a minute. */
  readonly thorough: boolean
  /** An address that nobody has, different each time. */
  readonly nobody: () => string
}

const NOT_GIVEN = notice(
  "romm.redis is not given: sessions are asked of RomM. (Without REDIS_HOST RomM's own is inside its container, out of reach)",
  fixIn('backend', 'REDIS_HOST=…'),
  fixIn('configuration', 'romm:', '  redis: redis://…:6379/0'),
)
const OTHER_REDIS = fixIn(
  'configuration',
  'romm:',
  '  redis: redis://HOST:6379/DB   # as REDIS_HOST, REDIS_DB of RomM',
)

/** Whether RomM's Redis can be used, and whether it is RomM's. */
export function redisChecks(given: RedisToExamine | undefined): Check[] {
  if (given === undefined) return [{ id: 'romm.redis', look: () => [NOT_GIVEN] }]
  return [
    { id: 'romm.redis', look: async () => [await reachable(given.redis)] },
    { id: 'romm.redis.memory', look: () => unlessAway(given.redis, () => eviction(given.redis)) },
    {
      id: 'romm.redis.same',
      look: () => unlessAway(given.redis, () => (given.thorough ? traced(given) : shaped(given.redis))),
    },
  ]
}

function isAway(redis: Redis): boolean {
  return redis.status !== 'ready'
}

/** A user who may read sessions and no more, since whoever may list keys has everybody's session, is no trouble. */
async function unlessAway(redis: Redis, look: () => Promise<Observation>): Promise<Observation[]> {
  if (isAway(redis)) return []
  try {
    return [await look()]
  } catch (cause) {
    if (!(cause instanceof Error && cause.message.startsWith('NOPERM'))) throw cause
    return [
      notice('it was not looked at: the user of Redis that Postern was given may not do what that takes'),
    ]
  }
}

async function reachable(redis: Redis): Promise<Observation> {
  if (isAway(redis)) return error("RomM's Redis does not answer: sessions are asked of RomM", OTHER_REDIS)
  return ok(`RomM's Redis answers (${String(await redis.dbsize())} keys)`)
}

async function eviction(redis: Redis): Promise<Observation> {
  const policy = await evictionOf(redis)
  return policy === undefined
    ? ok('it forgets nothing by itself')
    : warning(
        `it drops keys when its memory is full (${policy}): people are signed out then`,
        fixIn('redis', 'CONFIG SET maxmemory-policy noeviction'),
      )
}

/** RomM fact: what it keeps in its Redis. */
const KEPT = ['session:*', 'user_sessions:*', 'rq:*', 'romm:*']

async function shaped(redis: Redis): Promise<Observation> {
  for (const pattern of KEPT) {
    if ((await keysLike(redis, pattern)).length > 0) return ok('it holds what RomM keeps in its Redis')
  }
  return notice(
    'it holds nothing of what RomM keeps in its Redis: RomM is new, or it is another one',
    OTHER_REDIS,
  )
}

/** Codes have eight characters, without 0 and 1. */
const NO_CODE = JSON.stringify({ code: '00000000' })
/** RomM fact: tries are counted for this many seconds, anew with each. */
const COUNTED_FOR = 60

/**
 * RomM fact: whoever tries a pairing code is counted in Redis under the first address of X-Forwarded-For, a code that
 * cannot be one included. An address that nobody has (RFC 3849) shows up in no other Redis than RomM's.
 */
async function traced({ redis, ask, nobody }: RedisToExamine): Promise<Observation> {
  const address = nobody()
  const headers = { 'Content-Type': 'application/json', 'X-Forwarded-For': address }
  const { status } = await ask('/api/client-tokens/exchange', headers, NO_CODE)
  if ((await redis.exists(`client-token-rate:${address}`)) === 1)
    return ok("it is RomM's: what RomM counted just now is in it")
  const counters = await keysLike(redis, 'client-token-rate:*')
  const left = await Promise.all(counters.map((key) => redis.ttl(key)))
  // Whoever stands between us and RomM may have written another address.
  if (left.some((seconds) => seconds >= COUNTED_FOR - 1))
    return ok("it is RomM's: RomM counted something in it just now")
  return status === 404 || status === 400 || status === 401
    ? error("it is not RomM's: what RomM counted just now is not in it", OTHER_REDIS)
    : notice(
        `whether it is RomM's could not be told: RomM answered ${status} to the question that would show it`,
      )
}

/** Keys that are looked through at most, in rounds of a thousand. */
const ROUNDS = 100

async function keysLike(redis: Redis, pattern: string): Promise<string[]> {
  let cursor = '0'
  const found: string[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const [next, keys] = await redis.scan(cursor, 'MATCH', pattern, 'COUNT', 1_000)
    found.push(...keys)
    cursor = next
    if (cursor === '0' || found.length > 0) break
  }
  return found
}
