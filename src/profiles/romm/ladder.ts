import {
  createAskedJwt,
  createAskedToken,
  createAskedUser,
  createInquiry,
  unverifiedClaims,
} from '../../authenticators/asked.ts'
import type { Ask, Verdict } from '../../authenticators/asked.ts'
import type { Attempts } from '../../authenticators/attempts.ts'
import { createBasicAuthenticator } from '../../authenticators/basic.ts'
import { createJwtAuthenticator, createJwtVerifier } from '../../authenticators/jwt.ts'
import type { JwtVerifier } from '../../authenticators/jwt.ts'
import { byKind, fallback, only, unlessRevoked } from '../../authenticators/ladder.ts'
import { createPasswordVerifier, DECOY_HASH } from '../../authenticators/password.ts'
import { createSessionAuthenticator } from '../../authenticators/session.ts'
import { createTokenAuthenticator } from '../../authenticators/token.ts'
import type { Lookup } from '../../directory/lookup.ts'
import type { Clock } from '../../identity/clock.ts'
import type { Authenticator } from '../../pipeline/outcome.ts'
import type { LadderStep } from '../profile.ts'
import { readAccessClaims } from './access.ts'
import type { RommSessions, RommUsers } from './directory.ts'
import { isCut } from './ties.ts'
import type { RommTies } from './ties.ts'

export interface LadderParts {
  readonly ask: Ask
  readonly attempts: Pick<Attempts, 'judge'>
  readonly verdicts: Lookup<Verdict>
  readonly passwordVerdicts: Lookup<Verdict>
  readonly secret: string | undefined
  /** @throws PosternError `could_not_check` while `secret` is not proven to be RomM's */
  readonly confirmSecret: () => Promise<void>
  readonly users: RommUsers | undefined
  readonly sessions: RommSessions | undefined
  /** Where there are users. */
  readonly ties: RommTies | undefined
  readonly clock: Clock
  readonly maxEntries: number
}

/**
 * What each kind of credential is checked against, from what Postern was given: the more, the faster and the stricter.
 * Below every step lies the one that needs nothing, asking RomM.
 */
export function buildLadder(parts: LadderParts): {
  readonly authenticator: Authenticator
  readonly steps: LadderStep[]
} {
  const { users, sessions, ties, secret, clock, maxEntries } = parts
  const inquiry = createInquiry(parts)
  const verifier =
    secret === undefined
      ? undefined
      : createJwtVerifier({
          secret,
          read: readAccessClaims,
          clock,
          maxEntries,
          confirmKey: parts.confirmSecret,
        })
  const asked = {
    session: createAskedUser(inquiry, 'session'),
    basic: createAskedUser(inquiry, 'basic'),
    jwt: createAskedJwt(
      inquiry,
      unverifiedClaims(readAccessClaims, () => clock.now()),
    ),
    token: createAskedToken(inquiry),
  }
  const local = {
    session: sessions && ties && only('session', createSessionAuthenticator(sessions, ties.sessions)),
    basic: users && only('basic', basicOf(users, parts)),
    jwt: verifier && verifiedJwt(verifier, inquiry, parts),
    token: users && only('token', createTokenAuthenticator(users, clock)),
  }
  const step = (kind: keyof typeof asked): Authenticator =>
    local[kind] === undefined ? asked[kind] : fallback(local[kind], alive(asked[kind], ties))
  return {
    authenticator: byKind({
      session: step('session'),
      basic: step('basic'),
      jwt: step('jwt'),
      token: step('token'),
    }),
    steps: steps(parts),
  }
}

function basicOf(
  users: RommUsers,
  { attempts, maxEntries }: LadderParts,
): ReturnType<typeof createBasicAuthenticator> {
  const verify = createPasswordVerifier({ attempts })
  return createBasicAuthenticator({ users, verify, decoyHash: DECOY_HASH, maxEntries })
}

/** RomM lets in what is cut here. */
function alive(asked: Authenticator, ties: RommTies | undefined): Authenticator {
  return ties === undefined ? asked : unlessRevoked(asked, (credential) => isCut(ties, credential))
}

/** With the secret alone the signature is checked here and the user asked for. */
function verifiedJwt(
  verifier: JwtVerifier,
  inquiry: ReturnType<typeof createInquiry>,
  { users, ties }: LadderParts,
): Authenticator {
  const asked = createAskedJwt(inquiry, verifier)
  if (users === undefined || ties === undefined) return asked
  const local = createJwtAuthenticator(verifier, users, ties.accessTokens)
  return fallback(only('jwt', local), alive(asked, ties))
}

function jwtStep(verified: boolean, looked: boolean): string {
  if (!verified) return 'shape and expiry, then asking RomM'
  return looked ? "its signature, then RomM's database" : 'its signature, then asking RomM'
}

function steps({ users, sessions, secret }: LadderParts): LadderStep[] {
  const database = "RomM's database"
  return [
    { mode: 'session', checkedBy: sessions ? "RomM's Redis and database" : 'asking RomM' },
    { mode: 'basic', checkedBy: users ? database : 'asking RomM' },
    { mode: 'jwt', checkedBy: jwtStep(secret !== undefined, users !== undefined) },
    { mode: 'token', checkedBy: users ? database : 'asking RomM, which alone knows its scopes' },
  ]
}
