import type { Blocks } from '../directory/blocks.ts'
import type { Mark } from '../directory/mark.ts'
import { keyOf } from '../directory/mark.ts'
import type { Replicas } from '../directory/replicas.ts'
import type { MarkStore } from '../directory/shared-marks.ts'
import type { Clock } from '../identity/clock.ts'

export interface BlockingOptions {
  readonly blocks: Blocks
  readonly clock: Clock
  /** Both undefined for one that shares nothing. */
  readonly replicas: () => Pick<Replicas, 'announce'> | undefined
  readonly marks: () => MarkStore | undefined
  /** There are more than before: what is open already is to be looked at. */
  readonly onBlocked: () => void
}

/** Milliseconds between two attempts to read what the others marked. */
const AGAIN = 1_000

/** Keeps the blocks of all replicas the same: told at once, kept for those that were not there. */
export class Blocking {
  readonly #options: BlockingOptions
  #reading: Promise<void> | undefined
  /** How often something may have been missed; as of which of them all is known. */
  #gaps = 1
  #knownAsOf = 0
  #cancel: () => void = () => undefined
  #stopped = false

  constructor(options: BlockingOptions) {
    this.#options = options
  }

  /** The others may have marked what is not known here. */
  get isBehind(): boolean {
    return this.#options.marks() !== undefined && this.#knownAsOf < this.#gaps
  }

  /** @returns once every live replica has taken it in, or was waited for long enough, and it is kept where it can be */
  async put(mark: Mark): Promise<void> {
    this.take([mark])
    const { marks, replicas } = this.#options
    const keeping = marks()
      ?.keep([mark])
      .catch(() => this.readAgain())
    await Promise.all([replicas()?.announce([], [mark]), keeping])
  }

  take(marks: readonly Mark[]): void {
    if (this.#options.blocks.take(marks).some(({ lifted }) => !lifted)) this.#options.onBlocked()
  }

  /** Reads what may have been missed, until it has been read; what is known here and not there is written there. */
  readAgain(): void {
    this.#gaps++
    this.#cancel()
    void this.read()
  }

  read(): Promise<void> {
    return (this.#reading ??= this.#read().finally(() => (this.#reading = undefined)))
  }

  stop(): void {
    this.#stopped = true
    this.#cancel()
  }

  async #read(): Promise<void> {
    const { blocks, clock } = this.#options
    const marks = this.#options.marks()
    if (marks === undefined || this.#stopped) return
    try {
      const asOf = this.#gaps
      const found = new Map((await marks.load()).map((mark) => [keyOf(mark), mark]))
      this.take([...found.values()])
      const known = new Map(blocks.marks.map((mark) => [keyOf(mark), mark]))
      const unkept = [...known].filter(([key, { at }]) => found.get(key)?.at !== at)
      await marks.keep(unkept.map(([, mark]) => mark))
      await marks.drop([...found.keys()].filter((key) => !known.has(key)))
      this.#knownAsOf = asOf
      // What was missed meanwhile is not in what was read.
      if (this.isBehind) await this.#read()
    } catch {
      if (!this.#stopped) this.#cancel = clock.after(AGAIN, () => void this.read())
    }
  }
}
