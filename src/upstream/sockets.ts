import type { Permit } from '../pipeline/permit.ts'

/** Every WebSocket that is open or opening, with the permit it was opened by. */
export class SocketRegistry {
  readonly #open = new Map<Permit, () => void>()
  #closed = false

  get count(): number {
    return this.#open.size
  }

  permits(): readonly Permit[] {
    return [...this.#open.keys()]
  }

  /** @param close destroys both ends at once */
  add(permit: Permit, close: () => void): void {
    if (this.#closed) close()
    else this.#open.set(permit, close)
  }

  delete(permit: Permit): void {
    this.#open.delete(permit)
  }

  /** Destroys both ends; harmless when it is closed already. */
  close(permit: Permit): void {
    this.#open.get(permit)?.()
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
