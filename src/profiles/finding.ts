import { asPosternError } from '../errors.ts'
import type { MaybePromise } from '../pipeline/outcome.ts'

/** How much a finding matters, the least first. */
export const LEVELS = ['ok', 'notice', 'warning', 'error'] as const
export type Level = (typeof LEVELS)[number]

/** Where the lines of a fix belong; `backend`: among its environment variables. */
export type Place = 'configuration' | 'backend' | 'sql' | 'redis' | 'shell' | 'proxy' | 'compose'

/** What to write, or to run. */
export interface Fix {
  readonly in: Place
  readonly lines: readonly string[]
}

/** What somebody found who looked whether all is well. */
export interface Observation {
  readonly level: Level
  /** One sentence. */
  readonly what: string
  /** Each of them helps; there may be none. */
  readonly fixes: readonly Fix[]
}

export interface Finding extends Observation {
  /** Of the check; scripts go by it. */
  readonly id: string
}

export interface Check {
  readonly id: string
  look(): MaybePromise<readonly Observation[]>
}

/** All at once, in their order. A check that fails is a finding too. */
export async function examine(checks: readonly Check[]): Promise<Finding[]> {
  const found = await Promise.all(checks.map(async (check) => label(check.id, await observations(check))))
  return found.flat()
}

async function observations(check: Check): Promise<readonly Observation[]> {
  try {
    return await check.look()
  } catch (error) {
    return [warning(`could not be looked at: ${asPosternError(error).message}`)]
  }
}

function label(id: string, seen: readonly Observation[]): Finding[] {
  return seen.map((observation) => ({ id, ...observation }))
}

export const ok = observing('ok')
export const notice = observing('notice')
export const warning = observing('warning')
export const error = observing('error')

function observing(level: Level): (what: string, ...fixes: readonly Fix[]) => Observation {
  return (what, ...fixes) => ({ level, what, fixes })
}

/** A fix, line by line. */
export function fixIn(place: Place, ...lines: readonly string[]): Fix {
  return { in: place, lines }
}
