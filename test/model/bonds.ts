import type { UserRecord } from '../../src/directory/records.ts'
import type { Credential } from '../../src/identity/credential.ts'
import { claimsOf } from './credentials.ts'
import type { History, Tables } from './tables.ts'
import { userByName } from './tables.ts'

/** The name that a credential bears, in which it is tied to what the name means; undefined for one that is not. */
function nameOf(credential: Credential, { sessions }: Tables): string | undefined {
  if (credential.kind === 'jwt') return claimsOf(credential.token).username
  return credential.kind === 'session' ? sessions.get(credential.id)?.username : undefined
}

/** What must stay the same: for a session name, password and that its user may sign in, for an access token whose name it is. */
function bondOf(credential: Credential, user: UserRecord | undefined): string {
  if (credential.kind === 'jwt') return user?.id ?? ''
  return user?.enabled === true ? `${user.id} ${user.username} ${user.passwordHash}` : ''
}

/** What a replica may not let in although RomM would: sessions and access tokens whose user is not what it was at first sight. */
export class Bonds {
  readonly #history: History
  /** By replica and credential: what it may have been tied to when it was last let in. */
  readonly #seen = new Map<string, ReadonlySet<string>>()

  constructor(history: History) {
    this.#history = history
  }

  /** Whether what it is tied to was ever something else: where that was seen, it is dead for good. */
  mayBeCut(credential: Credential): boolean {
    const names = this.#names(credential)
    const bonds = this.#bonds(credential, this.#history.since(Number.NEGATIVE_INFINITY, 0))
    // A name that means nobody for a while may mean the same user again.
    if (credential.kind === 'jwt') bonds.delete('')
    return names.size > 1 || bonds.size > 1
  }

  /**
   * Notes that a replica let it in, which may have looked at any of some states.
   * @returns whether that agrees with what it was tied to when that replica let it in before
   */
  admit(replica: string, credential: Credential, states: readonly Tables[]): boolean {
    // With another name it is another credential.
    if (this.#names(credential).size !== 1) return true
    const key = `${replica} ${JSON.stringify(credential)}`
    const bonds = this.#bonds(credential, states)
    const before = this.#seen.get(key) ?? bonds
    this.#seen.set(key, new Set([...before].filter((bond) => bonds.has(bond))))
    return [...before].some((bond) => bonds.has(bond))
  }

  #names(credential: Credential): ReadonlySet<string> {
    const states = this.#history.since(Number.NEGATIVE_INFINITY, 0)
    return new Set(states.map((tables) => nameOf(credential, tables)).filter((name) => name !== undefined))
  }

  #bonds(credential: Credential, states: readonly Tables[]): Set<string> {
    return new Set(
      states.flatMap((tables) => {
        const name = nameOf(credential, tables)
        return name === undefined ? [] : [bondOf(credential, userByName(tables, name))]
      }),
    )
  }
}
