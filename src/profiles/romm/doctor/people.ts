import type { Verdict } from '../../../authenticators/asked.ts'
import type { Clock } from '../../../identity/clock.ts'
import type { Credential } from '../../../identity/credential.ts'
import type { Principal } from '../../../identity/principal.ts'
import { ScopeSet } from '../../../identity/scope.ts'
import { error, fixIn, notice, ok } from '../../finding.ts'
import type { Check, Observation } from '../../finding.ts'
import type { RommDatabase } from '../database.ts'
import { createTranslation } from '../translate.ts'

export interface PeopleToCompare {
  readonly db: RommDatabase
  /** Asks RomM. */
  readonly whose: (credential: Credential) => Promise<Verdict | undefined>
  readonly clock: Clock
  /** RomM's, and proven to be. */
  readonly secret: string
}

const OTHER_DATABASE = fixIn(
  'configuration',
  'romm:',
  '  database: { host: …, name: … }   # as DB_HOST, DB_NAME of RomM',
)

/** Whether the people in the database are those that RomM knows; undefined where there is nothing to ask RomM with. */
export function peopleCheck(given: PeopleToCompare | undefined): Check {
  return { id: 'romm.database.same', look: async () => [given === undefined ? UNTOLD : await compare(given)] }
}

const UNTOLD = notice("whether it is RomM's cannot be told without the right romm.secret")

/** The first and the last of them: both, under the same numbers, are hardly in two installations. */
async function compare({ db, whose, clock, secret }: PeopleToCompare): Promise<Observation> {
  const users = await db.selectFrom('users').select(['id', 'username', 'enabled']).orderBy('id').execute()
  const people = users.filter(({ enabled }) => Boolean(enabled))
  const asked = new Set([people.at(0), people.at(-1)].filter((person) => person !== undefined))
  if (asked.size === 0) return notice("whether it is RomM's could not be told: nobody in it may sign in")
  // With access tokens of RomM's own, good for a minute, that may do nothing but this.
  const mint = createTranslation(secret, clock)
  for (const { id, username } of asked) {
    const token = mint(principalOf(String(id), username))
    const verdict = token && (await whose(token))
    if (verdict?.kind === 'user' && verdict.owner.subject === String(id)) continue
    return error(`it is not RomM's: its user ${id} is ${username}, and RomM's is not`, OTHER_DATABASE)
  }
  const names = [...asked].map(({ username, id }) => `${username} (${id})`).join(' and ')
  return ok(`it is RomM's, which knows ${names} by name and number`)
}

function principalOf(subject: string, username: string): Principal {
  return {
    mode: 'jwt',
    owner: { subject, username, role: undefined },
    grant: { kind: 'known', scopes: ScopeSet.of(['me.read']) },
    expiresAt: undefined,
    tokenId: undefined,
    deviceId: undefined,
  }
}
