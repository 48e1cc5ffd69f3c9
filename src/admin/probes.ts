import type { Metrics } from '../observe/metrics.ts'
import type { Part } from './server.ts'
import type { MaybePromise } from '../pipeline/outcome.ts'

/** How it stands with this instance. `degraded` works, with less than it should have. */
export interface Health {
  readonly status: 'ok' | 'degraded' | 'not_ready'
  /** One sentence each. */
  readonly troubles: readonly string[]
}

/**
 * Liveness, readiness and metrics. Not ready is only what another replica may not share: taking every replica out of
 * service for the backend's trouble would help nobody.
 */
export function probesPart(health: () => MaybePromise<Health>, metrics: Pick<Metrics, 'render'>): Part {
  return (app, _options, done) => {
    app.get('/livez', () => ({ status: 'ok' }))
    app.get('/readyz', async (_request, reply) => {
      const current = await health()
      return reply.code(current.status === 'not_ready' ? 503 : 200).send(current)
    })
    app.get('/metrics', async (_request, reply) => {
      const { contentType, body } = await metrics.render()
      return reply.header('Content-Type', contentType).send(body)
    })
    done()
  }
}
