import * as fc from 'fast-check'
import t from 'tap'
import { Lookup } from '../../src/directory/lookup.ts'
import { startRevalidation, type Revalidation } from '../../src/directory/revalidation.ts'
import type { Source } from '../../src/directory/records.ts'
import { virtualClock, type VirtualClock } from '../support/clock.ts'
import { FRESH, settled, STALE, type Row } from './source.ts'

const KEYS = ['a', 'b', 'c']
const STEP = 50
/** Longest way to the source, and back. */
const WAY = 200

type Command =
  | { readonly kind: 'find' | 'remove' | 'revoke' | 'write'; readonly key: string }
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'clear' | 'break' | 'mend' }

const commands = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: onKey('find') },
    { weight: 2, arbitrary: onKey('write') },
    { weight: 1, arbitrary: onKey('remove') },
    { weight: 1, arbitrary: onKey('revoke') },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('advance' as const),
        ms: fc.constantFrom(50, 100, 400, 1_000, 2_900, 3_100, 31_000),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('clear', 'break', 'mend') }) },
  ),
  { minLength: 5, maxLength: 40 },
)

function onKey(kind: 'find' | 'remove' | 'revoke' | 'write') {
  return fc.record({ kind: fc.constant(kind), key: fc.constantFrom(...KEYS) })
}

/** What was true of every key, and when; and when the source was away. */
class Truth {
  readonly #history = new Map<string, { at: number; word: string | undefined }[]>()
  readonly #revoked = new Map<string, number>()
  readonly #clock: VirtualClock
  #words = 0
  broken = false
  #brokenUntil = Number.NEGATIVE_INFINITY

  constructor(clock: VirtualClock) {
    this.#clock = clock
    for (const key of KEYS) this.#history.set(key, [{ at: Number.NEGATIVE_INFINITY, word: 'first' }])
  }

  now(key: string): string | undefined {
    return this.#history.get(key)?.at(-1)?.word
  }

  change(key: string, present: boolean): void {
    const word = present ? `word ${++this.#words}` : undefined
    this.#history.get(key)?.push({ at: this.#clock.monotonic(), word })
  }

  /** From now on only what is true from now on may be handed out. */
  revoke(...keys: string[]): void {
    for (const key of keys) this.#revoked.set(key, this.#clock.monotonic())
  }

  mend(): void {
    if (this.broken) this.#brokenUntil = this.#clock.monotonic()
    this.broken = false
  }

  revokedAt(key: string): number {
    return this.#revoked.get(key) ?? Number.NEGATIVE_INFINITY
  }

  /** Whether the source may have looked away to somebody who began to ask at `since`. */
  wasAway(since: number): boolean {
    return this.broken || this.#brokenUntil >= since
  }

  /** Whether `word` was true of `key` at some moment since `from`. */
  wasTrue(key: string, word: string | undefined, from: number): boolean {
    const history = this.#history.get(key) ?? []
    return history.some((entry, i) => entry.word === word && (history[i + 1]?.at ?? Infinity) >= from)
  }
}

/** Reads on arrival, after a way there; answers after a way back. */
function source(clock: VirtualClock, truth: Truth, way: () => number): Source<Row> {
  const after = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve))
  return {
    async load(keys) {
      await after(way())
      if (truth.broken) throw new Error('away')
      const found = new Map<string, Row>()
      for (const key of keys) {
        const word = truth.now(key)
        if (word !== undefined) found.set(key, { word })
      }
      await after(way())
      return found
    },
  }
}

/** One look-up, kept fresh as in service, and what it does wrong. */
class Trial {
  readonly faults: string[] = []
  readonly #clock = virtualClock()
  readonly #truth = new Truth(this.#clock)
  readonly #lookup: Lookup<Row>
  readonly #revalidation: Revalidation
  readonly #pending: Promise<void>[] = []
  #invalidations = 0

  constructor(way: () => number) {
    const clock = this.#clock
    this.#lookup = new Lookup<Row>({
      name: 'row',
      source: source(clock, this.#truth, way),
      clock,
      maxEntries: 100,
      maxNegative: 100,
      freshFor: FRESH,
      staleIfError: STALE,
      deadline: 1_000,
    })
    this.#revalidation = startRevalidation([this.#lookup], {
      clock,
      interval: 2_000,
      random: () => 0.5,
      onFailure: () => undefined,
    })
  }

  async run(command: Command): Promise<void> {
    const truth = this.#truth
    switch (command.kind) {
      case 'find':
        this.#pending.push(this.#find(command.key))
        break
      case 'write':
      case 'remove':
        truth.change(command.key, command.kind === 'write')
        break
      case 'revoke':
        truth.change(command.key, false)
        truth.revoke(command.key)
        this.#invalidations++
        if (this.#invalidations % 2 === 0) this.#lookup.forgetKey(command.key)
        else this.#lookup.forget((_row, key) => key === command.key)
        break
      case 'clear':
        truth.revoke(...KEYS)
        this.#invalidations++
        this.#lookup.doubt()
        this.#revalidation.hurry()
        break
      case 'break':
        truth.broken = true
        break
      case 'mend':
        truth.mend()
        break
      case 'advance':
        await this.#advance(command.ms)
    }
    await settled()
  }

  async finish(): Promise<void> {
    await this.#advance(4_000)
    this.#revalidation.stop()
    await Promise.all(this.#pending)
  }

  /** In steps, so that what waits for promises runs close to its time. */
  async #advance(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= STEP) {
      this.#clock.advance(STEP)
      await settled()
    }
  }

  async #find(key: string): Promise<void> {
    const since = this.#clock.monotonic()
    const revokedAt = this.#truth.revokedAt(key)
    const before = this.#invalidations
    try {
      const word = (await this.#lookup.find(key))?.word
      const bound = this.#truth.wasAway(since - 2 * FRESH - STALE) ? FRESH + STALE : FRESH
      const from = Math.max(this.#clock.monotonic() - bound - STEP, revokedAt)
      if (!this.#truth.wasTrue(key, word, from)) this.#fault(`${key} is ${String(word)}`)
    } catch {
      // It may: overtaken again and again, or within the pause that follows a failure.
      const isOvertaken = this.#invalidations - before >= 3
      if (!isOvertaken && !this.#truth.wasAway(since - 1_000 - 3 * WAY)) this.#fault(`${key} is refused`)
    }
  }

  #fault(what: string): void {
    this.faults.push(`${what} at ${this.#clock.monotonic()} ms`)
  }
}

t.test('nothing dead is handed out later than the bound, and nothing alive is refused', async (t) => {
  let runs = 0
  const ways = fc.infiniteStream(fc.integer({ min: 0, max: WAY }))
  const property = fc.asyncProperty(commands, ways, async (list, stream) => {
    const trial = new Trial(() => Number(stream.next().value))
    for (const command of list) await trial.run(command)
    await trial.finish()
    runs++
    if (trial.faults.length > 0) throw new Error(trial.faults.join('; '))
  })
  await fc.assert(property, { numRuns: 300 })
  t.equal(runs, 300)
})
