import type { NamedUser, SessionRecord } from '../directory/records.ts'
import type { SessionCredential } from '../identity/credential.ts'
import { chain } from '../pipeline/maybe.ts'
import { authenticated, rejected } from '../pipeline/outcome.ts'
import type { Authenticator, MaybePromise, Outcome } from '../pipeline/outcome.ts'
import { PrincipalMemo, userPrincipal } from './memo.ts'

export interface SessionDirectory {
  session(id: string): MaybePromise<SessionRecord | undefined>
  userByName(name: string): MaybePromise<NamedUser | undefined>
}

/** Server-side sessions that name their user. The session holds no scopes of its own: its user's are its. */
export function createSessionAuthenticator(directory: SessionDirectory): Authenticator<SessionCredential> {
  const principals = new PrincipalMemo<SessionRecord>()

  const conclude = (session: SessionRecord, named: NamedUser | undefined): Outcome => {
    if (named === undefined) return rejected('unknown_user')
    if (named.kind === 'ambiguous') return rejected('ambiguous_user')
    const { user } = named
    if (!user.enabled) return rejected('disabled_user')
    const principal = principals.get(session, user, () => userPrincipal('session', user, session.deviceId))
    return authenticated(principal)
  }

  return {
    authenticate: (credential) =>
      chain(directory.session(credential.id), (session) => {
        if (session === undefined) return rejected('unknown')
        if (session.username === undefined) return rejected('not_a_login')
        return chain(directory.userByName(session.username), (named) => conclude(session, named))
      }),
  }
}
