import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Algorithm } from '../../src/assertion/algorithm.ts'
import { type AsserterOptions, createAsserter } from '../../src/assertion/asserter.ts'
import { createJwks } from '../../src/assertion/jwks.ts'
import { type KeyRing, type KeyRingOptions, openKeyRing } from '../../src/assertion/keys.ts'
import type { Principal } from '../../src/identity/principal.ts'
import { ScopeSet } from '../../src/identity/scope.ts'
import type { Asserter } from '../../src/pipeline/decision.ts'
import type { GatewayRequest } from '../../src/request/request.ts'
import { parseTarget } from '../../src/request/target.ts'
import { type VirtualClock, virtualClock } from '../support/clock.ts'

export const SECOND = 1_000
export const MINUTE = 60 * SECOND
export const TIMING = { publishFor: 10 * MINUTE, lifetime: MINUTE }

/** A folder that does not exist yet. */
export function newFolder(t: Test): string {
  return join(t.testdir(), 'keys')
}

export function openRing(options: Partial<KeyRingOptions> & { folder: string }): Promise<KeyRing> {
  return openKeyRing({
    algorithm: 'EdDSA',
    clock: virtualClock(),
    generateWhenEmpty: true,
    ...TIMING,
    ...options,
  })
}

export function asserterOf(
  options: Pick<AsserterOptions, 'ring' | 'clock'> & Partial<AsserterOptions>,
): Asserter {
  let ids = 0
  return createAsserter({
    header: 'X-Postern-Assertion',
    issuer: 'https://postern.example',
    audience: 'romm',
    lifetime: TIMING.lifetime,
    bindRequest: false,
    randomId: () => `id-${++ids}`,
    ...options,
  })
}

export interface Bench {
  readonly clock: VirtualClock
  readonly ring: KeyRing
  readonly asserter: Asserter
}

export async function bench(
  t: Test,
  { algorithm = 'EdDSA', ...options }: Partial<AsserterOptions> & { algorithm?: Algorithm } = {},
): Promise<Bench> {
  const clock = virtualClock()
  const ring = await openRing({ folder: newFolder(t), clock, algorithm })
  return { clock, ring, asserter: asserterOf({ ring, clock, ...options }) }
}

export function principalOf(changes: Partial<Principal> = {}): Principal {
  const principal: Principal = {
    mode: 'token',
    owner: { subject: '7', username: 'ada', role: 'editor' },
    grant: { kind: 'known', scopes: ScopeSet.of(['roms.read', 'me.read']) },
    expiresAt: undefined,
    tokenId: undefined,
    deviceId: undefined,
    ...changes,
  }
  return Object.freeze(principal)
}

export function requestFor(raw = '/api/roms?limit=1', method = 'GET'): GatewayRequest {
  const parsed = parseTarget(raw, method, 'games.example')
  if (!parsed.ok) throw new Error(parsed.fault)
  const client = {
    address: '192.0.2.1',
    peer: '127.0.0.1',
    scheme: 'https',
    host: 'games.example',
    forwardedFor: '192.0.2.1',
  } as const
  return { id: 'r1', method, target: parsed.target, headers: [], client, upgrade: false }
}

/** Serves the ring's JWKS on loopback until the test ends. */
export async function serveJwks(t: Test, ring: Pick<KeyRing, 'published'>): Promise<URL> {
  const answer = createJwks(ring, TIMING.publishFor)
  const server = createServer((_request, response) => {
    const { body, contentType, cacheControl } = answer()
    response.writeHead(200, { 'content-type': contentType, 'cache-control': cacheControl }).end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo // a TCP server's address is never a string
  return new URL(`http://127.0.0.1:${port}/.well-known/postern/jwks.json`)
}
