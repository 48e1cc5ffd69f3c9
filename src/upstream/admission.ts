import type { Permit } from '../pipeline/permit.ts'
import { type Excess, Shares } from './shares.ts'

export interface AdmissionLimits {
  /** At most so many exchanges at once, each on a connection of its own. */
  readonly connections: number
  /** Of which one client has at most so many. */
  readonly connectionsPerClient: number
  /** At most so many wait for a connection. */
  readonly queue: number
  /** Of which one client has at most so many. */
  readonly queuePerClient: number
  /** Milliseconds for which one waits. */
  readonly queueTimeout: number
}

interface Waiter {
  readonly permit: Permit
  readonly go: (excess?: Excess) => void
  readonly timer: NodeJS.Timeout
}

/**
 * Who may use the upstream now, who waits, and who is sent away. Without it the forwarder would queue without bound
 * once every connection is busy, and one client that reads its downloads slowly could keep them all busy.
 */
export class Admission {
  readonly #limits: AdmissionLimits
  readonly #inside: Shares
  readonly #outside: Shares
  /** In the order of their coming. Whenever there is a free connection, none of them has room in its share. */
  readonly #waiting = new Set<Waiter>()
  #active = 0
  #onIdle: (() => void) | undefined

  constructor(limits: AdmissionLimits) {
    this.#limits = limits
    this.#inside = new Shares(limits.connectionsPerClient)
    this.#outside = new Shares(limits.queuePerClient)
  }

  get active(): number {
    return this.#active
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** @returns whether it may start at once; then `leave` must follow */
  enter(permit: Permit): boolean {
    if (this.#active >= this.#limits.connections || !this.#inside.take(permit)) return false
    this.#active++
    return true
  }

  leave(permit: Permit): void {
    this.#active--
    this.#inside.give(permit)
    if (this.#waiting.size > 0) this.#admitWaiting()
    if (this.#active === 0) this.#onIdle?.()
  }

  /**
   * For one that could not enter.
   * @param go called once, at once or later: without a word it has entered
   * @returns takes it out of the queue, if it is there still
   */
  wait(permit: Permit, go: (excess?: Excess) => void): () => boolean {
    if (this.#waiting.size >= this.#limits.queue || !this.#outside.take(permit)) {
      go(this.#excess)
      return () => false
    }
    const timer = setTimeout(() => {
      if (this.#remove(waiter)) go(this.#excess)
    }, this.#limits.queueTimeout)
    const waiter: Waiter = { permit, go, timer }
    this.#waiting.add(waiter)
    return () => this.#remove(waiter)
  }

  /** Resolves once when nothing is under way, and so nothing waits. */
  async idle(): Promise<void> {
    if (this.#active > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve))
  }

  get #excess(): Excess {
    return this.#active < this.#limits.connections ? 'too_much_at_once' : 'overloaded'
  }

  #admitWaiting(): void {
    for (const waiter of this.#waiting) {
      if (this.#active >= this.#limits.connections) return
      if (!this.enter(waiter.permit)) continue
      this.#remove(waiter)
      waiter.go()
    }
  }

  #remove(waiter: Waiter): boolean {
    if (!this.#waiting.delete(waiter)) return false
    clearTimeout(waiter.timer)
    this.#outside.give(waiter.permit)
    return true
  }
}
