import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { createAsserter } from '../src/assertion/asserter.ts'
import { systemClock } from '../src/identity/clock.ts'
import type { Asserter } from '../src/pipeline/decision.ts'
import type { GatewayRequest } from '../src/request/request.ts'
import { parseTarget } from '../src/request/target.ts'

/** With the default settings, and a key that is kept nowhere. */
export function createBenchAsserter(): Asserter {
  const { privateKey } = generateKeyPairSync('ed25519')
  const key = { kid: '20260101T000000000Z-0123456789abcdef', algorithm: 'EdDSA', createdAt: 0 } as const
  return createAsserter({
    ring: { signing: () => ({ ...key, privateKey, publicJwk: {} }) },
    header: 'X-Postern-Assertion',
    issuer: 'postern',
    audience: 'romm',
    lifetime: 60_000,
    bindRequest: false,
    clock: systemClock,
    randomId: randomUUID,
  })
}

export function benchRequest(): GatewayRequest {
  const parsed = parseTarget('/api/roms/1', 'GET', 'bench')
  if (!parsed.ok) throw new Error('the target is none')
  const client = { address: '::1', peer: '::1', scheme: 'http', host: 'bench', forwardedFor: '::1' } as const
  return { id: 'bench', method: 'GET', target: parsed.target, headers: [], client, upgrade: false }
}
