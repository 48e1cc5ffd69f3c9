import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { authenticate, type Authentication, type Caller } from './auth.ts'
import { CsrfTokens, exemptByAuthorization, needsCsrf } from './csrf.ts'
import type { OpenApi, SessionData } from './facts.ts'
import { HANDLERS, refusal } from './handlers.ts'
import { parseCookies, unquote } from './python.ts'
import { detail, file, html, json, type Reply, text } from './reply.ts'
import { matchRoute, problemsOf, type Route } from './routes.ts'

export interface BackendOptions extends Authentication {
  readonly table: readonly Route[]
  readonly document: OpenApi
  readonly csrf: boolean
  readonly version: string
  /** What an anonymous visitor is told on a protected route. */
  readonly anonymousStatus: 401 | 403
  readonly setupWizard: boolean | undefined
}

/** Reads the rest of the body; the caller counts it. */
export type ReadBody = () => Promise<Buffer>

const SESSION_SECONDS = 1_209_600
const NOTHING = Buffer.alloc(0)

/** The Python half of RomM: middlewares in their order, then the router. */
export class Backend {
  readonly #options: BackendOptions
  readonly #csrf: CsrfTokens

  constructor(options: BackendOptions) {
    this.#options = options
    this.#csrf = new CsrfTokens(options.secret)
  }

  /**
   * Whose session a socket came with. RomM fact: `Authorization` names nobody there, but a bad JWT in it
   * fails the handshake, and the session is read without being renewed.
   * @throws Crash where the handshake is answered with 500
   */
  async identifySocket(request: IncomingMessage): Promise<Caller | undefined> {
    const { session } = this.#openSession(parseCookies(request.headers.cookie))
    const caller = await authenticate(this.#options, session, request.headers.authorization)
    return caller?.bySession === true ? caller : undefined
  }

  /** @throws Crash, or whatever else RomM answers with its bare 500 */
  async answer(request: IncomingMessage, path: string, query: string, readBody: ReadBody): Promise<Reply> {
    const cookies = parseCookies(request.headers.cookie)
    const opened = this.#openSession(cookies)
    const { session } = opened
    const caller = await authenticate(this.#options, session, request.headers.authorization)
    const csrf = this.#checkCsrf(request, path, cookies, caller?.user.id ?? null)
    const routed = { request, path: unquote(path), query, caller, session }
    const reply = csrf.refused
      ? text(403, 'CSRF token verification failed')
      : withCors(request, preflight(request) ?? (await this.#route(routed, readBody)))
    const setCookies = [...csrf.setCookies, ...this.#writeBack(opened)]
    return {
      ...reply,
      headers: [...(reply.headers ?? []), ...setCookies.map((value) => ['set-cookie', value] as const)],
    }
  }

  #openSession(cookies: ReadonlyMap<string, string>): OpenSession {
    const presented = cookies.get('romm_session')
    const stored = presented === undefined ? undefined : this.#options.state.sessions.get(presented)
    const id = presented === undefined || stored === undefined ? randomUUID() : presented
    return { id, presented, session: { ...stored } }
  }

  /**
   * RomM fact: a session that holds anything is stored again with every answer, for 14 days more (even one that
   * was deleted meanwhile); the cookie of any other is cleared.
   */
  #writeBack({ id, presented, session }: OpenSession): string[] {
    const { sessions } = this.#options.state
    if (Object.keys(session).length > 0) {
      sessions.set(id, session)
      return [`romm_session=${id}; path=/; Max-Age=${SESSION_SECONDS}; httponly; samesite=strict`]
    }
    if (presented === undefined) return []
    sessions.delete(presented)
    return ['romm_session=null; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; httponly; samesite=strict']
  }

  #checkCsrf(
    request: IncomingMessage,
    path: string,
    cookies: ReadonlyMap<string, string>,
    userId: number | null,
  ): { readonly refused: boolean; readonly setCookies: readonly string[] } {
    const passed = { refused: false, setCookies: [] }
    if (!this.#options.csrf || exemptByAuthorization(request.headers.authorization)) return passed
    const held = this.#csrf.read(cookies.get('romm_csrftoken'))
    const valid = held?.user_id === userId
    const sent = this.#csrf.read(request.headers['x-csrftoken']?.toString())
    const proven = valid && sent?.token === held.token && sent.user_id === userId
    if (needsCsrf(request.method ?? '', unquote(path)) && !proven) return { refused: true, setCookies: [] }
    return valid
      ? passed
      : { refused: false, setCookies: [`romm_csrftoken=${this.#csrf.issue(userId)}; Path=/; SameSite=lax`] }
  }

  async #route(routed: Routed, readBody: ReadBody): Promise<Reply> {
    const { request, path } = routed
    const match = matchRoute(this.#options.table, request.method ?? '', path)
    switch (match.kind) {
      case 'route':
        return this.#run(match.route, { ...routed, params: match.params }, readBody)
      case 'method':
        return json(405, { detail: 'Method Not Allowed' }, [['allow', match.allow]])
      case 'redirect':
        return { status: 307, headers: [['location', `http://${request.headers.host ?? ''}${match.path}`]] }
      case 'none':
        return this.#undocumented(routed, readBody)
    }
  }

  /** Input before scopes before the handler, which is RomM's order. */
  async #run(route: Route, matched: Matched, readBody: ReadBody): Promise<Reply> {
    const { request, caller, session, params, query } = matched
    const early = route.bodyFirst ? await readBody() : NOTHING
    const problems = problemsOf(route, { params, query, headers: request.headers, body: early })
    if (problems.length > 0) return json(422, { detail: problems })
    const refused = this.#checkScopes(route, caller) ?? refusal(route.name, this.#options.state, caller)
    if (refused !== undefined) return refused
    const body = route.bodyFirst ? early : await readBody()
    const handler = HANDLERS.get(route.name)
    const { state, secret, version, setupWizard, now } = this.#options
    if (handler !== undefined) {
      return handler({
        request,
        params,
        body,
        caller,
        session,
        state,
        secret,
        version,
        setupWizard,
        now: now(),
      })
    }
    if (route.download && request.method !== 'POST')
      return file(request.headers, params['file_name'] ?? 'file')
    return echo(request, caller, params)
  }

  #checkScopes(route: Route, caller: Caller | undefined): Reply | undefined {
    const granted = route.scopes.every((scope) => caller?.scopes.includes(scope) === true)
    if (granted) return undefined
    return caller === undefined && this.#options.anonymousStatus === 401
      ? json(401, { detail: 'Not authenticated' }, [['www-authenticate', 'Bearer']])
      : detail(403, 'Forbidden')
  }

  async #undocumented({ request, path }: Routed, readBody: ReadBody): Promise<Reply> {
    const reading = request.method === 'GET' || request.method === 'HEAD'
    if (path === '/openapi.json' && reading) return json(200, this.#options.document)
    if (/^\/api\/(?:docs|redoc)$/.test(path) && reading)
      return html(200, '<!doctype html><title>RomM API</title>')
    if (!/^\/(?:ws|netplay)\/socket\.io\/?$/.test(path)) return detail(404, 'Not Found')
    await readBody()
    return text(200, reading ? `0${JSON.stringify({ sid: randomUUID(), ...ENGINE })}` : 'ok')
  }
}

/** RomM fact: what engine.io announces when it opens a session. */
const ENGINE = { upgrades: ['websocket'], pingInterval: 25_000, pingTimeout: 60_000, maxPayload: 1_000_000 }

interface OpenSession {
  /** Of the session when it is stored: the one presented, or a new one. */
  readonly id: string
  /** The cookie's value, live or not. */
  readonly presented: string | undefined
  readonly session: SessionData
}

interface Routed {
  readonly request: IncomingMessage
  /** Decoded once. */
  readonly path: string
  readonly query: string
  readonly caller: Caller | undefined
  readonly session: SessionData
}

interface Matched extends Routed {
  readonly params: Readonly<Record<string, string>>
}

/** What a route does of which the stand-in knows no more than its scopes. */
function echo(request: IncomingMessage, caller: Caller | undefined, params: object): Reply {
  return json(200, {
    method: request.method,
    url: request.url,
    headers: request.headers,
    user: caller?.user.username ?? null,
    scopes: caller?.scopes ?? [],
    params,
  })
}

/** RomM fact: a preflight passes without authentication, on any path. */
function preflight({ method, headers }: IncomingMessage): Reply | undefined {
  if (method !== 'OPTIONS' || headers.origin === undefined) return undefined
  if (headers['access-control-request-method'] === undefined) return undefined
  const { status, headers: plain = [], body = '' } = text(200, 'OK')
  return {
    status,
    body,
    headers: [
      ...plain,
      ['access-control-allow-methods', 'DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT'],
      ['access-control-allow-headers', headers['access-control-request-headers'] ?? ''],
      ['access-control-max-age', '600'],
    ],
  }
}

/** RomM fact: any origin is echoed, with credentials. */
function withCors({ headers: { origin } }: IncomingMessage, reply: Reply): Reply {
  if (origin === undefined) return reply
  return {
    ...reply,
    headers: [
      ...(reply.headers ?? []),
      ['access-control-allow-origin', origin],
      ['access-control-allow-credentials', 'true'],
      ['vary', 'Origin'],
    ],
  }
}
