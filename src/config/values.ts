import { isIP } from 'node:net'

declare const unit: unique symbol

/** A length of time in milliseconds. */
export type Milliseconds = number & { readonly [unit]: 'ms' }

/** A size in bytes. */
export type Bytes = number & { readonly [unit]: 'bytes' }

/** Scheme, host and port of an http(s) URL as RFC 6454 §6.2 writes them: no path, no trailing slash. */
export type HttpOrigin = string & { readonly [unit]: 'origin' }

/** Where a listener listens. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/** One entry of `trustedProxies`: a CIDR, an IP address or `private`, ready for an address set; or a name to look up. */
export type ProxyRange =
  { readonly kind: 'addresses'; readonly entry: string } | { readonly kind: 'name'; readonly name: string }

/** Where the backend's OpenAPI document is. */
export type DocumentPlace =
  | { readonly kind: 'none' }
  /** A path at the upstream, query included. */
  | { readonly kind: 'upstream'; readonly path: string }
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'file'; readonly path: string }

const DURATION_UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const MOST_WORKERS = 64
const SIZE_UNITS = { B: 1, KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824 } as const
const HOST_NAME =
  /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i

/** `500ms`, `2s`, `10m`, `1h`, `14d`; a bare number has no unit and is refused. */
export function parseDuration(text: string): Milliseconds | undefined {
  return measured(text, /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/, DURATION_UNITS) as Milliseconds | undefined
}

/** `512B`, `16KiB`, `1MiB`, `2GiB`: powers of 1024 alone, so that nobody has to guess. */
export function parseSize(text: string): Bytes | undefined {
  return measured(text, /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB)$/, SIZE_UNITS) as Bytes | undefined
}

/** `host:port`, `[v6]:port`, `unix:/path`; port 0 lets the system choose. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  if (text.startsWith('unix:/')) return { kind: 'unix', path: text.slice('unix:'.length) }
  const found = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text)
  const port = Number(found?.[3])
  if (!found || port > 65_535) return undefined
  const [, bracketed, plain = ''] = found
  if (bracketed !== undefined)
    return isIP(bracketed) === 6 ? { kind: 'tcp', host: bracketed, port } : undefined
  return isHost(plain) ? { kind: 'tcp', host: plain, port } : undefined
}

/** A listener that may be switched off. */
export function parseOptionalListen(text: string): ListenAddress | 'off' | undefined {
  return text === 'off' ? 'off' : parseListenAddress(text)
}

/** How many processes serve: a number that a machine can have processors, or as many as it has (`auto`). */
export function parseWorkers(text: string): number | 'auto' | undefined {
  if (text === 'auto') return text
  const count = /^\d{1,2}$/.test(text) ? Number(text) : 0
  return count >= 1 && count <= MOST_WORKERS ? count : undefined
}

/** An http(s) URL that names an origin and nothing more: a path or a password in it would be dropped silently. */
export function parseOrigin(text: string): HttpOrigin | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:\/\//i.test(text) || url.pathname !== '/' || /[?#@]/.test(text)) return undefined
  return url.origin as HttpOrigin
}

/** CIDR, IP address, host name or the word `private`. */
export function parseProxyRange(text: string): ProxyRange | undefined {
  if (text === 'private') return { kind: 'addresses', entry: text }
  const [address = '', prefix, ...rest] = text.split('/')
  const family = isIP(address)
  if (family !== 4 && family !== 6)
    return isHost(text) ? { kind: 'name', name: text.toLowerCase() } : undefined
  const widest = family === 4 ? 32 : 128
  const bits = prefix === undefined ? widest : /^\d{1,3}$/.test(prefix) ? Number(prefix) : widest + 1
  return rest.length > 0 || bits > widest ? undefined : { kind: 'addresses', entry: text }
}

/** `none`, a path at the upstream (`/openapi.json`), a URL, or a file (`./openapi.json`, `file:/openapi.json`). */
export function parseDocumentPlace(text: string): DocumentPlace | undefined {
  if (text === 'none') return { kind: 'none' }
  if (/^\/[\x21-\x7e]*$/.test(text))
    return text.startsWith('//') ? undefined : { kind: 'upstream', path: text }
  if (/^https?:\/\//i.test(text)) return parseDocumentUrl(text)
  if (/^file:./.test(text)) return { kind: 'file', path: text.slice('file:'.length) }
  return /^\.{1,2}\/./.test(text) ? { kind: 'file', path: text } : undefined
}

/** A password in it would never be sent (Fetch §5.4), and be shown with the first failure. */
function parseDocumentUrl(text: string): DocumentPlace | undefined {
  const url = URL.parse(text)
  return url?.username === '' && url.password === '' ? { kind: 'url', url: text } : undefined
}

/** A host name or an IP address without brackets; all digits and dots that are no IPv4 address are neither. */
export function isHost(text: string): boolean {
  return isIP(text) !== 0 || (HOST_NAME.test(text) && !/^[\d.]+$/.test(text))
}

/** `redis[s]://[user:password@]host[:port][/db]`, its escapes sound. */
export function isRedisUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^rediss?:$/.test(url.protocol) || url.hostname === '' || /[?#]/.test(text)) return false
  return /^(?:\/\d*)?$/.test(url.pathname) && isDecodable(url.username) && isDecodable(url.password)
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

function measured(text: string, form: RegExp, units: Readonly<Record<string, number>>): number | undefined {
  const [, amount, name = ''] = form.exec(text) ?? []
  const factor = units[name]
  if (amount === undefined || factor === undefined) return undefined
  const value = Number(amount) * factor
  return Number.isSafeInteger(value) ? value : undefined
}
