import type { Permit } from '../pipeline/permit.ts'
import { type Excess, type Share, Shares } from './shares.ts'

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

/** Called once: with its share when it has entered, else with why it has to stay outside. */
export type Go = (entered: Share | Excess) => void

interface Waiter {
  readonly permit: Permit
  /** Of the places outside. */
  readonly share: Share
  readonly go: Go
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

  /** @returns what must be given to `leave` when it is over; undefined where it may not start at once */
  enter(permit: Permit): Share | undefined {
    if (this.#active >= this.#limits.connections) return undefined
    const share = this.#inside.take(permit)
    if (share !== undefined) this.#active++
    return share
  }

  leave(share: Share): void {
    this.#active--
    this.#inside.give(share)
    if (this.#waiting.size > 0) this.#admitWaiting()
    if (this.#active === 0) this.#onIdle?.()
  }

  /**
   * For one that could not enter.
   * @param go called at once or later
   * @returns takes it out of the queue, if it is there still
   */
  wait(permit: Permit, go: Go): () => boolean {
    const share = this.#waiting.size >= this.#limits.queue ? undefined : this.#outside.take(permit)
    if (share === undefined) {
      go(this.#excess)
      return () => false
    }
    const timer = setTimeout(() => {
      if (this.#remove(waiter)) go(this.#excess)
    }, this.#limits.queueTimeout)
    const waiter: Waiter = { permit, share, go, timer }
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
      const share = this.enter(waiter.permit)
      if (share === undefined) continue
      this.#remove(waiter)
      waiter.go(share)
    }
  }

  #remove(waiter: Waiter): boolean {
    if (!this.#waiting.delete(waiter)) return false
    clearTimeout(waiter.timer)
    this.#outside.give(waiter.share)
    return true
  }
}
