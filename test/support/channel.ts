import type { Channel, ChannelListener } from '../../src/directory/channel.ts'

/** A wire between the replicas of one process, which a test cuts and mends; messages come in order, after the task at hand. */
export class Wire {
  readonly texts: string[] = []
  readonly #open = new Set<Line>()
  #cut = false

  get isCut(): boolean {
    return this.#cut
  }

  line(): Line {
    return new Line(this)
  }

  send(text: string): void {
    this.texts.push(text)
    for (const line of this.#open) queueMicrotask(() => line.hear(text))
  }

  /** For every replica, as when Redis goes away. */
  cut(): void {
    this.#cut = true
    for (const line of [...this.#open]) this.close(line)
  }

  mend(): void {
    this.#cut = false
  }

  open(line: Line): void {
    this.#open.add(line)
  }

  close(line: Line): void {
    if (this.#open.delete(line)) line.lost()
  }
}

/** One replica's end of the wire. */
export class Line implements Channel {
  readonly #wire: Wire
  #listener: ChannelListener | undefined
  /** What is sent goes out, and nothing comes in: a connection that hangs. */
  deaf = false

  constructor(wire: Wire) {
    this.#wire = wire
  }

  listen(listener: ChannelListener): void {
    this.#listener = listener
    this.connect()
  }

  /** Connects unless the wire is cut. */
  connect(): void {
    if (this.#wire.isCut) return
    this.#wire.open(this)
    this.#listener?.opened()
  }

  async publish(text: string): Promise<void> {
    if (this.#wire.isCut) throw new Error('cut')
    this.#wire.send(text)
  }

  reopen(): void {
    this.#wire.close(this)
    queueMicrotask(() => this.connect())
  }

  close(): void {
    this.#listener = undefined
    this.#wire.close(this)
  }

  hear(text: string): void {
    if (!this.deaf) this.#listener?.message(text)
  }

  lost(): void {
    this.#listener?.lost()
  }
}
