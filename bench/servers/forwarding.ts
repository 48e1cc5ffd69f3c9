import type { RouteRule } from '../../src/pipeline/rule.ts'
import { createUpstream } from '../../src/upstream/upstream.ts'
import type { Upstream } from '../../src/upstream/upstream.ts'
import { upstreamUrl } from './serve.ts'

/** The rule of everything, where nothing is checked. */
export const ANY: RouteRule = {
  template: '/**',
  methods: '*',
  requirement: { kind: 'public' },
  origin: 'operator',
  conceal: false,
  socket: false,
  input: [],
  backendChecksScopes: false,
  hint: undefined,
}

/** The gateway's forwarder, with its default limits and out of reach ones for clients. */
export function openForwarder(): Upstream {
  return createUpstream({
    url: upstreamUrl(),
    connectTimeout: 10_000,
    headersTimeout: 300_000,
    bodyTimeout: 300_000,
    keepAliveTimeout: 4000,
    handshakeTimeout: 10_000,
    maxHeaderSize: 65_536,
    connections: 256,
    connectionsPerClient: 256,
    queue: 1024,
    queuePerClient: 1024,
    queueTimeout: 10_000,
    sockets: { max: 1024, perClient: 1024 },
    onExcess: (excess) => console.error(excess),
    onFailure: (_reason, cause) => console.error(cause),
  })
}
