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

/** How many something counts; it stands among the others while it counts any. */
class Count {
  readonly #among: Map<string, Count>
  readonly #key: string
  value = 0

  static of(key: string, among: Map<string, Count>): Count {
    return among.get(key) ?? new Count(key, among)
  }

  private constructor(key: string, among: Map<string, Count>) {
    this.#key = key
    this.#among = among
  }

  more(): void {
    if (this.value++ === 0) this.#among.set(this.#key, this)
  }

  /** A client that has nothing takes no memory. */
  less(): void {
    if (--this.value === 0) this.#among.delete(this.#key)
  }
}

/** What a client has taken, to be given back once. */
export interface Share {
  readonly network: Count
  readonly user: Count | undefined
}

/**
 * How much each client has of something. A client is an address (of IPv6, a network), and also a user, from wherever:
 * neither many users behind one address nor one user behind many gets more than a share. Guests and credentials of
 * unknown owners are known by their address alone.
 */
export class Shares {
  readonly #each: number
  readonly #networks = new Map<string, Count>()
  readonly #users = new Map<string, Count>()

  /** @param each the most that one client may have */
  constructor(each: number) {
    this.#each = each
  }

  /** @returns what the client has then, or undefined where it had no room for one more */
  take({ client, principal }: Permit): Share | undefined {
    const subject = principal?.mode === 'guest' ? undefined : principal?.owner?.subject
    const network = Count.of(networkOf(client.address), this.#networks)
    const user = subject === undefined ? undefined : Count.of(subject, this.#users)
    const each = client.shared === true ? this.#each * UNNAMED_PROXY : this.#each
    if (network.value >= each || (user !== undefined && user.value >= this.#each)) return undefined
    network.more()
    user?.more()
    return { network, user }
  }

  give({ network, user }: Share): void {
    network.less()
    user?.less()
  }
}
