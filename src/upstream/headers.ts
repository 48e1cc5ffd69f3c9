import type { RawHeaders } from '../request/request.ts'

/** As the forwarder gives it; an array when the header came several times, whatever Node's types say. */
export type HeaderValue = string | readonly string[] | undefined

// RFC 9110 §7.6.1 and §11.7.1: they speak to the next hop, which is us.
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/**
 * What of a response's headers concerns the client: names and values as the upstream spelt them, in its order.
 *
 * @param raw names and values in turn, as bytes; they are read as latin1 so that every byte survives
 * @param connection the response's `Connection`, whose names are hop-by-hop too
 */
export function endToEnd(raw: readonly (Buffer | string)[], connection: HeaderValue): string[] {
  const listed = connection === undefined ? NONE : namesOf(String(connection))
  const kept: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = latin1(raw[i])
    const lower = name.toLowerCase()
    if (HOP_BY_HOP.has(lower) || listed.has(lower)) continue
    kept.push(name, latin1(raw[i + 1]))
  }
  return kept
}

const NONE: ReadonlySet<string> = new Set()
const USUAL = /^(?:close|keep-alive|upgrade)$/i

function namesOf(connection: string): ReadonlySet<string> {
  if (USUAL.test(connection)) return NONE
  return new Set(connection.split(',').map((name) => name.trim().toLowerCase()))
}

function latin1(text: Buffer | string | undefined): string {
  return typeof text === 'string' ? text : (text?.toString('latin1') ?? '')
}

/** RFC 9112 §6.3: a request has a body if and only if one of these two says so. */
export function announcesBody(headers: RawHeaders): boolean {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const { length } = headers[i] ?? ''
    if (length !== 14 && length !== 17) continue
    const name = headers[i]?.toLowerCase()
    if (name === 'transfer-encoding' || (name === 'content-length' && headers[i + 1] !== '0')) return true
  }
  return false
}

/** `headers` as the forwarder takes them: a copy, less `Expect`, which is answered here and goes no further. */
export function outgoing(headers: RawHeaders): string[] {
  const copy = headers.slice()
  for (let i = copy.length - 2; i >= 0; i -= 2) {
    if (copy[i]?.length === 6 && copy[i]?.toLowerCase() === 'expect') copy.splice(i, 2)
  }
  return copy
}

/** The first value of a header. */
export function valueOf(headers: RawHeaders, lowerName: string): string | undefined {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (headers[i]?.toLowerCase() === lowerName) return headers[i + 1]
  }
  return undefined
}
