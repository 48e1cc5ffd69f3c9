import { createBasicAuthenticator } from '../../src/authenticators/basic.ts'
import { createJwtAuthenticator } from '../../src/authenticators/jwt.ts'
import { byKind, only } from '../../src/authenticators/ladder.ts'
import { createSessionAuthenticator } from '../../src/authenticators/session.ts'
import { createTokenAuthenticator } from '../../src/authenticators/token.ts'
import { Replicas } from '../../src/directory/replicas.ts'
import { startRevalidation } from '../../src/directory/revalidation.ts'
import type { Batched } from '../../src/directory/revalidation.ts'
import { Changes } from '../../src/gateway/changes.ts'
import type { Authenticator } from '../../src/pipeline/outcome.ts'
import type { Profile, ProfileContext } from '../../src/profiles/profile.ts'
import { changesBy } from '../../src/profiles/romm/changes.ts'
import { RommSessions, RommUsers } from '../../src/profiles/romm/directory.ts'
import { doubtAll, forget } from '../../src/profiles/romm/forgetting.ts'
import type { Known } from '../../src/profiles/romm/forgetting.ts'
import { RommSessionStore } from '../../src/profiles/romm/sessions.ts'
import { rommTies } from '../../src/profiles/romm/ties.ts'
import type { RommTies } from '../../src/profiles/romm/ties.ts'
import { createPasswordVerdicts, sharedVerdicts } from '../../src/profiles/romm/verdicts.ts'
import { claimsOf } from './credentials.ts'
import type { Line } from './redis.ts'
import type { Romm } from './romm.ts'
import { hashOf } from './tables.ts'

/** The settings that the published bound is made of, in milliseconds. */
const INTERVAL = 2_000
export const DEADLINE = 1_000
export const FRESH = INTERVAL + DEADLINE
export const STALE = 30_000
/** For which a source is left alone after a failure. */
export const PAUSE = 1_000

/** That whoever makes a change waits for those who do not acknowledge it. */
export const REVOKE_WAIT = 100

const SECRET = Buffer.from('shared by the replicas')

export interface ReplicaOptions {
  readonly name: string
  readonly romm: Romm
  readonly line: Line
  readonly random: () => number
  /** Few, and whatever is used must often be asked for. */
  readonly maxEntries: number
}

/** One gateway's directory, authenticators and replica of the others, wired as in service; only what lies around them is made up. */
export class Replica {
  readonly name: string
  readonly line: Line
  readonly changes: Changes
  readonly replicas: Replicas
  readonly authenticator: Authenticator
  readonly lookups: readonly Batched[]
  /** Monotonic milliseconds of every time that something was forgotten. */
  readonly forgotten: number[] = []
  readonly stop: () => void

  constructor({ name, romm, line, random, maxEntries }: ReplicaOptions) {
    const { clock } = romm
    let ids = 0
    this.name = name
    this.line = line
    const context: ProfileContext = {
      // Nobody guesses here.
      attempts: { judge: () => Promise.reject(new Error('nobody guesses')) },
      ask: () => Promise.reject(new Error('asked nothing')),
      clock,
      freshness: { freshFor: FRESH, staleIfError: STALE, deadline: DEADLINE, maxEntries },
      shared: { redis: line.client, secret: SECRET, generation: () => this.replicas.generation },
      changed: (changes) => void this.changes.note(changes),
      warn: () => undefined,
    }
    const users = new RommUsers(romm, context, 'model')
    const sessions = new RommSessions(new RommSessionStore(romm.redis), users, context)
    const timing = { ttl: STALE, timeout: DEADLINE }
    const ties = rommTies(users, context, 'model')
    const known: Known = {
      users,
      sessions,
      ties,
      verdicts: sharedVerdicts(context, timing, 'model'),
      passwordVerdicts: createPasswordVerdicts(context, timing),
    }
    this.lookups = [users.users, users.names, users.tokens, sessions.sessions]
    this.authenticator = authenticatorOf(users, sessions, ties, romm)
    const batches = startRevalidation(this.lookups, {
      clock,
      interval: INTERVAL,
      random,
      onFailure: () => undefined,
    })
    const profile = this.#profile(known, () => clock.monotonic())
    this.changes = new Changes({
      clock,
      profile: () => profile,
      announce: (changes) => this.replicas.announce(changes),
      onForgotten: () => batches.hurry(),
    })
    this.replicas = new Replicas({
      channel: line,
      clock,
      newId: () => `${name}${++ids}`,
      secret: SECRET,
      place: 'model',
      revokeWait: REVOKE_WAIT,
      onChange: (changes) => this.changes.take(changes),
      onGap: () => this.changes.doubt(),
      about: () => undefined,
    })
    this.stop = () => {
      batches.stop()
      void this.replicas.close()
    }
  }

  #profile(known: Known, now: () => number): Pick<Profile, 'watch' | 'forget' | 'doubt'> {
    const note = (): void => void this.forgotten.push(now())
    return {
      watch: (permit) => {
        const changes = changesBy(permit)
        return changes && ((ended) => (ended !== 'lost' && ended >= 400 && ended < 500 ? [] : changes))
      },
      forget: (changes) => {
        note()
        for (const change of changes) forget(known, change)
      },
      doubt: () => {
        note()
        doubtAll(known)
      },
    }
  }
}

function authenticatorOf(
  users: RommUsers,
  sessions: RommSessions,
  ties: RommTies,
  romm: Romm,
): Authenticator {
  const { clock } = romm
  return byKind({
    token: only('token', createTokenAuthenticator(users, clock)),
    session: only('session', createSessionAuthenticator(sessions, ties.sessions)),
    basic: only(
      'basic',
      createBasicAuthenticator({
        users,
        verify: async (password, hash) => {
          await romm.travel()
          return hash === hashOf(password)
        },
        decoyHash: hashOf('nobody knows it'),
        maxEntries: 100,
      }),
    ),
    jwt: only(
      'jwt',
      createJwtAuthenticator(
        {
          verify: (token) => {
            const claims = claimsOf(token)
            return claims.expiresAt <= clock.now() ? 'expired' : claims
          },
        },
        users,
        ties.accessTokens,
      ),
    ),
  })
}
