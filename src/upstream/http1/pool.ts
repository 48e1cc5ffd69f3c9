import { Connection } from './connection.ts'
import type { ConnectionBounds, Exchanger, Owner } from './connection.ts'
import { originOf } from './open.ts'
import type { Origin } from './open.ts'

/** An upstream may have begun to count earlier than we. Milliseconds. */
const MARGIN = 1_000
/** Between two looks at the deadlines, at most and at least. Milliseconds. */
const TICK = { most: 500, least: 10 }

/**
 * The connections to one origin. It opens as many as there are exchanges at once, which is for its user to bound; of
 * those that are idle the one used last is used first, so that the others may go.
 */
export class ConnectionPool implements Owner {
  readonly origin: Origin
  readonly bounds: ConnectionBounds
  readonly #all = new Set<Connection>()
  readonly #idle: Connection[] = []
  readonly #tick: number
  #ticking: NodeJS.Timeout | undefined
  #now = 0

  /** @param url scheme, host and port */
  constructor(url: string, bounds: ConnectionBounds) {
    const { connectTimeout, headersTimeout, bodyTimeout, keepAliveTimeout } = bounds
    const shortest = Math.min(connectTimeout, headersTimeout, bodyTimeout, keepAliveTimeout)
    this.origin = originOf(url)
    this.bounds = bounds
    this.#tick = Math.max(TICK.least, Math.min(TICK.most, shortest / 8))
  }

  /** @param fresh whether by a connection that has served nobody */
  start(exchanger: Exchanger, fresh: boolean): Connection {
    const idle = fresh ? undefined : this.#idle.pop()
    if (idle !== undefined) {
      idle.take(exchanger)
      return idle
    }
    this.#keepTime()
    const connection = new Connection(this, exchanger)
    this.#all.add(connection)
    return connection
  }

  /** Ends all that is under way. */
  destroy(): void {
    for (const connection of this.#all) connection.abort(new Error('the gateway stops'))
  }

  after(milliseconds: number): number {
    return this.#now + this.#tick + milliseconds
  }

  onIdle(connection: Connection, seconds: number | undefined): void {
    const { keepAliveTimeout } = this.bounds
    const kept =
      seconds === undefined ? keepAliveTimeout : Math.min(keepAliveTimeout, seconds * 1_000 - MARGIN)
    if (kept <= 0) return connection.expire()
    connection.deadline = this.#now + kept - this.#tick
    this.#idle.push(connection)
  }

  onClosed(connection: Connection): void {
    this.#all.delete(connection)
    const index = this.#idle.lastIndexOf(connection)
    if (index !== -1) this.#idle.splice(index, 1)
    if (this.#all.size === 0) this.#stopTime()
  }

  /** One timer for all: a timer for each request would cost more than what it watches over. */
  #keepTime(): void {
    if (this.#ticking !== undefined) return
    this.#now = performance.now()
    this.#ticking = setInterval(() => this.#onTick(), this.#tick)
  }

  #stopTime(): void {
    clearInterval(this.#ticking)
    this.#ticking = undefined
  }

  #onTick(): void {
    this.#now = performance.now()
    for (const connection of this.#all) if (connection.deadline <= this.#now) connection.expire()
  }
}
