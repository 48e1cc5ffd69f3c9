/** The gateway's own edge and forwarder, hygiene and `X-Forwarded-*` included, with nothing checked, counted or logged. */
import { randomUUID } from 'node:crypto'
import { noCors } from '../../src/edge/cors.ts'
import { EdgeHandler } from '../../src/edge/handler.ts'
import { EdgeServer } from '../../src/edge/server.ts'
import { systemClock } from '../../src/identity/clock.ts'
import { createLogger, DecisionLog } from '../../src/observe/log.ts'
import { createMetrics } from '../../src/observe/metrics.ts'
import { issuePermit } from '../../src/pipeline/permit.ts'
import { AddressSet, createClientResolver } from '../../src/request/client.ts'
import { createHygiene } from '../../src/request/headers.ts'
import { ANY, openForwarder } from './forwarding.ts'

const hygiene = createHygiene([])
const metrics = { ...createMetrics(() => ({}) as never), permitted: () => undefined }
const handler = new EdgeHandler({
  decide: (request) => ({
    kind: 'permit',
    permit: issuePermit({
      requestId: request.id,
      method: request.method,
      target: request.target,
      headers: hygiene.outgoing(request.headers, request.client, request.id),
      rule: ANY,
      principal: undefined,
      credential: undefined,
      client: request.client,
      upgrade: false,
    }),
  }),
  observing: false,
  router: { match: () => ({ kind: 'none' }) },
  upstream: openForwarder(),
  clients: createClientResolver(new AddressSet([]), () => undefined),
  style: {} as never,
  cors: noCors,
  own: () => undefined,
  log: new DecisionLog(createLogger('silent', { write: () => undefined }), 'off'),
  metrics,
  clock: systemClock,
  newId: randomUUID,
  maxHeaders: 100,
  onAnswer: () => undefined,
})
const limits = { headerBytes: 16_384, headersTimeout: 10_000, keepAliveTimeout: 90_000, idleTimeout: 300_000 }
const server = new EdgeServer(
  { ...limits, connections: 10_000, connectionsPerAddress: 10_000 },
  () => handler,
  metrics,
)
const address = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, 'listen.edge')
console.log(address.slice(address.lastIndexOf(':') + 1))
