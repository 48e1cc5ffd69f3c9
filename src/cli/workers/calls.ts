import type { Live } from '../../admin/live.ts'
import type { Health } from '../../admin/probes.ts'
import type { Config } from '../../config/schema.ts'
import type { Drain } from '../../gateway/gateway.ts'
import type { Keeper } from '../../gateway/siblings.ts'
import type { MetricValues } from '../../observe/metrics.ts'
import type { Finding } from '../../profiles/finding.ts'
import type { At } from '../serve/running.ts'

/** What a worker needs to know; it reads no configuration of its own, or one that crashed would be back with another. */
export interface Order {
  readonly config: Config
  /** How many share its bounds. */
  readonly workers: number
  /** @see Siblings.secret */
  readonly secret: Uint8Array
}

/** What the process that started the workers asks of each. */
export interface WorkerCalls extends Omit<Live, 'tail'> {
  start(order: Order): Promise<At>
  prepare(config: Config): Promise<void>
  commit(): At
  abandon(): Promise<void>
  health(): Health
  metrics(): Promise<MetricValues>
  /** @param config as it was given, before it was shared out */
  diagnose(config: Config): Promise<readonly Finding[]>
  /** @param isWanted whether it is to say each decision from now on */
  tail(isWanted: boolean): void
  /** @returns its last figures */
  stop(drain: Drain): Promise<MetricValues>
}

export const WORKER_CALLS = [
  'start',
  'prepare',
  'commit',
  'abandon',
  'health',
  'metrics',
  'diagnose',
  'status',
  'who',
  'refusal',
  'blocks',
  'block',
  'unblock',
  'tail',
  'stop',
] as const satisfies readonly (keyof WorkerCalls)[]

export const KEEPER_CALLS = [
  'getTie',
  'claimTie',
  'putTie',
  'loadMarks',
  'keepMarks',
  'dropMarks',
  'penalty',
  'reward',
  'getCount',
  'setCount',
] as const satisfies readonly (keyof Keeper)[]
