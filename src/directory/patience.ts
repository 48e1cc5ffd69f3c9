import { PosternError } from '../errors.ts'
import type { Clock } from '../identity/clock.ts'
import { within } from './deadline.ts'

export interface PatienceOptions {
  /** In errors: what is asked for. */
  readonly name: string
  readonly clock: Clock
  /** Milliseconds that one question may take. */
  readonly deadline: number
  /** Milliseconds for which a source is left alone after a failed question. */
  readonly pause: number
}

/** With a source in trouble: a question has a deadline, and a failed one is not answered with a herd of others. */
export class Patience {
  readonly #options: PatienceOptions
  #pausedUntil = Number.NEGATIVE_INFINITY

  constructor(options: PatienceOptions) {
    this.#options = options
  }

  /** Whether the last question failed and none has succeeded since. */
  get tried(): boolean {
    return this.#pausedUntil !== Number.NEGATIVE_INFINITY
  }

  /** @throws PosternError `could_not_check`, or `question_refused`, which is no trouble of the source */
  async ask<T>(load: () => Promise<T>): Promise<T> {
    const { clock, deadline, name, pause } = this.#options
    if (clock.monotonic() < this.#pausedUntil)
      throw new PosternError('could_not_check', `${name}: its source is away`)
    try {
      const answer = await within(clock, deadline, name, load())
      this.#pausedUntil = Number.NEGATIVE_INFINITY
      return answer
    } catch (error) {
      const refused = error instanceof PosternError && error.code === 'question_refused'
      if (!refused) this.#pausedUntil = clock.monotonic() + pause
      throw error
    }
  }
}
