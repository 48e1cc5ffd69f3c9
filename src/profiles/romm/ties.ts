import { randomBytes } from 'node:crypto'
import { keyedDigestOf, sessionDigest, sha256 } from '../../directory/digest.ts'
import type { UserRecord } from '../../directory/records.ts'
import { createSharedTies } from '../../directory/shared-ties.ts'
import { Ties } from '../../directory/ties.ts'
import type { TieStore } from '../../directory/ties.ts'
import type { Credential } from '../../identity/credential.ts'
import type { ProfileContext } from '../profile.ts'
import type { RommUsers } from './directory.ts'

/** RomM fact: sessions and access tokens name their user, and RomM goes by that name for as long as they live. */
export interface RommTies {
  readonly sessions: Ties
  readonly accessTokens: Ties
}

const DAY = 24 * 60 * 60 * 1_000
/** RomM fact: a session lives so long after its last use, unless configured otherwise. */
const SESSION = 14 * DAY

/** @param binding of everything that an answer in Redis depends on */
export function rommTies(users: RommUsers, context: ProfileContext, binding: string): RommTies {
  const { shared, kept } = context
  const key = (shared ?? kept)?.secret ?? randomBytes(32)
  const storeOf = (prefix: string, lifetime: number): TieStore | undefined =>
    shared ? createSharedTies({ ...shared, prefix, lifetime }) : kept?.store(prefix)
  const make = (
    kind: string,
    lifetime: number,
    tieOf: (user: UserRecord) => string,
    onCut?: (key: string) => void,
  ): Ties =>
    new Ties({
      maxEntries: context.freshness.maxEntries,
      tieOf,
      anew: (name) => users.names.findAnew(name),
      store: storeOf(`postern:tie:${kind}:${binding}:`, lifetime),
      ...(onCut && { onCut }),
    })
  return {
    // Whoever changes a password, or a name, wants to be rid of whoever is signed in.
    sessions: make(
      'session',
      SESSION,
      ({ id, username, passwordHash = '' }) => keyedDigestOf(key, id, username, passwordHash),
      // Others may have seen nothing of what cut it: a user who was kept out for a minute.
      (digest) => context.changed([{ kind: 'session', digest }]),
    ),
    // These are short-lived, and their scripts sign in anew; what a name meant must not change under them.
    accessTokens: make('jwt', DAY, ({ id }) => id),
  }
}

/** Whether a credential is held for revoked, though RomM might not know it. */
export async function isCut({ sessions, accessTokens }: RommTies, credential: Credential): Promise<boolean> {
  switch (credential.kind) {
    case 'session':
      return sessions.isCut(sessionDigest(credential.id))
    case 'jwt':
      return accessTokens.isCut(sha256(credential.token))
    case 'token':
    case 'basic':
    case 'malformed':
      return false
  }
}
