import type { IncomingMessage } from 'node:http'
import type { Denial } from '../../pipeline/decision.ts'
import type { ClientResolver } from '../../request/client.ts'
import { announcesBody, hostOf, valuesOf } from '../../request/headers.ts'
import type { GatewayRequest, RawHeaders } from '../../request/request.ts'
import { parseTarget } from '../../request/target.ts'
import { reasonOfFault, REFUSED_METHODS } from '../intake.ts'
import { FORWARDED } from './dialect.ts'
import type { Dialect } from './dialect.ts'

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
export function readQuestion(req: IncomingMessage, options: QuestionOptions): Question {
  const id = options.newId()
  const told = tell(req, options)
  if ('kind' in told) return { ok: false, id, denial: told }
  return { ok: true, request: { id, ...told } }
}

function tell(req: IncomingMessage, options: QuestionOptions): Omit<GatewayRequest, 'id'> | Denial {
  const { dialect, clients, maxHeaders } = options
  const { rawHeaders } = req
  if (rawHeaders.length > 2 * maxHeaders) return { kind: 'deny', reason: 'headers_too_large' }
  if (announcesBody(rawHeaders)) return unclear('a question has no body')
  const said = originalOf(req, dialect)
  if ('kind' in said) return said
  const { method, uri, host } = said
  const parsed = parseTarget(uri, method, host)
  if (!parsed.ok) return { kind: 'deny', reason: reasonOfFault(parsed.fault), cause: parsed.fault }
  const { target } = parsed
  // The proxy sends its own spelling on, not ours.
  if (target.value !== uri) return needsRewriting('the target is not in its canonical form')
  const headers = clientsOwn(rawHeaders, dialect)
  const upgrade = asksForSocket(method, headers, valuesOf(rawHeaders, dialect.upgrade))
  if (upgrade === undefined)
    return needsRewriting("the header 'Upgrade' asks for something else than a WebSocket")
  const client = clients.resolve(
    { remoteAddress: req.socket.remoteAddress, encrypted: false },
    rawHeaders,
    host,
  )
  return { method, target, headers, client, upgrade }
}

/** The proxy's words, which must stand there exactly once. */
function originalOf(
  req: IncomingMessage,
  dialect: Dialect,
): { readonly method: string; readonly uri: string; readonly host: string } | Denial {
  const { original } = dialect
  const required = [...FORWARDED, dialect.host, ...(original ? [original.method, original.uri] : [])]
  for (const name of required) {
    const values = valuesOf(req.rawHeaders, name)
    if (values.length !== 1 || values[0] === '')
      return unclear(`${name} is there ${values.length} times, or empty`)
  }
  for (const name of [...dialect.own, dialect.upgrade])
    if (valuesOf(req.rawHeaders, name).length > 1) return unclear(`${name} is there twice`)
  const [own = '', path = ''] = [req.method, req.url]
  if (original && (own !== 'GET' || path.replace(/\?.*/s, '') !== DECIDE_PATH))
    return unclear(`not asked with GET ${DECIDE_PATH}`)
  const method = original ? valueOf(req, original.method) : own
  const host = hostOf(['host', valueOf(req, dialect.host)])
  if (host === undefined) return { kind: 'deny', reason: 'several_hosts' }
  if (!METHOD.test(method) || REFUSED_METHODS.has(method))
    return { kind: 'deny', reason: 'malformed_request' }
  return { method, uri: original ? valueOf(req, original.uri) : path, host }
}

function valueOf({ rawHeaders }: IncomingMessage, name: string): string {
  return valuesOf(rawHeaders, name)[0] ?? ''
}

/** The client's headers: not what the proxy wrote, under exactly these names, and not what speaks of its connection to us. */
function clientsOwn(headers: RawHeaders, { own, host, upgrade, original }: Dialect): string[] {
  const others = new Set(['host', 'content-length', host, upgrade, ...own, original?.method, original?.uri])
  const kept: string[] = []
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const [name = '', value = ''] = [headers[i], headers[i + 1]]
    if (!others.has(name.toLowerCase())) kept.push(name, value)
  }
  return kept
}

/**
 * Where `Upgrade` does not get here, the key tells: without one no server opens a socket (RFC 6455 §4.2.1).
 * @returns undefined for an upgrade to something else, which the proxy would pass on
 */
function asksForSocket(
  method: string,
  headers: RawHeaders,
  upgrades: readonly string[],
): boolean | undefined {
  const isHandshake = headers.some(
    (name, i) => i % 2 === 0 && name.toLowerCase().startsWith('sec-websocket-'),
  )
  if (upgrades.length === 0 && !isHandshake) return false
  const isWebSocket = upgrades.every((upgrade) => upgrade.toLowerCase() === 'websocket')
  return isWebSocket && method === 'GET' ? true : undefined
}

function unclear(cause: string): Denial {
  return { kind: 'deny', reason: 'unclear_question', cause }
}

/** @param hint what would have to change */
export function needsRewriting(hint: string): Denial {
  return { kind: 'deny', reason: 'needs_rewriting', hint }
}
