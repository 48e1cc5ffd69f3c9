import type { JwksAnswer } from '../assertion/jwks.ts'
import type { Principal } from '../identity/principal.ts'
import type { createIdentify } from '../pipeline/decide.ts'
import { chain } from '../pipeline/maybe.ts'
import type { MaybePromise } from '../pipeline/outcome.ts'
import type { GatewayRequest } from '../request/request.ts'
import type { Answer } from './answer.ts'
import type { Cors } from './cors.ts'
import type { OwnEndpoint, OwnOutcome } from './handler.ts'

const JWKS_PATH = '/.well-known/postern/jwks.json'
/** Never forwarded, whatever stands below it. */
const OWN_PREFIX = '/-/postern'
const ME_PATH = `${OWN_PREFIX}/me`
const READING: readonly string[] = ['GET', 'HEAD']

export interface OwnOptions {
  readonly identify: ReturnType<typeof createIdentify>
  /** Undefined where assertions are off. */
  readonly jwks: (() => JwksAnswer) | undefined
  readonly cors: Cors
}

/** The few paths of the edge that are ours: the public keys, and what the presented credential is. */
export function createOwnEndpoints(options: OwnOptions): OwnEndpoint {
  const { jwks, cors } = options
  return (request) => {
    const { path } = request.target
    const keys = path === JWKS_PATH ? jwks : undefined
    if (path !== ME_PATH && keys === undefined)
      return isReserved(path) ? { kind: 'deny', reason: 'no_route' } : undefined
    const preflight = request.method === 'OPTIONS' ? cors.preflight(request.headers) : undefined
    if (preflight !== undefined)
      return { kind: 'answer', answer: { status: 204, headers: [...preflight], body: '' } }
    if (!READING.includes(request.method))
      return { kind: 'deny', reason: 'method_not_allowed', allow: READING }
    return keys === undefined ? me(options, request) : { kind: 'answer', answer: publish(keys()) }
  }
}

/** The keys are for everybody: pages of any origin too. */
function publish({ body, contentType, cacheControl }: JwksAnswer): Answer {
  const headers = [
    ...['Content-Type', contentType, 'Content-Length', String(Buffer.byteLength(body))],
    ...['Cache-Control', cacheControl, 'Access-Control-Allow-Origin', '*'],
  ]
  return { status: 200, headers, body }
}

/** Ours, at whatever listener: no backend is asked for it. */
export function isReserved(path: string): boolean {
  return path === JWKS_PATH || path === OWN_PREFIX || path.startsWith(`${OWN_PREFIX}/`)
}

/** So that an app can ask why it was refused. */
function me(options: OwnOptions, request: GatewayRequest): MaybePromise<OwnOutcome> {
  return chain(options.identify(request), (authentication): OwnOutcome => {
    switch (authentication.kind) {
      case 'principal':
        return { kind: 'answer', answer: describe(authentication.principal, request, options.cors) }
      case 'deny':
        return authentication
      case 'anonymous':
        return { kind: 'deny', reason: 'no_credential' }
    }
  })
}

function describe(principal: Principal, request: GatewayRequest, cors: Cors): Answer {
  const { owner, grant, mode, expiresAt, tokenId, deviceId } = principal
  const body = JSON.stringify({
    mode,
    user: owner && { id: owner.subject, name: owner.username, role: owner.role },
    // What only the backend knows is null, not empty.
    scopes: grant.kind === 'known' ? grant.scopes.names : null,
    expires_at: expiresAt === undefined ? null : new Date(expiresAt).toISOString(),
    token_id: tokenId,
    device_id: deviceId,
  })
  const headers = [
    ...['Content-Type', 'application/json', 'Content-Length', String(Buffer.byteLength(body))],
    ...['Cache-Control', 'no-store', 'Vary', 'Authorization, Cookie', 'X-Request-Id', request.id],
    ...cors.headersFor(request.headers),
  ]
  return { status: 200, headers, body }
}
