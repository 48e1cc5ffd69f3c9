import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Denial } from '../pipeline/decision.ts'
import { hintOf } from '../pipeline/hint.ts'
import { REASONS } from '../pipeline/reason.ts'
import type { Reason } from '../pipeline/reason.ts'
import type { AnswerStyle } from '../profiles/profile.ts'
import type { IncomingRequest, OutgoingResponse } from '../request/exchange.ts'
import { announcesBody } from '../request/headers.ts'
import type { RawHeaders } from '../request/request.ts'
import { discardThenEnd } from '../upstream/discard.ts'

/** A refusal as it goes on the wire. */
export interface Answer {
  readonly status: number
  /** Names and values in turn. */
  readonly headers: string[]
  readonly body: string
}

/** How long a client may take to hang up. */
const LINGER_MS = 2_000
/** Seconds after which asking again may succeed. */
const RETRY_AFTER = 5

/**
 * JSON always, never a page and never a redirect: apps read it. `detail` first, worded as the backend words it; what
 * machines read follows.
 * @param requestId ours, so nothing in it needs escaping
 * @param cors headers that let a page of another origin read it
 */
export function renderDenial(
  denial: Denial,
  requestId: string,
  style: AnswerStyle,
  cors: RawHeaders,
): Answer {
  const { reason, allow } = denial
  const { status, detail } = style.refusal(reason) ?? REASONS[reason]
  const { text, bytes } = beginningOf(denial, status, detail)
  const end = status === 404 ? '' : `${requestId}"}`
  const headers: string[] = []
  headers.push('Content-Type', 'application/json', 'Content-Length', String(bytes + end.length))
  headers.push('Cache-Control', 'no-store', 'Vary', 'Authorization, Cookie', 'X-Request-Id', requestId)
  headers.push('Postern-Reason', reason === 'concealed' ? 'no_route' : reason)
  if (cors.length > 0) headers.push(...cors)
  const challenge = challengeOf(denial)
  if (challenge !== undefined) headers.push('WWW-Authenticate', challenge)
  const retryAfter = retryAfterOf(denial, status)
  if (retryAfter !== undefined) headers.push('Retry-After', String(retryAfter))
  if (allow !== undefined) headers.push('Allow', allow.join(', '))
  if (denial.deadSession === true && style.clearSession !== undefined)
    headers.push('Set-Cookie', style.clearSession)
  return { status, headers, body: text + end }
}

/** A body up to the request's id; all of it where no id is told. */
interface Beginning {
  readonly text: string
  readonly bytes: number
  readonly told: Told
}

/** What a refusal says besides its reason. */
interface Told {
  readonly status: number
  readonly detail: string
  readonly hint: string | undefined
  readonly required: readonly string[] | undefined
  readonly missing: readonly string[] | undefined
}

/** The latest of each reason: as a rule the next one is the same. */
const latest = new Map<Reason, Beginning>()

function beginningOf(denial: Denial, status: number, detail: string): Beginning {
  const { reason, required, missing } = denial
  const told = { status, detail, hint: hintOf(denial, denial.credential?.kind), required, missing }
  const known = latest.get(reason)
  if (known !== undefined && areSame(known.told, told)) return known
  const text = beginningWith(reason, told)
  const beginning = { text, bytes: Buffer.byteLength(text), told }
  latest.set(reason, beginning)
  return beginning
}

function beginningWith(reason: Reason, { status, detail, hint, required, missing }: Told): string {
  // A concealed route must look like one that does not exist, to the byte.
  if (status === 404) return JSON.stringify({ detail })
  const fields = JSON.stringify({ detail, reason, required, missing, hint })
  return `${fields.slice(0, -1)},"request_id":"`
}

function areSame(one: Told, other: Told): boolean {
  return (
    one.status === other.status &&
    one.detail === other.detail &&
    one.hint === other.hint &&
    areSameNames(one.required, other.required) &&
    areSameNames(one.missing, other.missing)
  )
}

function areSameNames(one: readonly string[] | undefined, other: readonly string[] | undefined): boolean {
  if (one === other) return true
  return one?.length === other?.length && one?.every((name, i) => name === other?.[i]) === true
}

/** Seconds. */
function retryAfterOf(denial: Denial, status: number): number | undefined {
  if (status === 404) return undefined
  return denial.retryAfter ?? (status === 503 || status === 429 ? RETRY_AFTER : undefined)
}

/** RFC 6750 §3. Never `Basic`: a browser would open its password box over the login page. */
function challengeOf({ reason, credential, required = [] }: Denial): string | undefined {
  if (reason === 'no_credential') return 'Bearer'
  if (reason === 'invalid_credential') {
    const isBearer = credential?.kind !== 'session' && credential?.kind !== 'basic'
    return isBearer ? 'Bearer error="invalid_token"' : 'Bearer'
  }
  if (reason !== 'insufficient_scope') return undefined
  return `Bearer error="insufficient_scope", scope="${required.join(' ')}"`
}

/** Writes an answer. A body that is still coming is discarded within bounds, and the connection closed. */
export function sendAnswer(answer: Answer, req: IncomingRequest, res: OutgoingResponse): void {
  const unread = req.complete || !announcesBody(req.rawHeaders) ? undefined : req
  if (unread !== undefined) res.shouldKeepAlive = false
  res.writeHead(answer.status, undefined, answer.headers)
  const body = req.method === 'HEAD' ? '' : answer.body
  if (unread === undefined) res.end(body, 'utf8')
  else discardThenEnd(unread, res, body === '' ? undefined : Buffer.from(body))
}

/** The same on a bare socket, where no response object exists: refused upgrades and what the parser rejects. */
export function sendRaw(answer: Answer, socket: Duplex): void {
  const lines = [`HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? ''}`]
  for (let i = 0; i + 1 < answer.headers.length; i += 2) {
    lines.push(`${answer.headers[i] ?? ''}: ${answer.headers[i + 1] ?? ''}`)
  }
  lines.push('Connection: close', '', answer.body)
  socket.on('error', () => socket.destroy())
  socket.end(lines.join('\r\n'))
  // No server looks after this socket any more. What still comes is read, or closing would take the answer back
  // (RFC 9112 §9.6), but not for ever.
  const linger = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(linger)).resume()
}
