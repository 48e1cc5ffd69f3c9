import type { Permit } from '../pipeline/permit.ts'

/** Every WebSocket that is open or opening, with the permit it was opened by. */
export class SocketRegistry {
  readonly #open = new Map<Permit, () => void>()

  get count(): number {
    return this.#open.size
  }

  /** @param close destroys both ends at once */
  add(permit: Permit, close: () => void): void {
    this.#open.set(permit, close)
  }

  delete(permit: Permit): void {
    this.#open.delete(permit)
  }

  /** @returns how many were closed */
  closeWhere(matches: (permit: Permit) => boolean): number {
    const closing = [...this.#open].filter(([permit]) => matches(permit))
    for (const [, close] of closing) close()
    return closing.length
  }
}
