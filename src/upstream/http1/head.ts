/**
 * The head of an HTTP/1 response, read strictly: what two readers could understand differently is refused, since one of
 * them would take a part of one answer for the next (RFC 9112 §11.2). Node's parser (llhttp, strict) is the measure:
 * what is understood here, it understands alike; the tests hold both against each other.
 */

import { FIELD_LINE, trimmed } from '../../request/lines.ts'
import { isNamed } from '../../request/names.ts'
import { isHopByHop, namedBy } from '../headers.ts'

/** How much of what follows is the answer's body (RFC 9112 §6.3). */
export type Framing =
  { readonly kind: 'length'; readonly length: number } | { readonly kind: 'chunked' | 'close' }

export interface ResponseHead {
  readonly status: number
  /** Empty where there is none. */
  readonly reason: string
  /** What concerns the client: names and values in turn as the upstream spelt them, in its order; every byte is a character. */
  readonly headers: string[]
  /** The body's length, where the head says it: also of a body that is not sent (HEAD, 304). */
  readonly length: number | undefined
  readonly framing: Framing
  /** Whether the connection may serve another request after this one. */
  readonly persistent: boolean
  /** Seconds for which the upstream says it keeps an idle connection. */
  readonly keepAlive: number | undefined
}

/** An answer that cannot be read in one way only. */
export class BadAnswer extends Error {
  override readonly name = 'BadAnswer'
}

// RFC 9112 §4: a status line, then field lines, each ended by CRLF and nothing else.
const HEAD = new RegExp(
  String.raw`^HTTP/1\.[01] [1-9]\d\d(?: [\t\x20-\x7e\x80-\xff]*)?(?:\r\n${FIELD_LINE})*$`,
)
const DIGITS = /^\d{1,15}$/
const NO_BODY: Framing = { kind: 'length', length: 0 }
const CHUNKED: Framing = { kind: 'chunked' }
const UNTIL_CLOSE: Framing = { kind: 'close' }

/** What of the head says where the answer ends. */
interface Framers {
  length: number | undefined
  isChunked: boolean
  connection: string | undefined
  keepAlive: number | undefined
}

/**
 * @param text the head as latin1, without the empty line that ends it
 * @param method of the request: an answer to HEAD has no body
 * @throws BadAnswer
 */
export function parseHead(text: string, method: string): ResponseHead {
  if (!HEAD.test(text)) throw new BadAnswer('the upstream answered something that is not HTTP/1')
  const firstEnd = text.indexOf('\r\n')
  const statusLine = firstEnd === -1 ? text : text.slice(0, firstEnd)
  const status = Number(statusLine.slice(9, 12))
  const headers: string[] = []
  const framers: Framers = {
    length: undefined,
    isChunked: false,
    connection: undefined,
    keepAlive: undefined,
  }
  let at = firstEnd === -1 ? text.length : firstEnd + 2
  while (at < text.length) {
    const next = text.indexOf('\r\n', at)
    const end = next === -1 ? text.length : next
    const colon = text.indexOf(':', at)
    const name = text.slice(at, colon)
    const value = trimmed(text, colon + 1, end)
    if (isHopByHop(name)) noteHop(framers, name.toLowerCase(), value)
    else headers.push(name, value)
    if (isNamed(name, 'content-length')) noteLength(framers, value)
    at = end + 2
  }
  const isOld = statusLine.charCodeAt(7) === ZERO
  if (framers.isChunked && (isOld || framers.length !== undefined))
    throw new BadAnswer('the length of the answer can be read in two ways')
  return {
    status,
    reason: statusLine.slice(13),
    headers: unlessNamed(headers, framers.connection),
    length: framers.length,
    framing: framingOf(status, method, framers),
    persistent: isPersistent(framers.connection, isOld),
    keepAlive: framers.keepAlive,
  }
}

const ZERO = 0x30
function noteHop(framers: Framers, name: string, value: string): void {
  if (name === 'transfer-encoding') noteCoding(framers, value)
  else if (name === 'connection')
    framers.connection = framers.connection === undefined ? value : `${framers.connection}, ${value}`
  else if (name === 'keep-alive') framers.keepAlive = secondsOf(value) ?? framers.keepAlive
}

/** Less what `Connection` names (RFC 9110 §7.6.1): nothing, as a rule. */
function unlessNamed(headers: string[], connection: string | undefined): string[] {
  const isNamedHop = namedBy(connection)
  return isNamedHop === undefined
    ? headers
    : headers.filter((_, i) => !isNamedHop(headers[i - (i % 2)] ?? ''))
}

/** RFC 9112 §6.3: a second length may be another one. */
function noteLength(framers: Framers, value: string): void {
  if (framers.length !== undefined || !DIGITS.test(value))
    throw new BadAnswer('the length of the answer is unclear')
  framers.length = Number(value)
}

/** Any coding but this one would reach the client without the header that names it. */
function noteCoding(framers: Framers, value: string): void {
  if (framers.isChunked || value.toLowerCase() !== 'chunked')
    throw new BadAnswer(`the answer's transfer coding is not supported`)
  framers.isChunked = true
}

function secondsOf(keepAlive: string): number | undefined {
  const [, seconds] = /(?:^|[\s,])timeout=(\d{1,9})/i.exec(keepAlive) ?? []
  return seconds === undefined ? undefined : Number(seconds)
}

/** RFC 9112 §6.3. */
function framingOf(status: number, method: string, { length, isChunked }: Framers): Framing {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return NO_BODY
  if (isChunked) return CHUNKED
  return length === undefined ? UNTIL_CLOSE : { kind: 'length', length }
}

/** RFC 9112 §9.3. */
function isPersistent(connection: string | undefined, isOld: boolean): boolean {
  if (connection === undefined) return !isOld
  const says = (word: string): boolean =>
    connection.split(',').some((each) => each.trim().toLowerCase() === word)
  return isOld ? says('keep-alive') && !says('close') : !says('close')
}

const END_OF_HEAD = '\r\n\r\n'

/** Finds the heads of one connection's answers, however the bytes come in pieces. */
export class HeadReader {
  readonly #most: number
  /** A head whose end is still to come. */
  #begun = ''
  /** Of one answer's heads, interim ones included. */
  #size = 0
  /** How far the bytes are read. */
  at = 0

  /** @param most bytes of one answer's heads */
  constructor(most: number) {
    this.#most = most
  }

  /** Nothing of the next answer has come. */
  get isNew(): boolean {
    return this.#size === 0
  }

  /**
   * @returns the next head, or undefined where it does not end in these bytes; `at` says where it ended
   * @throws BadAnswer
   */
  read(bytes: Buffer, from: number, method: string): ResponseHead | undefined {
    const text = this.#textOf(bytes, from)
    if (text === undefined) return undefined
    const head = parseHead(text, method)
    // RFC 9110 §7.8: only who asked may be answered so.
    if (head.status === 101) throw new BadAnswer('the upstream switched protocols unasked')
    if (head.status >= 200) this.#size = 0
    return head
  }

  #textOf(bytes: Buffer, from: number): string | undefined {
    if (this.#begun !== '') return this.#goOn(bytes, from)
    const end = bytes.indexOf(END_OF_HEAD, from)
    this.#count((end === -1 ? bytes.length : end) - from)
    if (end !== -1) {
      this.at = end + END_OF_HEAD.length
      return bytes.toString('latin1', from, end)
    }
    this.at = bytes.length
    this.#begun = bytes.toString('latin1', from)
    return undefined
  }

  #goOn(bytes: Buffer, from: number): string | undefined {
    const known = this.#begun.length
    const all = this.#begun + bytes.toString('latin1', from)
    const end = all.indexOf(END_OF_HEAD, Math.max(0, known - END_OF_HEAD.length))
    this.#count((end === -1 ? all.length : end) - known)
    this.#begun = end === -1 ? all : ''
    this.at = end === -1 ? bytes.length : from + end + END_OF_HEAD.length - known
    return end === -1 ? undefined : all.slice(0, end)
  }

  #count(bytes: number): void {
    this.#size += Math.max(bytes, 1)
    if (this.#size > this.#most) throw new BadAnswer('the head of the answer is too long')
  }
}
