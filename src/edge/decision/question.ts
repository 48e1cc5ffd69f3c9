import type { Denial } from '../../pipeline/decision.ts'
import type { ClientResolver } from '../../request/client.ts'
import type { IncomingRequest } from '../../request/exchange.ts'
import { announcesBody, isHost } from '../../request/headers.ts'
import type { GatewayRequest, RawHeaders } from '../../request/request.ts'
import { parseTarget } from '../../request/target.ts'
import { reasonOfFault, REFUSED_METHODS } from '../intake.ts'
import type { Dialect } from './dialect.ts'
import { Terms } from './said.ts'
import type { Said } from './said.ts'

export interface QuestionOptions {
  readonly dialect: Dialect
  /** Who the client is, by what a caller says. */
  readonly clients: ClientResolver
  readonly newId: () => string
  readonly maxHeaders: number
}

/** The original request as its proxy tells of it, or why it cannot be decided on. */
export type Question =
  | { readonly ok: true; readonly request: GatewayRequest }
  | { readonly ok: false; readonly id: string; readonly denial: Denial }

/** Where questions are asked, by proxies that have to name a place; Caddy adds the client's query. */
const DECIDE_PATH = '/decide'

// RFC 9110 §5.6.2: from a header it could be anything.
const METHOD = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/** Reads who asked for what. Anything missing, empty or said twice is a refusal: the rest might be a client's own words. */
export function createQuestionReader(options: QuestionOptions): (req: IncomingRequest) => Question {
  const terms = new Terms(options.dialect)
  return (req) => {
    const id = options.newId()
    const told = tell(req, id, terms, options)
    return 'kind' in told ? { ok: false, id, denial: told } : { ok: true, request: told }
  }
}

function tell(
  req: IncomingRequest,
  id: string,
  terms: Terms,
  { dialect, clients, maxHeaders }: QuestionOptions,
): GatewayRequest | Denial {
  const { rawHeaders } = req
  if (rawHeaders.length > 2 * maxHeaders) return { kind: 'deny', reason: 'headers_too_large' }
  if (announcesBody(rawHeaders)) return unclear('a question has no body')
  const said = terms.tellApart(rawHeaders)
  const original = originalOf(req, said, terms, dialect)
  if ('kind' in original) return original
  const { method, uri, host } = original
  const parsed = parseTarget(uri, method, host)
  if (!parsed.ok) return { kind: 'deny', reason: reasonOfFault(parsed.fault), cause: parsed.fault }
  const { target } = parsed
  // The proxy sends its own spelling on, not ours.
  if (target.value !== uri) return needsRewriting('the target is not in its canonical form')
  const headers = said.client
  const upgrade = asksForSocket(method, headers, said.by(dialect.upgrade))
  if (upgrade === undefined)
    return needsRewriting("the header 'Upgrade' asks for something else than a WebSocket")
  const connection = { remoteAddress: req.socket.remoteAddress, encrypted: false }
  const client = clients.resolve(connection, rawHeaders, host)
  return { id, method, target, headers, client, upgrade }
}

/** The proxy's words, which must stand there exactly once. */
function originalOf(
  req: IncomingRequest,
  said: Said,
  { required, single }: Terms,
  { original, host: hostName }: Dialect,
): { readonly method: string; readonly uri: string; readonly host: string } | Denial {
  for (const name of required) {
    const values = said.by(name)
    if (values.length !== 1 || values[0] === '')
      return unclear(`${name} is there ${values.length} times, or empty`)
  }
  for (const name of single) if (said.by(name).length > 1) return unclear(`${name} is there twice`)
  const [own = '', path = ''] = [req.method, req.url]
  const isPlace = path === DECIDE_PATH || path.startsWith(`${DECIDE_PATH}?`)
  if (original && (own !== 'GET' || !isPlace)) return unclear(`not asked with GET ${DECIDE_PATH}`)
  const [method = ''] = original ? said.by(original.method) : [own]
  const [uri = ''] = original ? said.by(original.uri) : [path]
  const [host = ''] = said.by(hostName)
  if (!isHost(host)) return { kind: 'deny', reason: 'several_hosts' }
  if (!METHOD.test(method) || REFUSED_METHODS.has(method))
    return { kind: 'deny', reason: 'malformed_request' }
  return { method, uri, host }
}

const HANDSHAKE = 'sec-websocket-'

/**
 * Where `Upgrade` does not get here, the key tells: without one no server opens a socket (RFC 6455 §4.2.1).
 * @returns undefined for an upgrade to something else, which the proxy would pass on
 */
function asksForSocket(
  method: string,
  headers: RawHeaders,
  upgrades: readonly string[],
): boolean | undefined {
  if (upgrades.length === 0 && !hasHandshake(headers)) return false
  const isWebSocket = upgrades.every((upgrade) => upgrade.toLowerCase() === 'websocket')
  return isWebSocket && method === 'GET' ? true : undefined
}

function hasHandshake(headers: RawHeaders): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? ''
    // Browsers send others that begin with `Sec-` along with everything.
    const mayBe = name.length >= HANDSHAKE.length && (name.charCodeAt(4) | 0x20) === 0x77
    if (mayBe && name.toLowerCase().startsWith(HANDSHAKE)) return true
  }
  return false
}

function unclear(cause: string): Denial {
  return { kind: 'deny', reason: 'unclear_question', cause }
}

/** @param hint what would have to change */
export function needsRewriting(hint: string): Denial {
  return { kind: 'deny', reason: 'needs_rewriting', hint }
}
