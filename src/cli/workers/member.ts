import type { Health } from '../../admin/probes.ts'
import { within } from '../../directory/deadline.ts'
import type { Drain } from '../../gateway/gateway.ts'
import type { Keeper, Remote } from '../../gateway/siblings.ts'
import type { Clock } from '../../identity/clock.ts'
import type { MetricValues } from '../../observe/metrics.ts'
import { WORKER_CALLS } from './calls.ts'
import type { WorkerCalls } from './calls.ts'
import type { Child, End } from './fork.ts'
import { Line } from './line.ts'
import type { Topic } from './line.ts'

/** Milliseconds that a worker may take to say how it is. */
const PATIENCE = 1_000
/** Milliseconds that it may take to start: its sources have deadlines of their own, which are shorter. */
const LONGEST_START = 60_000

const SILENT: Health = { status: 'not_ready', troubles: ['does not answer'] }

export interface MemberOptions {
  readonly clock: Clock
  readonly keeper: Keeper
  /** Told what it says, to all workers or to whoever watches them. */
  readonly hear: (topic: Topic, text: string) => void
}

/** A worker, as the process that started it knows it. */
export class Member {
  readonly number: number
  readonly pid: number | undefined
  /** Monotonic milliseconds. */
  readonly startedAt: number
  readonly calls: Remote<WorkerCalls>
  readonly ended: Promise<End>
  /** Whether it was told to go. */
  isLeaving = false
  /** The last that it told. */
  figures: MetricValues = []
  readonly #clock: Clock
  readonly #line: Line
  readonly #child: Child

  constructor(number: number, child: Child, { clock, keeper, hear }: MemberOptions) {
    this.number = number
    this.pid = child.pid
    this.startedAt = clock.monotonic()
    this.ended = child.ended
    this.#clock = clock
    this.#child = child
    this.#line = new Line(child.port, { mine: keeper, hear })
    this.calls = this.#line.remote<WorkerCalls>(WORKER_CALLS)
  }

  tell(topic: Topic, text: string): void {
    this.#line.say(topic, text)
  }

  /** @throws PosternError as what is ordered; also when it takes too long */
  order<T>(what: (calls: Remote<WorkerCalls>) => Promise<T>): Promise<T> {
    return within(this.#clock, LONGEST_START, `worker ${this.number}`, what(this.calls))
  }

  /** What it answers in time, or undefined. */
  async ask<T>(question: (calls: Remote<WorkerCalls>) => Promise<T>): Promise<T | undefined> {
    return within(this.#clock, PATIENCE, 'worker', question(this.calls)).catch(() => undefined)
  }

  async health(): Promise<Health> {
    return (await this.ask((calls) => calls.health())) ?? SILENT
  }

  async metrics(): Promise<MetricValues> {
    this.figures = (await this.ask((calls) => calls.metrics())) ?? this.figures
    return this.figures
  }

  /** Lets what is under way end, and then the process. */
  async leave(drain: Drain): Promise<void> {
    this.isLeaving = true
    // One that cannot be told has ended by itself.
    this.figures = await this.calls.stop(drain).catch(() => this.figures)
    this.end()
  }

  /** At once, whatever is under way. */
  end(): void {
    this.isLeaving = true
    this.#child.end()
  }

  /** Even if it hangs. */
  kill(): void {
    this.#child.kill()
  }
}
