import type { Redis } from 'ioredis'
import type { Channel, ChannelListener } from '../../src/directory/channel.ts'
import type { VirtualClock } from '../support/clock.ts'

/** Longest way of a message, in milliseconds: there and back in less than replicas wait for each other. */
const WAY = 40
/** The same while it is slow. */
const SLOW_WAY = 400
/** Milliseconds of quiet after which every replica knows every other, whatever came before: two signs of life, and their way. */
const QUIET = 2_500
/** Milliseconds of silence after which a replica surely takes itself for cut off. */
export const SILENCE_NOTICED = 5_000

/** The Redis that replicas share: their messages and answers, over connections that a test slows down, holds up and cuts. */
export class SharedRedis {
  readonly clock: VirtualClock
  readonly random: () => number
  readonly #lines: Line[] = []
  readonly #texts = new Map<string, { readonly text: string; readonly until: number }>()
  #slow = false
  isDown = false

  constructor(clock: VirtualClock, random: () => number) {
    this.clock = clock
    this.random = random
  }

  /** @param onTurn called when a connection came about, or was lost */
  line(onTurn: () => void): Line {
    const line = new Line(this, onTurn)
    this.#lines.push(line)
    return line
  }

  /** Nothing that it held is lost. */
  set(state: 'up' | 'slow' | 'down'): void {
    this.isDown = state === 'down'
    this.#slow = state === 'slow'
    for (const line of this.#lines) line.look()
  }

  get isSlow(): boolean {
    return this.#slow
  }

  send(text: string): void {
    for (const line of this.#lines) line.carry(text)
  }

  way(): number {
    return this.random() * (this.#slow ? SLOW_WAY : WAY)
  }

  travel(): Promise<void> {
    return new Promise((resolve) => this.clock.after(this.way(), resolve))
  }

  readonly read = (name: string): { readonly text: string; readonly left: number } | undefined => {
    const held = this.#texts.get(name)
    const left = (held?.until ?? 0) - this.clock.monotonic()
    return held === undefined || left <= 0 ? undefined : { text: held.text, left }
  }

  readonly write = (name: string, text: string, life: number): void => {
    this.#texts.set(name, { text, until: this.clock.monotonic() + life })
  }
}

interface Connection {
  /** What arrives later than this is next in order. */
  arrivedAt: number
  /** What has not come through. */
  readonly held: string[]
}

/** `cut`: nothing goes out or comes in. `hangs`: what is sent goes out, what comes in waits; another connection does not come about. */
export type LineState = 'well' | 'cut' | 'hangs'

/** One replica's connections to it. */
export class Line implements Channel {
  readonly #redis: SharedRedis
  readonly #onTurn: () => void
  #listener: ChannelListener | undefined
  #connection: Connection | undefined
  #state: LineState = 'well'
  #changedAt = 0

  constructor(redis: SharedRedis, onTurn: () => void) {
    this.#redis = redis
    this.#onTurn = onTurn
  }

  /** Monotonic milliseconds at which it last became better or worse. */
  get changedAt(): number {
    return this.#changedAt
  }

  get isConnected(): boolean {
    return this.#connection !== undefined
  }

  /** Whether nothing has kept it from hearing the others, and them from knowing so, for a while. */
  get isSteady(): boolean {
    const { isDown, isSlow, clock } = this.#redis
    return this.#state === 'well' && !isDown && !isSlow && clock.monotonic() - this.#changedAt >= QUIET
  }

  set(state: LineState): void {
    this.#state = state
    this.look()
    if (state !== 'well') return
    for (const text of this.#connection?.held.splice(0) ?? []) this.#listener?.message(text)
  }

  /** Connects, or is cut off. */
  look(): void {
    const { clock, isDown } = this.#redis
    this.#changedAt = clock.monotonic()
    if (isDown || this.#state === 'cut') this.#disconnect()
    else if (this.#listener !== undefined && this.#connection === undefined && this.#state === 'well') {
      this.#connection = { arrivedAt: clock.monotonic(), held: [] }
      this.#listener.opened()
      this.#onTurn()
    }
  }

  listen(listener: ChannelListener): void {
    this.#listener = listener
    this.look()
  }

  async publish(text: string): Promise<void> {
    if (this.#redis.isDown || this.#state === 'cut') throw new Error('cut')
    this.#redis.send(text)
  }

  reopen(): void {
    this.#disconnect()
    queueMicrotask(() => this.look())
  }

  close(): void {
    this.#listener = undefined
    this.#connection = undefined
  }

  /** In order. */
  carry(text: string): void {
    const connection = this.#connection
    if (connection === undefined) return
    const { clock } = this.#redis
    connection.arrivedAt = Math.max(connection.arrivedAt, clock.monotonic() + this.#redis.way())
    clock.after(connection.arrivedAt - clock.monotonic(), () => {
      if (this.#connection !== connection) return
      if (this.#state === 'hangs') connection.held.push(text)
      else this.#listener?.message(text)
    })
  }

  /** For answers and ties: of a client's commands those that they use. */
  readonly client: Redis = {
    pipeline: () => this.#pipeline([]),
    get: (name: string) => this.#run([() => this.#redis.read(name)?.text ?? null]).then(([text]) => text),
    set: (name: string, text: string, _unit: 'PX', life: number) =>
      this.#run([() => this.#redis.write(name, text, life)]),
    // The rest is asked for by nobody.
  } as unknown as Redis

  #pipeline(steps: readonly (() => unknown)[]): object {
    const { read, write } = this.#redis
    const then = (step: () => unknown): object => this.#pipeline([...steps, step])
    return {
      get: (name: string) => then(() => read(name)?.text ?? null),
      pttl: (name: string) => then(() => read(name)?.left ?? -2),
      pexpire: (name: string, life: number) => then(() => write(name, read(name)?.text ?? '', life)),
      set: (name: string, text: string, _unit: 'PX', life: number, _unless: 'NX') =>
        then(() => read(name) ?? write(name, text, life)),
      exec: async () => (await this.#run(steps)).map((answer) => [null, answer]),
    }
  }

  async #run(steps: readonly (() => unknown)[]): Promise<unknown[]> {
    await this.#travel()
    const answers = steps.map((step) => step())
    await this.#travel()
    return answers
  }

  async #travel(): Promise<void> {
    await this.#redis.travel()
    if (this.#redis.isDown || this.#state === 'cut') throw new Error('away')
  }

  #disconnect(): void {
    if (this.#connection === undefined) return
    this.#connection = undefined
    this.#listener?.lost()
    this.#onTurn()
  }
}
