import type { UserRecord } from '../directory/records.ts'
import type { Mode } from '../identity/credential.ts'
import type { Principal } from '../identity/principal.ts'

interface Made {
  readonly user: UserRecord
  readonly principal: Principal
}

/**
 * One principal for each thing a credential was resolved to, for as long as neither it nor its user changes. Records
 * are replaced when they change, so object identity is the test; what hangs on a principal (an assertion) goes with it.
 */
export class PrincipalMemo<K extends WeakKey> {
  readonly #made = new WeakMap<K, Made>()

  find(carrier: K, user: UserRecord): Principal | undefined {
    const made = this.#made.get(carrier)
    return made?.user === user ? made.principal : undefined
  }

  get(carrier: K, user: UserRecord, make: () => Principal): Principal {
    const known = this.find(carrier, user)
    if (known !== undefined) return known
    const principal = Object.freeze(make())
    this.#made.set(carrier, { user, principal })
    return principal
  }
}

/** Who somebody is whose credential carries no scopes of its own: what the user may do, it may. */
export function userPrincipal(mode: Mode, user: UserRecord, deviceId?: string): Principal {
  return {
    mode,
    owner: { subject: user.id, username: user.username, role: user.role },
    grant: { kind: 'known', scopes: user.scopes },
    expiresAt: undefined,
    tokenId: undefined,
    deviceId,
  }
}
