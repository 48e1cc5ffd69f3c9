import { statusTogether } from '../../admin/merge.ts'
import type { BlockRequest, Live, Status } from '../../admin/live.ts'
import type { TimedLine } from '../../admin/recent.ts'
import type { Refusal } from '../../admin/refusals.ts'
import type { Seen } from '../../admin/who.ts'
import type { Block, Blockable } from '../../directory/mark.ts'
import { PosternError } from '../../errors.ts'
import type { Overview } from './overview.ts'
import type { Pool } from './pool.ts'

/** All workers as one, for an operator. */
export class LiveTogether implements Live {
  readonly #pool: Pool
  readonly #overview: Overview

  constructor(pool: Pool, overview: Overview) {
    this.#pool = pool
    this.#overview = overview
  }

  async status(): Promise<Status> {
    const all = await this.#all((member) => member.ask(({ status }) => status()))
    const status = statusTogether(all)
    if (status === undefined) throw nobody()
    return { ...status, health: await this.#overview.health(), workers: all.length }
  }

  async who(since: number): Promise<readonly Seen[]> {
    const all = await this.#all((member) => member.ask(({ who }) => who(since)))
    return all.flat().sort((a, b) => b.lastSeen - a.lastSeen)
  }

  /** Whichever worker it was that refused. */
  async refusal(id: string): Promise<Refusal | undefined> {
    const [found] = await this.#all((member) => member.ask(({ refusal }) => refusal(id)))
    return found
  }

  async blocks(): Promise<readonly Block[]> {
    return this.#first.blocks()
  }

  /** Said to one: it tells the others, and waits for them. */
  block(request: BlockRequest): ReturnType<Live['block']> {
    return this.#first.block(request)
  }

  unblock(kind: Blockable, what: string): ReturnType<Live['unblock']> {
    return this.#first.unblock(kind, what)
  }

  tail(told: (line: TimedLine) => void): () => void {
    // As a worker made it.
    return this.#pool.watch((text) => told(JSON.parse(text) as TimedLine))
  }

  get #first(): Pool['alive'][number]['calls'] {
    const [, first] = this.#pool.serving.find(([, member]) => member !== undefined) ?? []
    if (first === undefined) throw nobody()
    return first.calls
  }

  /** What those that have something to say answered. */
  async #all<T>(ask: (member: Pool['alive'][number]) => Promise<T | undefined>): Promise<T[]> {
    const answers = await Promise.all(this.#pool.alive.map(ask))
    return answers.filter((answer) => answer !== undefined)
  }
}

function nobody(): PosternError {
  return new PosternError('internal', 'no worker answers')
}
