import type { IncomingMessage, ServerResponse } from 'node:http'
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Denial } from '../pipeline/decision.ts'
import { hintOf } from '../pipeline/hint.ts'
import { REASONS } from '../pipeline/reason.ts'
import type { AnswerStyle } from '../profiles/profile.ts'
import { announcesBody } from '../request/headers.ts'
import type { RawHeaders } from '../request/request.ts'
import { discardThenEnd } from '../upstream/discard.ts'

/** A refusal as it goes on the wire. */
export interface Answer {
  readonly status: number
  readonly headers: readonly string[]
  readonly body: string
}

/** How long a client may take to hang up. */
const LINGER_MS = 2_000
/** Seconds after which asking again may succeed. */
const RETRY_AFTER = 5

/**
 * JSON always, never a page and never a redirect: apps read it. `detail` first, worded as the backend words it; what
 * machines read follows.
 * @param cors headers that let a page of another origin read it
 */
export function renderDenial(
  denial: Denial,
  requestId: string,
  style: AnswerStyle,
  cors: RawHeaders,
): Answer {
  const { status, detail } = style.refusal(denial.reason) ?? REASONS[denial.reason]
  const body = JSON.stringify({
    detail,
    // A concealed route must look like one that does not exist, to the byte.
    ...(status !== 404 && {
      reason: denial.reason,
      required: denial.required,
      missing: denial.missing,
      hint: hintOf(denial),
      request_id: requestId,
    }),
  })
  const headers = [
    ...['Content-Type', 'application/json', 'Content-Length', String(Buffer.byteLength(body))],
    ...['Cache-Control', 'no-store', 'Vary', 'Authorization, Cookie', 'X-Request-Id', requestId],
    ...['Postern-Reason', denial.reason === 'concealed' ? 'no_route' : denial.reason],
    ...cors,
    ...challenge(denial),
    ...retryAfter(denial, status),
    ...(denial.allow === undefined ? [] : ['Allow', denial.allow.join(', ')]),
    ...(denial.deadSession === true && style.clearSession !== undefined
      ? ['Set-Cookie', style.clearSession]
      : []),
  ]
  return { status, headers, body }
}

function retryAfter(denial: Denial, status: number): RawHeaders {
  const seconds = denial.retryAfter ?? (status === 503 || status === 429 ? RETRY_AFTER : undefined)
  return seconds === undefined || status === 404 ? [] : ['Retry-After', String(seconds)]
}

/** RFC 6750 §3. Never `Basic`: a browser would open its password box over the login page. */
function challenge({ reason, credential, required = [] }: Denial): RawHeaders {
  if (reason === 'no_credential') return ['WWW-Authenticate', 'Bearer']
  if (reason === 'invalid_credential') {
    const isBearer = credential?.kind !== 'session' && credential?.kind !== 'basic'
    return ['WWW-Authenticate', isBearer ? 'Bearer error="invalid_token"' : 'Bearer']
  }
  if (reason !== 'insufficient_scope') return []
  return ['WWW-Authenticate', `Bearer error="insufficient_scope", scope="${required.join(' ')}"`]
}

/** Writes an answer. A body that is still coming is discarded within bounds, and the connection closed. */
export function sendAnswer(answer: Answer, req: IncomingMessage, res: ServerResponse): void {
  const unread = !req.complete && announcesBody(req.rawHeaders)
  if (unread) res.shouldKeepAlive = false
  res.writeHead(answer.status, [...answer.headers])
  const body = req.method === 'HEAD' ? '' : answer.body
  if (unread) discardThenEnd(req, res, body === '' ? undefined : Buffer.from(body))
  else res.end(body)
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
