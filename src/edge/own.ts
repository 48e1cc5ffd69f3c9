import { createServer } from 'node:http'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import fastify from 'fastify'
import type { JwksAnswer } from '../assertion/jwks.ts'
import { asPosternError } from '../errors.ts'
import type { Principal } from '../identity/principal.ts'
import type { Authentication } from '../pipeline/authenticate.ts'
import type { Denial } from '../pipeline/decision.ts'
import { attempt, chain } from '../pipeline/maybe.ts'
import type { MaybePromise } from '../pipeline/outcome.ts'
import type { AnswerStyle } from '../profiles/profile.ts'
import type { GatewayRequest } from '../request/request.ts'
import { renderDenial, sendAnswer } from './answer.ts'
import type { Cors } from './cors.ts'
import type { OwnEndpoint } from './handler.ts'

const JWKS_PATH = '/.well-known/postern/jwks.json'
/** Never forwarded, whatever stands below it. */
const OWN_PREFIX = '/-/postern'
const ME_PATH = `${OWN_PREFIX}/me`
const READING: readonly string[] = ['GET', 'HEAD']

export interface OwnOptions {
  readonly identify: (request: GatewayRequest) => MaybePromise<Authentication | undefined>
  /** Undefined where assertions are off. */
  readonly jwks: (() => JwksAnswer) | undefined
  readonly style: AnswerStyle
  readonly cors: Cors
}

/** The few paths of the edge that are ours: the public keys, and what the presented credential is. */
export async function createOwnEndpoints(options: OwnOptions): Promise<OwnEndpoint> {
  const handler = Promise.withResolvers<RequestListener>()
  const app = fastify({
    // Requests come through the edge's own listener; this server is never opened.
    serverFactory: (listener) => {
      handler.resolve(listener)
      return createServer()
    },
  })
  app.get(JWKS_PATH, (_request, reply) => {
    if (options.jwks === undefined) return reply.callNotFound()
    const { body, contentType, cacheControl } = options.jwks()
    return reply
      .header('Content-Type', contentType)
      .header('Cache-Control', cacheControl)
      .header('Access-Control-Allow-Origin', '*')
      .send(body)
  })
  await app.ready()
  const serve = await handler.promise

  return (request, req, res) => {
    const { path } = request.target
    const isOurs = path === ME_PATH || (path === JWKS_PATH && options.jwks !== undefined)
    const preflight =
      isOurs && request.method === 'OPTIONS' ? options.cors.preflight(request.headers) : undefined
    if (preflight !== undefined) {
      sendAnswer({ status: 204, headers: preflight, body: '' }, req, res)
    } else if (isOurs && !READING.includes(request.method)) {
      refuse(options, request, { kind: 'deny', reason: 'method_not_allowed', allow: READING }, req, res)
    } else if (path === ME_PATH) {
      void answerMe(options, request, req, res)
    } else if (isOurs) {
      req.url = path
      serve(req, res)
    } else if (path === JWKS_PATH || path === OWN_PREFIX || path.startsWith(`${OWN_PREFIX}/`)) {
      refuse(options, request, { kind: 'deny', reason: 'no_route' }, req, res)
    } else {
      return false
    }
    return true
  }
}

/** So that an app can ask why it was refused. */
function answerMe(
  options: OwnOptions,
  request: GatewayRequest,
  req: IncomingMessage,
  res: ServerResponse,
): MaybePromise<void> {
  const found = attempt<Authentication | undefined | Denial>(
    () => options.identify(request),
    (error) => ({ kind: 'deny', reason: 'could_not_check', cause: asPosternError(error) }),
  )
  return chain(found, (authentication) => {
    switch (authentication?.kind) {
      case 'principal':
        return describe(options, authentication.principal, request, req, res)
      case 'deny':
        return refuse(options, request, authentication, req, res)
      case 'rejected':
        return refuse(
          options,
          request,
          { ...authentication, kind: 'deny', reason: 'invalid_credential' },
          req,
          res,
        )
      case 'anonymous':
        return refuse(options, request, { kind: 'deny', reason: 'no_credential' }, req, res)
      case undefined:
        return refuse(options, request, { kind: 'deny', reason: 'several_credentials' }, req, res)
    }
  })
}

function describe(
  options: OwnOptions,
  principal: Principal,
  request: GatewayRequest,
  req: IncomingMessage,
  res: ServerResponse,
): void {
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
    ...options.cors.headersFor(request.headers),
  ]
  sendAnswer({ status: 200, headers, body }, req, res)
}

function refuse(
  options: OwnOptions,
  request: GatewayRequest,
  denial: Denial,
  req: IncomingMessage,
  res: ServerResponse,
): void {
  sendAnswer(
    renderDenial(denial, request.id, options.style, options.cors.headersFor(request.headers)),
    req,
    res,
  )
}
