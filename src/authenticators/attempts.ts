import { LRUCache } from 'lru-cache'
import { createSecretDigest, keyedDigestOf } from '../directory/digest.ts'
import type { NamedUser } from '../directory/records.ts'
import { PosternError } from '../errors.ts'
import type { Clock } from '../identity/clock.ts'
import type { ClientInfo } from '../request/request.ts'
import { createCounts } from './counts.ts'
import type { Counts, CountsOptions } from './counts.ts'
import { networkOf } from '../request/network.ts'

export interface AttemptLimits {
  /** Milliseconds within which failures are counted. */
  readonly window: number
  /** Failures for one user from one address. */
  readonly perUserAndAddress: number
  /** Failures for one user from all the addresses at which that user has not succeeded lately. */
  readonly perUser: number
  /** Failures from one address. */
  readonly perAddress: number
  /** Milliseconds from one attempt that is still looked at to the next, beyond these limits. */
  readonly pace: number
}

export interface AttemptsOptions {
  readonly limits: AttemptLimits
  readonly clock: Clock
  /** Where the replicas of one `place` count together; names are kept there by their digest, which `secret` keys. */
  readonly shared:
    { readonly redis: object; readonly secret: Buffer | undefined; readonly place: string } | undefined
  /** Where else counts are kept; in this process, unless told. */
  readonly makeCounts?: ((counter: Pick<CountsOptions, 'name' | 'window'>) => Counts) | undefined
}

/** A secret that can be guessed, as it is presented. */
export interface Guess {
  readonly client: ClientInfo
  /** Whose it would be, from `userKey`; undefined where only the backend can know. */
  readonly user: string | undefined
  /** Tells a repetition from another guess; undefined where the secret is in a body, which nobody reads. */
  readonly secret: string | undefined
}

/** What came of it; `unknown` where nobody could say. */
export type Judgement = 'good' | 'bad' | 'unknown'

/** To be called once. */
export type Conclude = (judgement: Judgement) => Promise<void>

/** How much more an address may fail for a user who succeeded there lately: others share it, but so does its user. */
const KNOWN_FACTOR = 10
/** How much more an address may fail that is a proxy's, with everybody behind it. */
const SHARED_FACTOR = 20
/** And with secrets that nobody reads here: one app that repeats its dead one must not keep a household from signing in. */
const UNREAD_FACTOR = 10
/** Milliseconds for which a success counts as lately. */
const LATELY = 7 * 24 * 3_600_000
/** Secrets remembered of each kind, by a digest whose key dies with the process. */
const MOST_REMEMBERED = 20_000

interface Limit {
  readonly key: string
  readonly ceiling: number
}

/** Whom a name is counted for. Spellings that lead to one user are one; folding does for names that lead to nobody. */
export function userKey(name: string, named: NamedUser | undefined): string {
  if (named?.kind === 'user') return `id ${named.user.id}`
  // Databases that compare without case ignore spaces at the end too.
  return `name ${name.normalize('NFKC').toLowerCase().trimEnd()}`
}

/** Counts what failed. Nothing here is touched by a credential that is known to be good. */
export class Attempts {
  readonly #limits: AttemptLimits
  readonly #key: Buffer | string
  readonly #place: string
  readonly #failures: Counts
  readonly #turns: Counts
  readonly #successes: Counts
  /** What was found bad, so that a repetition is not counted again; and good, so that it is never refused. */
  readonly #bad: Memory
  readonly #good: Memory
  readonly #secretDigest = createSecretDigest()
  /** What this process counted as a failure, and what it did not look at. */
  readonly counts = { failed: 0, refused: 0 }

  constructor({ limits, clock, shared, makeCounts }: AttemptsOptions) {
    const make = makeCounts ?? ((counter) => createCounts({ ...counter, clock, redis: shared?.redis }))
    this.#limits = limits
    this.#key = shared?.secret ?? 'attempts'
    this.#place = shared?.place ?? ''
    this.#failures = make({ name: 'failures', window: limits.window })
    this.#turns = make({ name: 'turns', window: limits.pace })
    this.#successes = make({ name: 'successes', window: LATELY })
    this.#bad = new Memory(limits.window, clock)
    this.#good = new Memory(LATELY, clock)
  }

  /**
   * Before a guess is looked at. It is counted at once, or many at a time would all be the first; what was not a failure
   * is taken back when it is over.
   * @throws PosternError `too_many_attempts`
   */
  async begin(guess: Guess): Promise<Conclude> {
    const digest = this.#digestOf(guess)
    if (digest !== undefined && this.#good.has(digest))
      return async (judgement) => {
        if (judgement === 'bad') this.#good.delete(digest)
      }
    const { limits, pair } = await this.#limitsOf(guess)
    const counted = await Promise.all(
      limits.map(async ({ key, ceiling }) => ({
        key,
        isOver: (await this.#failures.penalty(key)).consumedPoints > ceiling,
      })),
    )
    const takeBack = async (): Promise<void> => {
      await Promise.all(limits.map(({ key }) => this.#failures.reward(key)))
    }
    for (const { key, isOver } of counted) {
      const wait = isOver ? await this.#waitFor(key) : undefined
      if (wait === undefined) continue
      await takeBack()
      this.counts.refused++
      throw tooMany(wait)
    }
    return async (judgement) => {
      if (judgement === 'good') await this.#succeeded(pair, digest)
      const counts = judgement === 'bad' && (digest === undefined || this.#bad.add(digest))
      if (counts) this.counts.failed++
      else await takeBack()
    }
  }

  /**
   * `look`, as often as the guess may be looked at.
   * @throws PosternError `too_many_attempts`
   */
  async judge<T>(guess: Guess, look: () => Promise<T>, isGood: (answer: T) => boolean): Promise<T> {
    const conclude = await this.begin(guess)
    let judgement: Judgement = 'unknown'
    try {
      const answer = await look()
      judgement = isGood(answer) ? 'good' : 'bad'
      return answer
    } finally {
      await conclude(judgement)
    }
  }

  /**
   * Counts a credential that was found bad and that nobody could have guessed: tokens, sessions, signatures.
   * @returns milliseconds until its address may fail again, if it has failed too often; repetitions never do
   */
  async failed(client: ClientInfo, secret: string): Promise<number | undefined> {
    const guess: Guess = { client, user: undefined, secret }
    const digest = this.#digestOf(guess)
    if (digest === undefined || !this.#bad.add(digest)) return undefined
    const [limit] = (await this.#limitsOf(guess)).limits
    if (limit === undefined) return undefined
    this.counts.failed++
    const { consumedPoints, msBeforeNext } = await this.#failures.penalty(limit.key)
    if (consumedPoints <= limit.ceiling) return undefined
    this.counts.refused++
    return msBeforeNext
  }

  /** Others' failures do not touch an address at which the user succeeded lately. */
  async #limitsOf({
    client,
    user,
    secret,
  }: Guess): Promise<{ limits: readonly Limit[]; pair: string | undefined }> {
    const { perUserAndAddress, perUser, perAddress } = this.#limits
    const network = networkOf(client.address)
    const factor = client.shared === true ? SHARED_FACTOR : 1
    const address =
      secret === undefined
        ? { key: this.#keyOf('unread', network), ceiling: perAddress * factor * UNREAD_FACTOR }
        : { key: this.#keyOf('address', network), ceiling: perAddress * factor }
    if (user === undefined) return { limits: [address], pair: undefined }
    const pair = this.#keyOf('pair', network, user)
    if ((await this.#successes.get(pair)) !== null)
      return { limits: [{ key: pair, ceiling: perUserAndAddress * KNOWN_FACTOR }], pair }
    return {
      limits: [
        { key: pair, ceiling: perUserAndAddress },
        { key: this.#keyOf('user', user), ceiling: perUser },
        address,
      ],
      pair,
    }
  }

  /** @returns milliseconds until the next turn, unless this is one */
  async #waitFor(key: string): Promise<number | undefined> {
    const { consumedPoints, msBeforeNext } = await this.#turns.penalty(key)
    return consumedPoints > 1 ? msBeforeNext : undefined
  }

  async #succeeded(pair: string | undefined, digest: string | undefined): Promise<void> {
    if (digest !== undefined) this.#good.add(digest)
    if (pair !== undefined) await this.#successes.set(pair, 1, LATELY / 1_000)
  }

  #digestOf({ user = '', secret }: Guess): string | undefined {
    return secret === undefined ? undefined : this.#secretDigest(user, secret)
  }

  #keyOf(...parts: readonly string[]): string {
    return keyedDigestOf(this.#key, this.#place, ...parts)
  }
}

/** Digests, each for a while. */
class Memory {
  readonly #entries = new LRUCache<string, number>({ max: MOST_REMEMBERED })
  readonly #ms: number
  readonly #clock: Clock

  constructor(ms: number, clock: Clock) {
    this.#ms = ms
    this.#clock = clock
  }

  has(digest: string): boolean {
    return (this.#entries.get(digest) ?? Number.NEGATIVE_INFINITY) > this.#clock.monotonic()
  }

  /** @returns whether it is new */
  add(digest: string): boolean {
    if (this.has(digest)) return false
    this.#entries.set(digest, this.#clock.monotonic() + this.#ms)
    return true
  }

  delete(digest: string): void {
    this.#entries.delete(digest)
  }
}

function tooMany(wait: number): PosternError {
  return new PosternError('too_many_attempts', undefined, {
    retryAfter: Math.max(1, Math.ceil(wait / 1_000)),
  })
}
