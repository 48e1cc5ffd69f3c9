import type { Permit } from '../pipeline/permit.ts'
import { networkOf } from '../request/network.ts'

/** Why something has to stay outside; both are reasons of the closed list, with 503 and 429. */
export type Excess =
  /** Everything is taken. */
  | 'overloaded'
  /** There would be room, but not for this client. */
  | 'too_much_at_once'

/** How many shares an address has that says it stands for others, and is not trusted: a proxy that nobody named. */
const UNNAMED_PROXY = 3

/**
 * How much each client has of something. A client is an address (of IPv6, a network), and also a user, from wherever:
 * neither many users behind one address nor one user behind many gets more than a share. Guests and credentials of
 * unknown owners are known by their address alone.
 */
export class Shares {
  readonly #each: number
  readonly #networks = new Map<string, number>()
  readonly #users = new Map<string, number>()

  /** @param each the most that one client may have */
  constructor(each: number) {
    this.#each = each
  }

  /** @returns whether the client had room for one more, which it then has */
  take(permit: Permit): boolean {
    const network = networkOf(permit.client.address)
    const user = userOf(permit)
    const byNetwork = this.#networks.get(network) ?? 0
    const byUser = user === undefined ? 0 : (this.#users.get(user) ?? 0)
    const each = permit.client.shared === true ? this.#each * UNNAMED_PROXY : this.#each
    if (byNetwork >= each || byUser >= this.#each) return false
    this.#networks.set(network, byNetwork + 1)
    if (user !== undefined) this.#users.set(user, byUser + 1)
    return true
  }

  /** For each `take` that was granted, once. */
  give(permit: Permit): void {
    oneLess(this.#networks, networkOf(permit.client.address))
    const user = userOf(permit)
    if (user !== undefined) oneLess(this.#users, user)
  }
}

function userOf({ principal }: Permit): string | undefined {
  return principal?.mode === 'guest' ? undefined : principal?.owner?.subject
}

/** A client that has nothing takes no memory. */
function oneLess(counts: Map<string, number>, key: string): void {
  const count = counts.get(key) ?? 0
  if (count <= 1) counts.delete(key)
  else counts.set(key, count - 1)
}
