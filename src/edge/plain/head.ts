import type { Socket } from 'node:net'
import { FIELD_LINE, trimmed } from '../../request/lines.ts'
import { anyNamed, isNamed } from '../../request/names.ts'
import type { PlainRequest } from '../../request/exchange.ts'

// RFC 9112 §3 and §5, less all that need not be: no other method or version, no target of another form.
const HEAD = new RegExp(String.raw`^(?:GET|HEAD) /[!-~]* HTTP/1\.1(?:\r\n${FIELD_LINE})*\r\n\r\n$`)

/** What says where a request ends, that something else is wanted than an answer, or what becomes of the connection. */
const isTelling = anyNamed([
  'content-length',
  'transfer-encoding',
  'trailer',
  'expect',
  'upgrade',
  'http2-settings',
  'proxy-connection',
])

/**
 * The request that `bytes` are, where they are one plain request, whole, and nothing else. Whatever is unusual is for
 * Node's parser (llhttp, strict) to read or refuse; what is understood here, it would understand alike, and the tests hold
 * both against each other.
 */
export function readPlain(bytes: Buffer, socket: Socket): PlainRequest | undefined {
  const text = bytes.toString('latin1')
  if (!HEAD.test(text)) return undefined
  const methodEnd = text.indexOf(' ')
  const targetEnd = text.indexOf(' ', methodEnd + 1)
  const rawHeaders: string[] = []
  // Behind `HTTP/1.1` and its line end, up to the empty line.
  let at = targetEnd + VERSION_LENGTH
  const last = text.length - 2
  while (at < last) {
    const end = text.indexOf('\r\n', at)
    const colon = text.indexOf(':', at)
    const name = text.slice(at, colon)
    const value = fieldValue(bytes, text, name, colon + 1, end)
    if (isTelling(name) || (isNamed(name, 'connection') && !KEEP_ALIVE.test(value))) return undefined
    rawHeaders.push(name, value)
    at = end + 2
  }
  return {
    // Not cut out of the text: what looks it up compares one text, and not its letters.
    method: methodEnd === 3 ? 'GET' : 'HEAD',
    url: text.slice(methodEnd + 1, targetEnd),
    httpVersion: '1.1',
    rawHeaders,
    socket,
    complete: true,
  }
}

/**
 * A field's value, but for a credential's in memory of its own: what is cut out of a text keeps all of it in memory for as
 * long as it lives, and addresses and names of programs are remembered for long.
 */
function fieldValue(bytes: Buffer, text: string, name: string, from: number, to: number): string {
  const value = trimmed(text, from, to)
  if (value.length < SHORTEST_CUT || isCredential(name)) return value
  let start = from
  while (text.charCodeAt(start) !== value.charCodeAt(0)) start++
  return bytes.toString('latin1', start, start + value.length)
}

/** It is read, digested and forgotten; to copy it would leave another copy. */
const isCredential = anyNamed(['authorization', 'cookie'])
/** Characters; shorter ones are copied by V8 itself. */
const SHORTEST_CUT = 13
const VERSION_LENGTH = ' HTTP/1.1\r\n'.length
const KEEP_ALIVE = /^keep-alive$/i
