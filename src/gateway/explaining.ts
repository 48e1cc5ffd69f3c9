import type { Credential } from '../identity/credential.ts'
import type { Principal } from '../identity/principal.ts'
import { createDecide } from '../pipeline/decide.ts'
import type { DecideOptions } from '../pipeline/decide.ts'
import type { Decide } from '../pipeline/decision.ts'
import { abstained, authenticated } from '../pipeline/outcome.ts'

/** Stands for whatever the explained principal would have brought. */
const EXPLAINED: Credential = { kind: 'malformed', why: 'explained' }

/** The one door for somebody who is given instead of found out: for explaining, since nobody forwards what it permits. */
export function decideAs(parts: DecideOptions, principal: Principal | undefined): Decide {
  const explicit = principal && EXPLAINED
  return createDecide({
    ...parts,
    identity: {
      carrier: { read: () => ({ ambient: undefined, explicit }), rewrite: (headers) => [...headers] },
      authenticator: {
        authenticate: () => (principal === undefined ? abstained : authenticated(principal)),
      },
      guest: undefined,
      conflict: 'resolve',
    },
    attempts: undefined,
  })
}
