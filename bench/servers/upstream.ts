/** Postern's forwarder with nothing in front of it: every request gets a permit unchecked. */
import { issuePermit } from '../../src/pipeline/permit.ts'
import type { RouteRule } from '../../src/pipeline/rule.ts'
import { parseTarget } from '../../src/request/target.ts'
import { createUpstream } from '../../src/upstream/upstream.ts'
import { serve, upstreamUrl } from './serve.ts'

const rule: RouteRule = {
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
const client = { address: '::1', peer: '::1', scheme: 'http', host: 'bench', forwardedFor: '::1' } as const

const upstream = createUpstream({
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

serve((req, res) => {
  const method = req.method ?? 'GET'
  const parsed = parseTarget(req.url ?? '/', method, 'bench')
  if (!parsed.ok) return void res.writeHead(400).end()
  const headers = req.rawHeaders
  const permit = issuePermit({
    requestId: 'bench',
    method,
    target: parsed.target,
    headers,
    rule,
    principal: undefined,
    credential: undefined,
    client,
    upgrade: false,
  })
  upstream.forward(permit, req, res, (report) => {
    if (report.kind === 'failed') res.writeHead(502).end()
  })
})
