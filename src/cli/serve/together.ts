import { randomBytes } from 'node:crypto'
import { probesPart } from '../../admin/probes.ts'
import type { Health } from '../../admin/probes.ts'
import { adminPart } from '../../admin/server.ts'
import type { Config } from '../../config/schema.ts'
import { PosternError } from '../../errors.ts'
import { warnOfFixed } from '../../gateway/gateway.ts'
import type { GatewayContext } from '../../gateway/gateway.ts'
import { openKeys } from '../../gateway/identity.ts'
import { KeeperInMemory } from '../../gateway/keeper.ts'
import { ownListeners } from '../../gateway/own.ts'
import type { OwnListeners } from '../../gateway/own.ts'
import type { Finding } from '../../profiles/finding.ts'
import { forkWorker } from '../workers/fork.ts'
import { LiveTogether } from '../workers/live.ts'
import { Overview } from '../workers/overview.ts'
import { Pool } from '../workers/pool.ts'
import type { At, Running } from './running.ts'

/**
 * Several processes that serve, and this one, which serves nobody: it starts them and speaks for all.
 * @throws PosternError
 */
export async function startTogether(config: Config, size: number, context: GatewayContext): Promise<Running> {
  const together = new Together(config, size, context)
  try {
    await together.start()
    return together
  } catch (error) {
    await together.close()
    throw error
  }
}

class Together implements Running {
  /** As it was started: what a reload cannot change. */
  readonly #config: Config
  readonly #context: GatewayContext
  readonly #pool: Pool
  /** Probes, metrics and admin: each is answered for all workers. */
  readonly #own: OwnListeners
  readonly #overview: Overview
  readonly #size: number
  /** Nothing else may be left for a moment: every worker gone, none of the others back yet. */
  readonly #hold = setInterval(() => undefined, 60_000)
  #at: At | undefined
  #ownAt: Awaited<ReturnType<OwnListeners['open']>> = { probes: undefined, admin: undefined }
  #isClosing = false
  #isRestarting = false

  constructor(config: Config, size: number, context: GatewayContext) {
    this.#config = config
    this.#context = context
    this.#size = size
    this.#pool = new Pool(config, {
      ...context,
      size,
      fork: (number) => forkWorker(['worker', String(number)]),
      keeper: new KeeperInMemory(context.clock, config.cache.entries),
      secret: randomBytes(32),
      onEnded: (member) => this.#overview.keep(member),
    })
    this.#overview = new Overview(this.#pool)
    const live = new LiveTogether(this.#pool, this.#overview)
    const probing = probesPart(() => this.health(), this.#overview)
    this.#own = ownListeners(config.listen, probing, (name) => adminPart(live, name))
  }

  get broken(): Promise<never> {
    return this.#pool.broken
  }

  async start(): Promise<void> {
    this.#ownAt = await this.#own.open()
    await this.#makeKey(this.#config)
    this.#at = await this.#pool.start()
  }

  at(): ReturnType<Running['at']> {
    if (this.#at === undefined) throw new PosternError('internal', 'used before it was started')
    return { ...this.#at, ...this.#ownAt, workers: this.#size }
  }

  async health(): Promise<Health> {
    if (this.#isClosing) return { status: 'not_ready', troubles: ['shutting down'] }
    return this.#overview.health()
  }

  /** What one of them finds, all would find. */
  async diagnose(config: Config): Promise<readonly Finding[]> {
    const [, first] = this.#pool.serving.find(([, member]) => member !== undefined) ?? []
    return (await first?.calls.diagnose(config)) ?? []
  }

  async reload(config: Config): Promise<void> {
    await this.#makeKey(config)
    this.#at = await this.#pool.reload(config)
    warnOfFixed(this.#config, config, this.#context.logger)
  }

  async restart(): Promise<void> {
    const { logger } = this.#context
    if (this.#isRestarting) return logger.warn('the workers are being replaced already')
    this.#isRestarting = true
    try {
      await this.#pool.restart()
      logger.info({ workers: this.#size }, 'every worker was replaced')
    } finally {
      this.#isRestarting = false
    }
  }

  async close(): Promise<void> {
    this.#isClosing = true
    await this.#pool.close()
    await this.#own.close()
    clearInterval(this.#hold)
  }

  /** Workers that find none at the same moment would each make one. */
  async #makeKey(config: Config): Promise<void> {
    if (config.assertion.enabled) await openKeys(config, this.#context.clock)
  }
}
