import { sessionDigest } from '../directory/digest.ts'
import type { NamedUser, SessionRecord, UserRecord } from '../directory/records.ts'
import type { Ties } from '../directory/ties.ts'
import type { SessionCredential } from '../identity/credential.ts'
import { chain } from '../pipeline/maybe.ts'
import { authenticated, rejected } from '../pipeline/outcome.ts'
import type { Authenticator, MaybePromise, Outcome } from '../pipeline/outcome.ts'
import { PrincipalMemo, userPrincipal } from './memo.ts'

export interface SessionDirectory {
  session(id: string): MaybePromise<SessionRecord | undefined>
  userByName(name: string): MaybePromise<NamedUser | undefined>
}

/**
 * Server-side sessions that name their user. The session holds no scopes of its own: its user's are its.
 * @param ties by the session's digest, to the user with the password that it was first seen with
 */
export function createSessionAuthenticator(
  directory: SessionDirectory,
  ties: Pick<Ties, 'belongs' | 'end'>,
): Authenticator<SessionCredential> {
  const principals = new PrincipalMemo<SessionRecord>()

  const admit = (session: SessionRecord, name: string, user: UserRecord): MaybePromise<Outcome> => {
    const known = principals.find(session, user)
    if (known !== undefined) return authenticated(known)
    return chain(ties.belongs(sessionDigest(session.id), name, user), (owner) =>
      owner === undefined
        ? rejected('revoked')
        : authenticated(
            principals.get(session, owner, () => userPrincipal('session', owner, session.deviceId)),
          ),
    )
  }

  const conclude = (
    session: SessionRecord,
    name: string,
    named: NamedUser | undefined,
  ): MaybePromise<Outcome> => {
    if (named?.kind === 'ambiguous') return rejected('ambiguous_user')
    if (named?.user.enabled === true) return admit(session, name, named.user)
    // The backend takes such a session away for good as soon as it sees it, and it will not see this one.
    ties.end(sessionDigest(session.id), name)
    return rejected(named === undefined ? 'unknown_user' : 'disabled_user')
  }

  return {
    authenticate: (credential) =>
      chain(directory.session(credential.id), (session) => {
        if (session === undefined) return rejected('unknown')
        const { username } = session
        if (username === undefined) return rejected('not_a_login')
        return chain(directory.userByName(username), (named) => conclude(session, username, named))
      }),
  }
}
