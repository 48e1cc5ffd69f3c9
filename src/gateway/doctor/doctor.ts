import { randomBytes } from 'node:crypto'
import type { Status } from '../../admin/live.ts'
import type { Config } from '../../config/schema.ts'
import type { Clock } from '../../identity/clock.ts'
import { examine } from '../../profiles/finding.ts'
import type { Check, Finding } from '../../profiles/finding.ts'
import type { Diagnosing } from '../../profiles/profile.ts'
import type { Runtime } from '../runtime.ts'
import { keys } from './keys.ts'
import { proxies } from './proxies.ts'
import { reachChecks } from './reach.ts'
import type { Addresses } from './reach.ts'
import { sharedRedis } from './redis.ts'
import { running } from './running.ts'
import { upstreamChecks } from './upstream.ts'

export interface DoctorOptions {
  /** As it was given; the runtime's own may be one for looking only. */
  readonly config: Config
  readonly runtime: Pick<Runtime, 'profile' | 'router' | 'upstream'>
  readonly clock: Clock
  /** Given for a person who asks; at a start it is only looked at what costs next to nothing. */
  readonly thorough?: {
    readonly addresses: Addresses
    /** Of the gateway that is at work; undefined where none answers. */
    readonly status: () => Promise<Status | undefined>
  }
}

/** Looks whether all is well: the backend, what was given of it, and what stands around us. Throws nothing. */
export async function diagnose(options: DoctorOptions): Promise<Finding[]> {
  const { config, runtime, clock, thorough } = options
  const { router, profile, upstream } = runtime
  const how: Diagnosing = {
    thorough: thorough !== undefined,
    requires: async (method, path) => {
      const match = await router.match(method, path)
      return match.kind === 'rule' ? match.rule.requirement : undefined
    },
    nonce: randomBytes(4).toString('hex'),
  }
  const around: Check[] = [
    { id: 'keys', look: () => keys(config) },
    { id: 'proxies', look: () => proxies(config) },
    { id: 'redis', look: () => sharedRedis(config) },
  ]
  const asked: Check[] =
    thorough === undefined
      ? []
      : [
          ...reachChecks(config, thorough.addresses),
          { id: 'running', look: async () => running(await thorough.status()) },
        ]
  const [general, special, outside] = await Promise.all([
    examine([...upstreamChecks({ config, upstream, clock, routes: router.state }), ...around]),
    profile.diagnose?.(how) ?? [],
    examine(asked),
  ])
  return [...general, ...special, ...outside]
}
