import { randomUUID } from 'node:crypto'
import { PLAIN_HEADERS } from '../assertion/plain.ts'
import type { Config } from '../config/schema.ts'
import type { Cors } from '../edge/cors.ts'
import { dialects } from '../edge/decision/dialect.ts'
import { DecisionHandler } from '../edge/decision/handler.ts'
import type { Clock } from '../identity/clock.ts'
import type { DecisionLog, Logger } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import { createDecide, createIdentify } from '../pipeline/decide.ts'
import type { DecideOptions } from '../pipeline/decide.ts'
import type { Observe } from '../pipeline/observe.ts'
import type { AnswerStyle } from '../profiles/profile.ts'
import type { Changes } from './changes.ts'
import { createCallers } from './clients.ts'

export interface DecisionParts {
  readonly config: Config
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  readonly log: DecisionLog
  readonly decide: DecideOptions
  readonly observe: Observe | undefined
  readonly style: AnswerStyle
  readonly cors: Cors
  readonly changes: Changes
}

/** The decision API of one configuration, whether or not anything listens for it. */
export async function createDecisions(
  parts: DecisionParts,
): Promise<{ readonly handler: DecisionHandler; readonly stop: () => void }> {
  const { config, clock, logger, changes } = parts
  // Which of two credentials a backend would take is for somebody to say who can remove the other.
  const decide = { ...parts.decide, identity: { ...parts.decide.identity, conflict: 'reject' as const } }
  const { callers, clients, stop } = await createCallers(config, clock, logger)
  const handler = new DecisionHandler({
    ...parts,
    decide: createDecide(decide),
    identify: createIdentify(decide),
    dialect: dialects[config.decision.dialect ?? 'caddy'],
    isCaller: (remoteAddress) => callers.trusts(remoteAddress),
    clients,
    identityHeaders: [
      ...(config.assertion.enabled ? [config.assertion.header] : []),
      ...(config.assertion.plainHeaders ? Object.values(PLAIN_HEADERS) : []),
    ],
    onPermit(permit) {
      changes.expect(permit)
      // What the backend made of a guess is not seen here either.
      void permit.attempt?.ended('lost')
    },
    newId: randomUUID,
    maxHeaders: config.limits.headers,
  })
  return { handler, stop }
}
