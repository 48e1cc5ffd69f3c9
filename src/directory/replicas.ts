import type { Clock } from '../identity/clock.ts'
import type { Change } from './change.ts'
import type { Channel } from './channel.ts'
import type { Mark } from './mark.ts'
import { MessageSeal } from './message.ts'
import type { Message } from './message.ts'

export interface ReplicasOptions {
  readonly channel: Channel
  readonly clock: Clock
  /** Makes a string that was never made before. */
  readonly newId: () => string
  /** Shared by the replicas; who lacks it can neither make a message nor answer one. */
  readonly secret: Buffer
  /** The installation that the replicas belong to. */
  readonly place: string
  /** Milliseconds that an announcement waits for those who have not acknowledged it. */
  readonly revokeWait: number
  /** Another replica announced it; it is acknowledged when this returns. */
  readonly onChange: (changes: readonly Change[]) => void
  /** The same of what it marked. */
  readonly onMarks?: (marks: readonly Mark[]) => void
  /** Announcements may have been missed. */
  readonly onGap: () => void
  /** What the others shall know of this one; JSON. */
  readonly about: () => unknown
}

/** Another replica, as it was last heard. */
interface Peer {
  readonly heardAt: number
  /** It hears the others: one that wants to join does not yet, as far as anybody knows. */
  readonly hears: boolean
  readonly number: number
  readonly about: unknown
}

interface Announcement {
  /** Who has not acknowledged it. */
  readonly pending: Set<string>
  readonly acknowledged: () => void
}

/** Milliseconds between two signs of life. */
const SIGN_OF_LIFE = 1_000
/** Milliseconds of silence after which a replica is not waited for, and after which our own silence means that we are cut off. */
const SILENCE = 3_000
/** Milliseconds of silence after which a replica is forgotten: one that comes back would have to be another. */
const FORGOTTEN = 60_000

/**
 * The replicas of one installation, who tell each other what changed. An announcement returns when every live one has acknowledged
 * it. Nothing is kept in Redis, so nothing can be lost there: who may have missed an announcement is told so, and asks anew.
 */
export class Replicas {
  readonly #options: ReplicasOptions
  readonly #seal: MessageSeal
  readonly #id: string
  readonly #peers = new Map<string, Peer>()
  readonly #announcements = new Map<number, Announcement>()
  /** Our own changes that have not come back: until then others may still share what is older than they are. */
  readonly #unheard = new Set<number>()
  readonly counts = { announced: 0, unacknowledged: 0, gaps: 0 }
  #number = 0
  /** Of the newest of our own messages that came back. */
  #heardNumber = 0
  #generation: string | undefined
  /** Monotonic milliseconds at which we last heard ourselves, or began to listen; undefined while nobody is heard. */
  #heardAt: number | undefined
  #cancel: () => void = () => undefined
  #closed = false

  constructor(options: ReplicasOptions) {
    this.#options = options
    this.#seal = new MessageSeal(options.secret, options.place)
    this.#id = options.newId()
    options.channel.listen({
      opened: () => this.#join(),
      lost: () => this.#lose(),
      message: (text) => this.#receive(text),
    })
    this.#keepAlive()
  }

  /** @see SharedTier.generation */
  get generation(): string | undefined {
    return this.#unheard.size === 0 ? this.#generation : undefined
  }

  /** Whether the others are heard. */
  get joined(): boolean {
    return this.#generation !== undefined
  }

  /** The others that are heard, with what each says of itself. */
  get live(): readonly { readonly id: string; readonly about: unknown }[] {
    const since = this.#options.clock.monotonic() - SILENCE
    return [...this.#peers].flatMap(([id, { heardAt, hears, about }]) =>
      hears && heardAt >= since ? { id, about } : [],
    )
  }

  /** Announcements that wait for an acknowledgement. */
  get waiting(): number {
    return this.#announcements.size
  }

  /** Resolves when every live replica has acknowledged, or the time to wait for them is over. It never fails. */
  async announce(changes: readonly Change[], marks?: readonly Mark[]): Promise<void> {
    const { clock, newId, revokeWait } = this.#options
    this.counts.announced++
    const pending = new Set(this.joined ? this.live.map(({ id }) => id) : [])
    const number = this.#send({ kind: 'change', changes, marks, generation: newId() })
    this.#unheard.add(number)
    if (pending.size === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = clock.after(revokeWait, resolve)
    this.#announcements.set(number, { pending, acknowledged: resolve })
    await promise
    cancel()
    this.#announcements.delete(number)
    this.counts.unacknowledged += pending.size
  }

  /** Takes leave, so that nobody waits for this one. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancel()
    const { channel } = this.#options
    await channel.publish(this.#write({ kind: 'gone' })).catch(() => undefined)
    channel.close()
  }

  #join(): void {
    this.#heardAt = this.#options.clock.monotonic()
    this.#unheard.clear()
    this.#options.onGap()
    this.#send({ kind: 'present', generation: this.#options.newId(), about: this.#options.about() })
  }

  #lose(): void {
    if (this.#heardAt === undefined) return
    this.#heardAt = undefined
    this.#generation = undefined
    this.counts.gaps++
    this.#options.onGap()
  }

  /** Who does not hear gives no sign of life either: nobody shall wait for its acknowledgement. */
  #giveSign(): void {
    if (this.joined) this.#send({ kind: 'present', generation: undefined, about: this.#options.about() })
  }

  #keepAlive(): void {
    const { clock, channel } = this.#options
    const now = clock.monotonic()
    if (this.#heardAt !== undefined && now - this.#heardAt >= SILENCE) {
      this.#lose()
      channel.reopen()
    } else this.#giveSign()
    for (const [id, { heardAt }] of this.#peers) if (now - heardAt >= FORGOTTEN) this.#peers.delete(id)
    this.#cancel = clock.after(SIGN_OF_LIFE, () => this.#keepAlive())
  }

  /** @returns the number of the message */
  #send(message: Unnumbered): number {
    const text = this.#write(message)
    const number = this.#number
    this.#options.channel.publish(text).catch(() => {
      // Nobody may have heard of it; whoever joins again starts from nothing known.
      if (message.kind === 'change' && this.joined) this.#options.channel.reopen()
    })
    return number
  }

  #write(message: Unnumbered): string {
    return this.#seal.write({ ...message, from: this.#id, number: ++this.#number })
  }

  #receive(text: string): void {
    const message = this.#seal.read(text)
    if (message === undefined || this.#closed) return
    if (message.from === this.#id) return this.#hearOurselves(message)
    if (message.number <= (this.#peers.get(message.from)?.number ?? 0)) return
    const about = message.kind === 'present' ? message.about : this.#peers.get(message.from)?.about
    const heardAt = this.#options.clock.monotonic()
    const hears = !isJoining(message)
    this.#peers.set(message.from, { heardAt, hears, number: message.number, about })
    this.#hear(message)
  }

  #hearOurselves(message: Message): void {
    if (message.number <= this.#heardNumber) return
    this.#heardNumber = message.number
    this.#heardAt = this.#options.clock.monotonic()
    if (message.kind === 'change') this.#unheard.delete(message.number)
    this.#take(message)
    if (isJoining(message)) this.#giveSign()
  }

  #hear(message: Message): void {
    this.#take(message)
    switch (message.kind) {
      case 'change':
        if (message.changes.length > 0) this.#options.onChange(message.changes)
        if (message.marks !== undefined) this.#options.onMarks?.(message.marks)
        this.#send({ kind: 'acknowledged', to: message.from, of: message.number })
        break
      case 'present':
        if (isJoining(message)) this.#giveSign()
        break
      case 'acknowledged':
        if (message.to === this.#id) this.#acknowledge(message.of, message.from)
        break
      case 'gone':
        this.#peers.delete(message.from)
        for (const number of this.#announcements.keys()) this.#acknowledge(number, message.from)
    }
  }

  /** Whatever was shared before it is older than the change, or than the newcomer. */
  #take(message: Message): void {
    if ((message.kind === 'change' || message.kind === 'present') && message.generation !== undefined)
      this.#generation = message.generation
  }

  #acknowledge(number: number, peer: string): void {
    const announcement = this.#announcements.get(number)
    announcement?.pending.delete(peer)
    if (announcement?.pending.size === 0) announcement.acknowledged()
  }
}

function isJoining(message: Message): boolean {
  return message.kind === 'present' && message.generation !== undefined
}

type Unnumbered = Message extends infer Each
  ? Each extends Message
    ? Omit<Each, 'from' | 'number'>
    : never
  : never
