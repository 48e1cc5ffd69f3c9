import type { Config } from '../../config/schema.ts'
import { PosternError, asPosternError } from '../../errors.ts'
import { LONGEST_EXCHANGE } from '../../gateway/gateway.ts'
import type { Keeper } from '../../gateway/siblings.ts'
import { inTurn } from '../../gateway/turns.ts'
import type { Clock } from '../../identity/clock.ts'
import type { Logger } from '../../observe/log.ts'
import type { At } from '../serve/running.ts'
import type { Order } from './calls.ts'
import type { Child, End } from './fork.ts'
import type { Topic } from './line.ts'
import { Member } from './member.ts'

export interface PoolOptions {
  readonly size: number
  readonly fork: (number: number) => Child
  readonly clock: Clock
  readonly logger: Logger
  readonly keeper: Keeper
  readonly secret: Uint8Array
  /** Told of every worker when it has ended. */
  readonly onEnded: (member: Member) => void
}

/** Milliseconds: a worker that ends sooner has not served for a while. */
const YOUNG = 10_000
/** Milliseconds after which one that ended is replaced; twice as long after each that ended young. */
const PAUSE = { first: 100, longest: 30_000 }
/** Of one number, ended young in a row: it is not worth going on when nobody else serves. */
const MOST_YOUNG = 5
/** Milliseconds beyond the grace after which a worker hangs. */
const MARGIN = 5_000
/** Milliseconds for which idle clients of a worker that leaves are still answered. */
const LINGER = 2_000

/** The workers that serve, by number: as many as there are to be, and one configuration for all of them. */
export class Pool {
  readonly #options: PoolOptions
  /** Those that serve. */
  readonly #serving = new Map<number, Member>()
  /** Those that have a process, whatever they do with it. */
  readonly #alive = new Set<Member>()
  /** How many of a number ended young in a row. */
  readonly #young = new Map<number, number>()
  readonly #watching = new Set<(decision: string) => void>()
  readonly #broken = Promise.withResolvers<never>()
  readonly #inTurn = inTurn()
  #config: Config
  #isClosing = false
  /** How many ended that were not told to. */
  deaths = 0

  constructor(config: Config, options: PoolOptions) {
    this.#config = config
    this.#options = options
    this.#broken.promise.catch(() => undefined)
  }

  /** Rejects when none serves, and none can be expected to. */
  get broken(): Promise<never> {
    return this.#broken.promise
  }

  /** Of each number the one that serves, if it has one. */
  get serving(): readonly (readonly [number: number, member: Member | undefined])[] {
    return this.#numbers.map((number) => [number, this.#serving.get(number)])
  }

  get alive(): readonly Member[] {
    return [...this.#alive]
  }

  /** The first one begins alone: what keeps it from starting would keep all of them. @throws PosternError */
  start(): Promise<At> {
    return this.#inTurn(async () => {
      const [first, ...others] = this.#numbers.map((number) => this.#spawn(number))
      const at = await this.#begin(first ?? this.#spawn(1))
      await Promise.all(others.map((member) => this.#begin(member)))
      return at
    })
  }

  /** @throws PosternError when one of them cannot start it: it is at work in none then */
  reload(config: Config): Promise<At> {
    return this.#inTurn(async () => {
      const members = [...this.#serving.values()]
      const prepared = await Promise.allSettled(
        members.map((member) => member.order(({ prepare }) => prepare(config))),
      )
      const refusal = prepared.find((each) => each.status === 'rejected')
      if (refusal !== undefined) {
        await Promise.allSettled(members.map(({ calls }) => calls.abandon()))
        throw asPosternError(refusal.reason)
      }
      this.#config = config
      // One that ends now is replaced by one that begins with it.
      return Promise.any(members.map(({ calls }) => calls.commit()))
    })
  }

  /** A new one serves before an old one leaves; then the next. @throws PosternError when one cannot be started: the old one stays */
  async restart(): Promise<void> {
    for (const number of this.#numbers) {
      const old = await this.#inTurn(() => this.#exchange(number))
      await this.#left(old, this.#config.shutdown.grace)
    }
  }

  /** @param told each decision of every worker, as JSON. @returns what ends it */
  watch(told: (decision: string) => void): () => void {
    this.#watching.add(told)
    this.#tail()
    return () => {
      this.#watching.delete(told)
      this.#tail()
    }
  }

  #tail(): void {
    for (const member of this.#alive) void member.ask((calls) => calls.tail(this.#watching.size > 0))
  }

  async close(): Promise<void> {
    this.#isClosing = true
    await Promise.all(this.alive.map((member) => this.#dismiss(member, this.#config.shutdown.grace)))
  }

  /** However it is: one that hangs hears nothing, and one that was to go already may have had longer. */
  async #dismiss(member: Member, grace: number): Promise<void> {
    if (!member.isLeaving) void member.leave({ grace, linger: 0 })
    await this.#left(member, grace + MARGIN)
    member.end()
    await this.#left(member, MARGIN)
    member.kill()
    await member.ended
  }

  get #numbers(): readonly number[] {
    return Array.from({ length: this.#options.size }, (_, i) => i + 1)
  }

  /** @throws PosternError as the worker's own start */
  async #begin(member: Member): Promise<At> {
    const { size, secret, logger } = this.#options
    const order: Order = { config: this.#config, workers: size, secret }
    try {
      const at = await member.order(({ start }) => start(order))
      this.#serving.set(member.number, member)
      logger.info({ worker: member.number, pid: member.pid }, 'a worker serves')
      if (this.#watching.size > 0) void member.ask((calls) => calls.tail(true))
      return at
    } catch (error) {
      member.end()
      throw error
    }
  }

  #spawn(number: number): Member {
    const { fork } = this.#options
    const hear = (topic: Topic, text: string): void => {
      if (topic === 'decision') for (const told of this.#watching) told(text)
      // Its sender too: they all hear the same, in the same order.
      else for (const each of this.#alive) each.tell(topic, text)
    }
    const member = new Member(number, fork(number), { ...this.#options, hear })
    this.#alive.add(member)
    void this.#watch(member)
    return member
  }

  async #watch(member: Member): Promise<void> {
    const end = await member.ended
    this.#alive.delete(member)
    this.#options.onEnded(member)
    if (this.#serving.get(member.number) === member) this.#died(member, end)
  }

  async #exchange(number: number): Promise<Member | undefined> {
    if (this.#isClosing) throw new PosternError('internal', 'it is stopping')
    const old = this.#serving.get(number)
    await this.#begin(this.#spawn(number))
    // A download must not break off because somebody wanted new processes.
    void old?.leave({ grace: LONGEST_EXCHANGE, linger: LINGER })
    return old
  }

  /** Waits for one to end, so many milliseconds at most. */
  async #left(member: Member | undefined, patience: number): Promise<void> {
    if (member === undefined) return
    const late = Promise.withResolvers<void>()
    const cancel = this.#options.clock.after(patience, late.resolve)
    await Promise.race([member.ended, late.promise])
    cancel()
  }

  #died(member: Member, { code, signal }: End): void {
    this.#serving.delete(member.number)
    if (this.#isClosing) return
    this.deaths++
    const { clock, logger } = this.#options
    const isYoung = clock.monotonic() - member.startedAt < YOUNG
    const cause = new PosternError('internal', `it ended with ${signal ?? code}`)
    logger.error({ worker: member.number, pid: member.pid, code, signal }, 'a worker ended: it is replaced')
    this.#replaceSoon(member.number, isYoung ? this.#youngOf(member.number) + 1 : 0, cause)
  }

  #replaceSoon(number: number, young: number, cause: PosternError): void {
    const { clock } = this.#options
    this.#young.set(number, young)
    if (young >= MOST_YOUNG && this.#serving.size === 0) {
      const sentence = `worker ${number} was started ${young} times, and each time ${cause.message}`
      this.#broken.reject(new PosternError(cause.code, sentence))
      return
    }
    const pause = Math.min(PAUSE.first * 2 ** young, PAUSE.longest)
    clock.after(pause, () => void this.#inTurn(() => this.#replace(number)))
  }

  async #replace(number: number): Promise<void> {
    if (this.#isClosing) return
    const { logger } = this.#options
    try {
      await this.#begin(this.#spawn(number))
    } catch (error) {
      const cause = asPosternError(error)
      logger.error({ worker: number, code: cause.code, cause: cause.message }, 'a worker cannot be started')
      this.#replaceSoon(number, this.#youngOf(number) + 1, cause)
    }
  }

  #youngOf(number: number): number {
    return this.#young.get(number) ?? 0
  }
}
