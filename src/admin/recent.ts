import type { Clock } from '../identity/clock.ts'
import { readLine } from '../observe/line.ts'
import type { DecisionLine, LineText } from '../observe/line.ts'
import type { DecisionRecord } from '../observe/log.ts'
import type { Denial } from '../pipeline/decision.ts'
import type { Permit } from '../pipeline/permit.ts'
import type { Reason } from '../pipeline/reason.ts'
import type { GatewayRequest } from '../request/request.ts'
import { Peers } from './peers.ts'
import { Refusals } from './refusals.ts'
import { Who } from './who.ts'

/** How often each reason was, since the process began. */
export type ReasonCounts = Partial<Record<Reason, number>>

/** A decision's line as it is streamed. */
export type TimedLine = { readonly time: string } & DecisionLine

/** What this process remembers of its decisions: bounded, gone with it, and without any credential. */
export class Recent implements DecisionRecord {
  readonly #clock: Pick<Clock, 'now'>
  readonly #listeners = new Set<(line: TimedLine) => void>()
  readonly who = new Who()
  readonly refusals = new Refusals()
  readonly peers = new Peers()
  readonly counts = { deny: {} as ReasonCounts, would_deny: {} as ReasonCounts }

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  permitted(permit: Permit, line: () => LineText): void {
    const { observed, client } = permit
    const now = this.#clock.now()
    this.peers.note(client, now)
    if (observed === undefined) {
      this.who.permitted(permit, now)
      if (this.#listeners.size > 0) this.#tell(line(), now)
    } else {
      this.who.denied('wouldDeny', observed, permit, now)
      this.#refused('would_deny', observed, line(), now)
    }
  }

  denied(denial: Denial, request: GatewayRequest | undefined, line: LineText): void {
    const now = this.#clock.now()
    if (request !== undefined) {
      this.who.denied('refused', denial, request, now)
      this.peers.note(request.client, now)
    }
    this.#refused('deny', denial, line, now)
  }

  /** @param told of every line from now on. @returns what ends it */
  tail(told: (line: TimedLine) => void): () => void {
    this.#listeners.add(told)
    return () => this.#listeners.delete(told)
  }

  #refused(decision: 'deny' | 'would_deny', denial: Denial, line: LineText, now: number): void {
    const counts = this.counts[decision]
    counts[denial.reason] = (counts[denial.reason] ?? 0) + 1
    this.refusals.add(denial, line, now)
    this.#tell(line, now)
  }

  #tell(line: LineText, now: number): void {
    if (this.#listeners.size === 0) return
    const timed = { time: new Date(now).toISOString(), ...readLine(line) }
    for (const told of this.#listeners) told(timed)
  }
}
