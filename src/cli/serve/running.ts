import type { Health } from '../../admin/probes.ts'
import type { Config } from '../../config/schema.ts'
import type { Gateway } from '../../gateway/gateway.ts'
import type { Finding } from '../../profiles/finding.ts'
import type { MaybePromise } from '../../pipeline/outcome.ts'

/** Where a gateway listens, and what it goes by. */
export interface At {
  readonly edge: string
  /** Of the decision API. */
  readonly decision: string | undefined
  /** Rows of the route table. */
  readonly routes: number
  /** By kind of credential. */
  readonly checks: Readonly<Record<string, string>>
}

/** What `serve` runs: one process, or several. */
export interface Running {
  at(): At & {
    readonly probes: string | undefined
    readonly admin: string | undefined
    readonly workers?: number
  }
  health(): MaybePromise<Health>
  /** What the doctor finds. */
  diagnose(config: Config): Promise<readonly Finding[]>
  /** @throws PosternError when it cannot be started: the one before stays */
  reload(config: Config): Promise<void>
  /** One process after the other; resolves when all are new, or one could not be. */
  restart(): Promise<void>
  /** Rejects when nothing is left that serves, and nothing will be. */
  readonly broken: Promise<never>
  close(): Promise<void>
}

export function placeOf({ edge, decision, runtime }: Gateway): At {
  const checks = Object.fromEntries(runtime.profile.ladder.map(({ mode, checkedBy }) => [mode, checkedBy]))
  return { edge, decision, routes: runtime.router.state.rows, checks }
}
