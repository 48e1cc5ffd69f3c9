import type { Health } from '../../admin/probes.ts'
import { createWorkerMetrics, together, totalsOf } from '../../observe/metrics.ts'
import type { MetricValues, Rendered } from '../../observe/metrics.ts'
import type { Member } from './member.ts'
import type { Pool } from './pool.ts'

/** All workers as one, for those who look after them. */
export class Overview {
  readonly #pool: Pool
  readonly #own: ReturnType<typeof createWorkerMetrics>
  /**
   * Totals of those that have ended: a sum that fell would be taken for one that began anew, and counted twice.
   */
  #past: Promise<MetricValues> = Promise.resolve([])

  constructor(pool: Pool) {
    this.#pool = pool
    this.#own = createWorkerMetrics(() => ({
      serving: pool.serving.filter(([, member]) => member !== undefined).length,
      deaths: pool.deaths,
    }))
  }

  async health(): Promise<Health> {
    const all = this.#pool.serving.map(async ([number, member]) => ({
      number,
      ...((await member?.health()) ?? MISSING),
    }))
    return healthTogether(await Promise.all(all))
  }

  async render(): Promise<Rendered> {
    const alive = this.#pool.alive.map((member) => member.metrics())
    return together(await Promise.all([this.#past, this.#own.values(), ...alive])).render()
  }

  /** Takes over what one that has ended counted. */
  keep({ figures }: Member): void {
    this.#past = this.#past.then((past) => together([past, totalsOf(figures)]).values())
  }
}

const MISSING: Health = { status: 'not_ready', troubles: ['does not run'] }

/** What not all of them say is said with who says it. */
function healthTogether(all: readonly ({ readonly number: number } & Health)[]): Health {
  const sentences = new Set(all.flatMap(({ troubles }) => troubles))
  const troubles = [...sentences].map((sentence) => {
    const who = all.filter((one) => one.troubles.includes(sentence)).map(({ number }) => number)
    return who.length === all.length ? sentence : `worker ${who.join(', ')}: ${sentence}`
  })
  if (all.every(({ status }) => status === 'not_ready')) return { status: 'not_ready', troubles }
  return { status: all.every(({ status }) => status === 'ok') ? 'ok' : 'degraded', troubles }
}
