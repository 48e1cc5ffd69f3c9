import { Attempts } from '../authenticators/attempts.ts'
import type { Config } from '../config/schema.ts'
import type { Clock } from '../identity/clock.ts'
import type { Credential } from '../identity/credential.ts'
import type { Attempt, AttemptLimit } from '../pipeline/attempt.ts'
import { chain } from '../pipeline/maybe.ts'
import type { Rejection } from '../pipeline/outcome.ts'
import type { BackendGuess, Profile } from '../profiles/profile.ts'
import type { ClientInfo } from '../request/request.ts'
import type { ResponseObserver } from '../upstream/observer.ts'
import type { SharedRedis } from './shared.ts'
import { keptCounts } from './siblings.ts'
import type { Siblings } from './siblings.ts'

/** What is a guess, or junk; the others were good once, or are somebody's. */
const COUNTED = {
  malformed: true,
  unknown: true,
  unknown_user: false,
  wrong_password: false,
  wrong_owner: true,
  bad_signature: true,
  wrong_type: true,
  refused_by_backend: true,
  expired: false,
  disabled_user: false,
  not_a_login: false,
  ambiguous_user: false,
  revoked: false,
  blocked: false,
} as const satisfies Record<Rejection, boolean>

/**
 * @param shared where replicas count together
 * @param siblings who count together without it
 */
export function createAttempts(
  config: Config,
  clock: Clock,
  shared: SharedRedis | undefined,
  siblings: Siblings | undefined,
): Attempts {
  return new Attempts({
    limits: config.attempts,
    clock,
    shared: shared?.attempts,
    makeCounts:
      shared === undefined && siblings ? (counter) => keptCounts(siblings.keeper, counter) : undefined,
  })
}

/** Counts what fails at the gateway and, where the profile says that the backend judges, what fails there. */
export function limitAttempts(attempts: Attempts, profile: Pick<Profile, 'guess'>): AttemptLimit {
  return {
    failed(credential, rejection, client) {
      const secret = COUNTED[rejection] ? unguessable(credential) : undefined
      if (secret === undefined) return undefined
      return chain(attempts.failed(client, secret), (wait) => wait && Math.max(1, Math.ceil(wait / 1_000)))
    },
    begin(request, credential) {
      const guess = profile.guess?.(request, credential)
      return guess && begin(attempts, guess, request.client)
    },
  }
}

async function begin(
  attempts: Attempts,
  { wrong, user, secret }: BackendGuess,
  client: ClientInfo,
): Promise<Attempt> {
  const conclude = await attempts.begin({ client, user: await user, secret })
  return {
    ended(status) {
      if (status === 'lost') return conclude('unknown')
      if (wrong.has(status)) return conclude('bad')
      return conclude(status < 300 ? 'good' : 'unknown')
    },
  }
}

/** Passwords are counted where they are verified, before it costs anything. */
function unguessable(credential: Credential): string | undefined {
  switch (credential.kind) {
    case 'basic':
      return undefined
    case 'session':
      return credential.id
    case 'jwt':
    case 'token':
      return credential.token
    case 'malformed':
      return credential.why
  }
}

/** `inner`, which also tells attempts how they ended, before their clients learn of it. */
export function withAttempts(inner: ResponseObserver): ResponseObserver {
  return {
    before: (permit) => inner.before(permit) ?? (permit.attempt && 'guess'),
    respond(permit, status, headers) {
      const noted = inner.respond(permit, status, headers)
      return chain(permit.attempt?.ended(status), () => noted)
    },
  }
}
