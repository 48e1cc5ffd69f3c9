import type { BlockRequest } from '../../admin/live.ts'
import { shareOf } from '../../config/share.ts'
import type { Config } from '../../config/schema.ts'
import type { Channel, ChannelListener } from '../../directory/channel.ts'
import type { Blockable } from '../../directory/mark.ts'
import { PosternError } from '../../errors.ts'
import { diagnose } from '../../gateway/doctor/doctor.ts'
import { startGateway } from '../../gateway/gateway.ts'
import type { Drain, Gateway, Prepared } from '../../gateway/gateway.ts'
import type { Keeper } from '../../gateway/siblings.ts'
import { systemClock } from '../../identity/clock.ts'
import type { Logger } from '../../observe/log.ts'
import type { CliContext } from '../context.ts'
import { openLog, reportCrashes } from '../log.ts'
import { placeOf } from '../serve/running.ts'
import type { At } from '../serve/running.ts'
import { KEEPER_CALLS } from './calls.ts'
import type { Order, WorkerCalls } from './calls.ts'
import { parentPort } from './fork.ts'
import { Line } from './line.ts'
import type { Port } from './line.ts'

/**
 * `postern worker NUMBER`, which `serve` runs and nobody else: one of several that serve, until `serve` ends it.
 * @throws PosternError `usage`
 */
export async function runWorker([number]: readonly string[], context: CliContext): Promise<void> {
  const port = parentPort()
  if (port === undefined) throw new PosternError('usage', 'Workers are started by `serve` alone.')
  // A terminal, and some supervisors, send signals to all of a program's processes: the first of them says what is to be done.
  context.signals.leaveToOthers()
  await new Worker(Number(number), port, context).end
}

class Worker implements WorkerCalls {
  readonly #number: number
  readonly #context: CliContext
  readonly #ends = new Set<ChannelListener>()
  readonly #line: Line
  /** Never seen: the process ends with the other one. */
  readonly end = new Promise<never>(() => undefined)
  #workers = 1
  #gateway: Gateway | undefined
  #endTail: () => void = () => undefined
  #logger: Logger | undefined
  #prepared: { readonly config: Config; readonly runtime: Prepared } | undefined

  constructor(number: number, port: Port, context: CliContext) {
    this.#number = number
    this.#context = context
    this.#line = new Line(port, { mine: this, hear: (_topic, text) => this.#hear(text) })
  }

  async start({ config, workers, secret }: Order): Promise<At> {
    this.#workers = workers
    const logger = (this.#logger = openLog(config, this.#context, { worker: this.#number }))
    reportCrashes(logger, this.#context)
    const siblings = {
      secret: Buffer.from(secret),
      channel: () => this.#channel(),
      keeper: this.#line.remote<Keeper>(KEEPER_CALLS),
    }
    this.#gateway = await startGateway(this.#shareOf(config), { clock: systemClock, logger, siblings })
    return placeOf(this.#gateway)
  }

  async prepare(config: Config): Promise<void> {
    this.#prepared = { config, runtime: await this.#running.prepare(this.#shareOf(config)) }
  }

  commit(): At {
    const prepared = this.#prepared
    if (prepared === undefined || this.#logger === undefined) throw new PosternError('internal')
    this.#prepared = undefined
    prepared.runtime.commit()
    this.#logger.level = prepared.config.log.level
    return placeOf(this.#running)
  }

  async abandon(): Promise<void> {
    const prepared = this.#prepared
    this.#prepared = undefined
    await prepared?.runtime.abandon()
  }

  health(): ReturnType<WorkerCalls['health']> {
    return this.#running.health()
  }

  metrics(): ReturnType<WorkerCalls['metrics']> {
    return this.#running.metrics()
  }

  diagnose(config: Config): ReturnType<WorkerCalls['diagnose']> {
    return diagnose({ config, runtime: this.#running.runtime, clock: systemClock })
  }

  status(): ReturnType<WorkerCalls['status']> {
    return this.#running.live.status()
  }

  who(since: number): ReturnType<WorkerCalls['who']> {
    return this.#running.live.who(since)
  }

  refusal(id: string): ReturnType<WorkerCalls['refusal']> {
    return this.#running.live.refusal(id)
  }

  blocks(): ReturnType<WorkerCalls['blocks']> {
    return this.#running.live.blocks()
  }

  block(request: BlockRequest): ReturnType<WorkerCalls['block']> {
    return this.#running.live.block(request)
  }

  unblock(kind: Blockable, what: string): ReturnType<WorkerCalls['unblock']> {
    return this.#running.live.unblock(kind, what)
  }

  tail(isWanted: boolean): void {
    this.#endTail()
    const told = (line: object): void => this.#line.say('decision', JSON.stringify(line))
    this.#endTail = isWanted ? this.#running.live.tail(told) : () => undefined
  }

  async stop(drain: Drain): ReturnType<WorkerCalls['stop']> {
    await this.#running.close(drain)
    return this.#running.metrics()
  }

  get #running(): Gateway {
    if (this.#gateway === undefined) throw new PosternError('internal', 'not started yet')
    return this.#gateway
  }

  /** What is for operators is answered for all workers by the process that started them. */
  #shareOf(config: Config): Config {
    const share = shareOf(config, this.#workers)
    return { ...share, listen: { ...share.listen, probes: 'off', admin: 'off' } }
  }

  #hear(text: string): void {
    for (const end of this.#ends) end.message(text)
  }

  /** Whoever carries it hands each message to all, its sender included: nothing is missed from the first moment to the last. */
  #channel(): Channel {
    let own: ChannelListener | undefined
    return {
      listen: (listener) => {
        own = listener
        this.#ends.add(listener)
        queueMicrotask(() => own?.opened())
      },
      publish: async (text) => this.#line.say('replicas', text),
      reopen: () => {
        own?.lost()
        queueMicrotask(() => own?.opened())
      },
      close: () => {
        if (own !== undefined) this.#ends.delete(own)
        own = undefined
      },
    }
  }
}
