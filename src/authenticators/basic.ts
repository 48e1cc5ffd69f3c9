import { LRUCache } from 'lru-cache'
import { createSecretDigest } from '../directory/digest.ts'
import type { NamedUser } from '../directory/records.ts'
import type { BasicCredential } from '../identity/credential.ts'
import { chain } from '../pipeline/maybe.ts'
import { authenticated, rejected } from '../pipeline/outcome.ts'
import type { Authenticator, MaybePromise, Outcome } from '../pipeline/outcome.ts'
import type { ClientInfo } from '../request/request.ts'
import { userKey } from './attempts.ts'
import type { Guess } from './attempts.ts'
import { PrincipalMemo, userPrincipal } from './memo.ts'
import type { VerifyPassword } from './password.ts'

export interface BasicOptions {
  readonly users: { userByName(name: string): MaybePromise<NamedUser | undefined> }
  /** @throws PosternError `question_refused`, `too_many_attempts` */
  readonly verify: VerifyPassword
  /** Verified against when there is no hash, so that an unknown user takes as long as a known one (CVE-2026-32595). */
  readonly decoyHash: string
  /** Good passwords kept. Bad ones have room of their own: however many are tried, they evict nobody. */
  readonly maxEntries: number
}

/** Bad passwords kept, beside a tenth as many as good ones. */
const LEAST_BAD = 1_000

/** What a password was found to be against one hash. */
interface Verdict {
  readonly hash: string
  readonly good: boolean
}

/**
 * Passwords, each verified at most once while the source still shows the hash that it was verified against. What is
 * remembered is keyed by an HMAC whose key dies with the process: neither memory nor a dump yields a password.
 */
export function createBasicAuthenticator(options: BasicOptions): Authenticator<BasicCredential> {
  const digestOf = createSecretDigest()
  const verdicts = new Verdicts(options)
  const principals = new PrincipalMemo<Verdict>()

  const hashOf = (named: NamedUser | undefined): string =>
    (named?.kind === 'user' ? named.user.passwordHash : undefined) ?? options.decoyHash

  const conclude = (verdict: Verdict, named: NamedUser | undefined): Outcome => {
    if (named?.kind === 'ambiguous') return rejected('ambiguous_user')
    if (named?.user.passwordHash === undefined) return rejected('unknown_user')
    const { user } = named
    if (!verdict.good) return rejected('wrong_password')
    if (!user.enabled) return rejected('disabled_user')
    return authenticated(principals.get(verdict, user, () => userPrincipal('basic', user)))
  }

  const check = (
    credential: BasicCredential,
    named: NamedUser | undefined,
    client: ClientInfo,
  ): MaybePromise<Outcome> => {
    const { username, password } = credential
    const hash = hashOf(named)
    const digest = digestOf(username, password)
    const known = verdicts.known(digest, hash)
    if (known !== undefined) return conclude(known, named)
    const guess = { client, user: userKey(username, named), secret: password }
    // It takes its turn and its time: who the user is by then is what counts.
    return chain(verdicts.verify(digest, password, hash, guess), (found) =>
      chain(options.users.userByName(username), (now) =>
        hashOf(now) === hash ? conclude(found, now) : check(credential, now, client),
      ),
    )
  }

  return {
    authenticate: (credential, client) =>
      chain(options.users.userByName(credential.username), (named) => check(credential, named, client)),
  }
}

/** What passwords, by their digest, were found to be. */
class Verdicts {
  readonly #verify: VerifyPassword
  readonly #good: LRUCache<string, Verdict>
  readonly #bad: LRUCache<string, Verdict>
  readonly #flights = new Map<string, Promise<Verdict>>()

  constructor({ verify, maxEntries }: BasicOptions) {
    this.#verify = verify
    this.#good = new LRUCache({ max: maxEntries })
    this.#bad = new LRUCache({ max: Math.max(LEAST_BAD, Math.ceil(maxEntries / 10)) })
  }

  known(digest: string, hash: string): Verdict | undefined {
    const good = this.#good.get(digest)
    if (good?.hash === hash) return good
    const bad = this.#bad.get(digest)
    return bad?.hash === hash ? bad : undefined
  }

  /** Once for all that wait, but for each address by itself: one that may not guess now must not speak for another. */
  verify(digest: string, password: string, hash: string, guess: Guess): Promise<Verdict> {
    const flightKey = `${digest} ${hash} ${guess.client.address}`
    const running = this.#flights.get(flightKey)
    if (running !== undefined) return running
    const flight = this.#verifyAnew(digest, password, hash, guess).finally(() =>
      this.#flights.delete(flightKey),
    )
    this.#flights.set(flightKey, flight)
    return flight
  }

  async #verifyAnew(digest: string, password: string, hash: string, guess: Guess): Promise<Verdict> {
    const verdict = Object.freeze({ hash, good: await this.#verify(password, hash, guess) })
    const kept = verdict.good ? this.#good : this.#bad
    kept.set(digest, verdict)
    return verdict
  }
}
