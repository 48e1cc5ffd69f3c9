/** Postern's forwarder with nothing in front of it, not even header hygiene: every request gets a permit. */
import { issuePermit } from '../../src/pipeline/permit.ts'
import { parseTarget } from '../../src/request/target.ts'
import { ANY, openForwarder } from './forwarding.ts'
import { serve } from './serve.ts'

const client = { address: '::1', peer: '::1', scheme: 'http', host: 'bench', forwardedFor: '::1' } as const
const upstream = openForwarder()

serve((req, res) => {
  const method = req.method ?? 'GET'
  const parsed = parseTarget(req.url ?? '/', method, 'bench')
  if (!parsed.ok) return void res.writeHead(400).end()
  const permit = issuePermit({
    requestId: 'bench',
    method,
    target: parsed.target,
    headers: req.rawHeaders,
    rule: ANY,
    principal: undefined,
    credential: undefined,
    client,
    upgrade: false,
  })
  upstream.forward(permit, req, res, (report) => {
    if (report.kind === 'failed') res.writeHead(502).end()
  })
})
