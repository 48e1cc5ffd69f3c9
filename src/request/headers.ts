import { detached } from './lines.ts'
import { isNamed, sieve } from './names.ts'
import type { ClientInfo, RawHeaders } from './request.ts'

/**
 * Header hygiene. What only we may say to the backend is deleted from what comes in, in every spelling that a
 * backend might read as the same name: WSGI and CGI fold case and turn `-`, some every sign, into `_`
 * (CVE-2025-64484, CVE-2026-54763), and a client can have a proxy delete a header by naming it in `Connection`
 * (GHSA-w9mr-28mw-j8hg, CVE-2024-45410, CVE-2026-33805). So ours are added after the deletion, and `Connection` goes no further.
 */

// RFC 9110 §7.6.1 and its predecessors; `Expect` is answered here, `Content-Length` frames the body on both sides.
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
  'http2-settings',
]

// What backends believe about the client or the request; we write what is true of it ourselves.
const SPOOFABLE = [
  'forwarded',
  'x-forwarded',
  'x-original-forwarded-for',
  'x-real-ip',
  'x-client-ip',
  'x-originating-ip',
  'x-remote-ip',
  'x-remote-addr',
  'cf-connecting-ip',
  'cf-connecting-ipv6',
  'fastly-client-ip',
  'x-envoy-external-address',
  'x-envoy-original-path',
  'x-cluster-client-ip',
  'true-client-ip',
  'x-original-url',
  'x-original-uri',
  'x-original-method',
  'x-original-host',
  'x-host',
  'x-rewrite-url',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-request-id',
  'remote-user',
  'x-remote-user',
  // CGI makes it HTTP_PROXY (CVE-2016-5385).
  'proxy',
]
const SPOOFABLE_PREFIXES = ['x-forwarded-', 'x-postern-', 'postern-']

/** A name as the laxest backend would read it. */
export function foldName(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, '-')
}

const NONE: readonly string[] = Object.freeze([])

/** Every value of a header, in order. `name` in lower case. */
export function valuesOf(headers: RawHeaders, name: string): readonly string[] {
  let values: string[] | undefined
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (!isNamed(headers[i] ?? '', name)) continue
    values ??= []
    values.push(headers[i + 1] ?? '')
  }
  return values ?? NONE
}

// reg-name, IPv4 or bracketed IPv6 with an optional port (RFC 9110 §7.2, RFC 3986 §3.2.2), no userinfo.
const HOST = /^(?:[A-Za-z0-9\-._~%!$&'()*+,;=]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/

export function isHost(text: string): boolean {
  return HOST.test(text)
}

/** The one valid `Host`, or undefined. */
export function hostOf(headers: RawHeaders): string | undefined {
  const hosts = valuesOf(headers, 'host')
  const [host] = hosts
  return hosts.length === 1 && host !== undefined && isHost(host) ? host : undefined
}

/** Whether the body's framing is one that every reader understands alike (RFC 9112 §6.1). */
export function plainFraming(headers: RawHeaders, httpVersion: string): boolean {
  const codings = valuesOf(headers, 'transfer-encoding')
  const lengths = valuesOf(headers, 'content-length')
  if (codings.length === 0) return lengths.length <= 1 && lengths.every((length) => /^\d+$/.test(length))
  const isChunked = codings.length === 1 && codings[0]?.toLowerCase() === 'chunked'
  return isChunked && lengths.length === 0 && httpVersion === '1.1'
}

// What clients make up must not fill the memory.
const MOST_KNOWN = 2_000
const LONGEST_KNOWN = 64

/** Whether a body follows (RFC 9112 §6.3). */
export function announcesBody(headers: RawHeaders): boolean {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? ''
    if (isNamed(name, 'transfer-encoding')) return true
    if (isNamed(name, 'content-length') && headers[i + 1] !== '0') return true
  }
  return false
}

export interface Hygiene {
  /** The client's headers less hop-by-hop and spoofable ones, with ours about the client added. */
  outgoing(headers: RawHeaders, client: ClientInfo, requestId: string): string[]
}

/** @param reserved further names that are ours to write: the assertion's header, plain identity headers */
export function createHygiene(reserved: readonly string[]): Hygiene {
  const dropped = new Set(['host', ...HOP_BY_HOP, ...SPOOFABLE, ...reserved.map(foldName)])
  const mayBeUnclean = sieve([...dropped, 'content-length'], SPOOFABLE_PREFIXES)
  // Header names repeat from request to request; folding each of them again would cost more than looking it up.
  const known = new Map<string, boolean>()

  const isClean = (name: string): boolean => {
    const folded = foldName(name)
    // What frames the body comes in its own spelling alone.
    if (folded === 'content-length') return name.toLowerCase() === folded
    return !dropped.has(folded) && !SPOOFABLE_PREFIXES.some((prefix) => folded.startsWith(prefix))
  }

  const passes = (name: string): boolean => {
    // Folding leaves length and first letter what they are.
    if (!mayBeUnclean(name)) return true
    const found = known.get(name)
    if (found !== undefined) return found
    const pass = isClean(name)
    if (known.size < MOST_KNOWN && name.length <= LONGEST_KNOWN) known.set(detached(name), pass)
    return pass
  }

  return {
    outgoing(headers, client, requestId) {
      const named = connectionNames(headers)
      const out: string[] = ['Host', client.host]
      for (let i = 0; i + 1 < headers.length; i += 2) {
        const name = headers[i] ?? ''
        if (!passes(name)) continue
        if (named !== undefined && named.has(foldName(name))) continue
        out.push(name, headers[i + 1] ?? '')
      }
      out.push('X-Forwarded-For', client.forwardedFor, 'X-Forwarded-Proto', client.scheme)
      out.push('X-Forwarded-Host', client.host, 'X-Real-IP', client.address, 'X-Request-Id', requestId)
      return out
    },
  }
}

/** What `Connection` names, or undefined where it says nothing but the usual words. */
function connectionNames(headers: RawHeaders): ReadonlySet<string> | undefined {
  let names: Set<string> | undefined
  for (const value of valuesOf(headers, 'connection')) {
    if (/^(?:keep-alive|close|upgrade)$/i.test(value)) continue
    names ??= new Set()
    for (const name of value.split(',')) names.add(foldName(name.trim()))
  }
  // Naming what frames the body would leave the two sides with different ideas of where it ends.
  names?.delete('content-length')
  return names
}
