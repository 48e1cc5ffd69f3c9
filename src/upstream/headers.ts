import { anyNamed, isNamed } from '../request/names.ts'
import type { RawHeaders } from '../request/request.ts'

/** As undici gives it; an array when the header came several times, whatever Node's types say. */
export type HeaderValue = string | readonly string[] | undefined

/** RFC 9110 §7.6.1 and §11.7.1: they speak to the next hop, which is us. */
export const isHopByHop = anyNamed([
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
  const isListed = namedBy(connection)
  const kept: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = latin1(raw[i])
    if (isHopByHop(name) || isListed?.(name) === true) continue
    kept.push(name, latin1(raw[i + 1]))
  }
  return kept
}

const USUAL = /^(?:close|keep-alive|upgrade)$/i

/** Tells the names that a `Connection` makes hop-by-hop; undefined where it has none but the usual words. */
export function namedBy(value: HeaderValue): ((name: string) => boolean) | undefined {
  const connection = value === undefined ? '' : String(value)
  if (connection === '' || USUAL.test(connection)) return undefined
  return anyNamed(connection.split(',').map((name) => name.trim().toLowerCase()))
}

function latin1(text: Buffer | string | undefined): string {
  return typeof text === 'string' ? text : (text?.toString('latin1') ?? '')
}

/** `headers` as the forwarder takes them: a copy, less `Expect`, which is answered here and goes no further. */
export function outgoing(headers: RawHeaders): string[] {
  const copy = headers.slice()
  for (let i = copy.length - 2; i >= 0; i -= 2) {
    if (isNamed(copy[i] ?? '', 'expect')) copy.splice(i, 2)
  }
  return copy
}

/** The first value of a header. */
export function valueOf(headers: RawHeaders, lowerName: string): string | undefined {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (isNamed(headers[i] ?? '', lowerName)) return headers[i + 1]
  }
  return undefined
}
