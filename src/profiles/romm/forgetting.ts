import { sessionVerdictKey, TOKEN_VERDICT } from '../../authenticators/asked.ts'
import type { Verdict } from '../../authenticators/asked.ts'
import type { Change } from '../../directory/change.ts'
import type { Lookup } from '../../directory/lookup.ts'
import type { NamedUser } from '../../directory/records.ts'
import type { Concerns } from '../../directory/tombstones.ts'
import type { RommSessions, RommUsers } from './directory.ts'
import type { RommTies } from './ties.ts'

export interface Known {
  readonly users: RommUsers | undefined
  readonly sessions: RommSessions | undefined
  readonly ties: RommTies | undefined
  readonly verdicts: Lookup<Verdict>
  readonly passwordVerdicts: Lookup<Verdict>
}

/** Makes everything that is known of those whom a change concerns count no longer. */
export function forget({ users, sessions, ties, verdicts, passwordVerdicts }: Known, change: Change): void {
  switch (change.kind) {
    case 'user':
      users?.users.forgetKey(change.id)
      users?.names.forget(leadsTo(change.id))
      verdicts.forget(isAbout(change.id))
      passwordVerdicts.forget(isAbout(change.id))
      break
    case 'token':
      users?.tokens.forget((token) => token === undefined || token.id === change.id)
      // Which token a verdict is about, RomM does not say.
      verdicts.forget((_verdict, key) => key.startsWith(TOKEN_VERDICT))
      break
    case 'tokens':
      users?.tokens.doubt()
      verdicts.forget((_verdict, key) => key.startsWith(TOKEN_VERDICT))
      break
    case 'session':
      sessions?.sessions.forgetKey(change.digest)
      ties?.sessions.doubt(change.digest)
      verdicts.forgetKey(sessionVerdictKey(change.digest))
      break
    case 'users':
    case 'everybody':
      users?.users.doubt()
      users?.names.doubt()
      verdicts.doubt()
      passwordVerdicts.doubt()
  }
}

/** Nothing that is known counts until it is confirmed. */
export function doubtAll({ users, sessions, verdicts, passwordVerdicts }: Known): void {
  for (const lookup of [
    users?.users,
    users?.names,
    users?.tokens,
    sessions?.sessions,
    verdicts,
    passwordVerdicts,
  ])
    lookup?.doubt()
}

/** Whether a name leads to this user, or might from now on. */
function leadsTo(id: string): Concerns<NamedUser> {
  return (named) => named?.kind !== 'user' || named.user.id === id
}

/** Whether a verdict is about this user; one that names nobody may be. */
function isAbout(id: string): Concerns<Verdict> {
  return (verdict) => verdict?.kind !== 'user' || verdict.owner.subject === id
}
