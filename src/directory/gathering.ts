import type { Source } from './records.ts'

/** Questions at once: a slow one holds up only those behind it. */
const AT_ONCE = 2
/** Keys in one question. */
const MOST = 500

/**
 * Questions about one key each, put to a source many at a time. While questions are under way those that come gather for
 * the next one: a flood of keys that lead nowhere costs the source a few questions and not one each, which would fill the
 * queue before it until everybody's answers are late.
 */
export class Gathering<V extends object> {
  readonly #load: Source<V>['load']
  readonly #recall: (key: string) => V | undefined
  readonly #waiting = new Map<string, PromiseWithResolvers<V | undefined>>()
  #underWay = 0

  /** @param recall what is known of a key, from which a cheaper question may be made */
  constructor(load: Source<V>['load'], recall: (key: string) => V | undefined) {
    this.#load = load
    this.#recall = recall
  }

  /** The answer of a question that begins now or later. */
  load(key: string): Promise<V | undefined> {
    const waiting = this.#waiting.get(key)
    if (waiting !== undefined) return waiting.promise
    const answer = Promise.withResolvers<V | undefined>()
    this.#waiting.set(key, answer)
    if (this.#underWay < AT_ONCE) void this.#askAll()
    return answer.promise
  }

  async #askAll(): Promise<void> {
    this.#underWay++
    while (this.#waiting.size > 0) await this.#askSome()
    this.#underWay--
  }

  async #askSome(): Promise<void> {
    const asked = [...this.#waiting].slice(0, MOST)
    for (const [key] of asked) this.#waiting.delete(key)
    try {
      const keys = asked.map(([key]) => key)
      const answers = await this.#load(keys, this.#known(keys))
      for (const [key, answer] of asked) answer.resolve(answers.get(key))
    } catch (error) {
      for (const [, answer] of asked) answer.reject(error)
    }
  }

  #known(keys: readonly string[]): ReadonlyMap<string, V> {
    const known = new Map<string, V>()
    for (const key of keys) {
      const value = this.#recall(key)
      if (value !== undefined) known.set(key, value)
    }
    return known
  }
}
