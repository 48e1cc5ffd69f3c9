import type { Permit } from '../pipeline/permit.ts'
import { type Excess, type Share, Shares } from './shares.ts'

export interface SocketLimits {
  /** Open and opening, all together. */
  readonly max: number
  /** Of one client. */
  readonly perClient: number
}

interface Open {
  readonly share: Share
  readonly close: () => void
}

/** Every WebSocket that is open or opening, with the permit it was opened by. */
export class SocketRegistry {
  readonly #max: number
  readonly #shares: Shares
  readonly #open = new Map<Permit, Open>()
  #closed = false

  constructor({ max, perClient }: SocketLimits) {
    this.#max = max
    this.#shares = new Shares(perClient)
  }

  get count(): number {
    return this.#open.size
  }

  permits(): readonly Permit[] {
    return [...this.#open.keys()]
  }

  /**
   * @param close destroys both ends at once
   * @returns why it is one too many
   */
  add(permit: Permit, close: () => void): Excess | undefined {
    if (this.#open.size >= this.#max) return 'overloaded'
    const share = this.#shares.take(permit)
    if (share === undefined) return 'too_much_at_once'
    this.#open.set(permit, { share, close })
    if (this.#closed) close()
    return undefined
  }

  delete(permit: Permit): void {
    const open = this.#open.get(permit)
    if (open === undefined) return
    this.#open.delete(permit)
    this.#shares.give(open.share)
  }

  /** Destroys both ends; harmless when it is closed already. */
  close(permit: Permit): void {
    this.#open.get(permit)?.close()
  }

  /** @returns how many were closed */
  closeWhere(matches: (permit: Permit) => boolean): number {
    const closing = this.permits().filter(matches)
    for (const permit of closing) this.close(permit)
    return closing.length
  }

  /** Closes them all, and whatever is added later: a handshake that was still being decided on comes too late. */
  closeAll(): void {
    this.#closed = true
    this.closeWhere(() => true)
  }
}
