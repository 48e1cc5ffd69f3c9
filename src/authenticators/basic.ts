import { randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { keyedDigestOf } from '../directory/digest.ts'
import type { NamedUser, UserRecord } from '../directory/records.ts'
import type { BasicCredential } from '../identity/credential.ts'
import { chain } from '../pipeline/maybe.ts'
import { authenticated, rejected } from '../pipeline/outcome.ts'
import type { Authenticator, MaybePromise, Outcome } from '../pipeline/outcome.ts'
import { PrincipalMemo, userPrincipal } from './memo.ts'

export interface BasicOptions {
  readonly users: { userByName(name: string): MaybePromise<NamedUser | undefined> }
  /** @throws PosternError `could_not_check` when too many are waiting */
  readonly verify: (password: string, hash: string) => Promise<boolean>
  /** Verified against when there is no hash, so that an unknown user takes as long as a known one (CVE-2026-32595). */
  readonly decoyHash: string
  readonly maxEntries: number
}

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
  const key = randomBytes(32)
  const verdicts = new LRUCache<string, Verdict>({ max: options.maxEntries })
  const flights = new Map<string, Promise<Verdict>>()
  const principals = new PrincipalMemo<Verdict>()

  const verify = (digest: string, password: string, hash: string): Promise<Verdict> => {
    const flightKey = `${digest} ${hash}`
    const running = flights.get(flightKey)
    if (running !== undefined) return running
    const flight = options
      .verify(password, hash)
      .then((good) => {
        const verdict = Object.freeze({ hash, good })
        verdicts.set(digest, verdict)
        return verdict
      })
      .finally(() => flights.delete(flightKey))
    flights.set(flightKey, flight)
    return flight
  }

  const conclude = (verdict: Verdict, user: UserRecord): Outcome => {
    if (!verdict.good) return rejected('wrong_password')
    if (!user.enabled) return rejected('disabled_user')
    const principal = principals.get(verdict, user, () => userPrincipal('basic', user))
    return authenticated(principal)
  }

  const check = (credential: BasicCredential, named: NamedUser | undefined): MaybePromise<Outcome> => {
    const user = named?.kind === 'user' ? named.user : undefined
    const hash = user?.passwordHash ?? options.decoyHash
    const digest = keyedDigestOf(key, credential.username, credential.password)
    const known = verdicts.get(digest)
    const verdict = known?.hash === hash ? known : verify(digest, credential.password, hash)
    return chain(verdict, (found) => {
      if (named?.kind === 'ambiguous') return rejected('ambiguous_user')
      return user?.passwordHash === undefined ? rejected('unknown_user') : conclude(found, user)
    })
  }

  return {
    authenticate: (credential) =>
      chain(options.users.userByName(credential.username), (named) => check(credential, named)),
  }
}
