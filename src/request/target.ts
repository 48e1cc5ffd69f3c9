/**
 * The canonical request target: computed once, decided on, and forwarded as that exact string.
 *
 * The attack it stops: the edge decides on one reading of a path and the backend serves another
 * (CVE-2025-54576, CVE-2026-33494, CVE-2026-42272, CVE-2026-26205 and many more). So every spelling that two
 * readers could read differently is either refused or rewritten to the one spelling both read alike.
 */

/** Why a target is refused; goes to the log. */
export const TARGET_FAULTS = [
  'forbidden_byte',
  'invalid_escape',
  'encoded_separator',
  'dot_segment',
  'foreign_authority',
  'not_a_path',
  'too_long',
] as const
export type TargetFault = (typeof TARGET_FAULTS)[number]

export type ParsedTarget =
  | { readonly ok: true; readonly target: CanonicalTarget }
  | { readonly ok: false; readonly fault: TargetFault }

let make: (path: string, search: string) => CanonicalTarget

/** Made by `parseTarget` alone. */
export class CanonicalTarget {
  /** Begins with `/` (or is `*`); percent-encoded in exactly one way. */
  readonly path: string
  /** Query with its `?`, as the client sent it; empty when there was none. */
  readonly search: string
  /** What goes into the upstream's request line, byte for byte. */
  readonly value: string

  private constructor(path: string, search: string) {
    this.path = path
    this.search = search
    this.value = path + search
  }

  static {
    make = (path, search) => new CanonicalTarget(path, search)
  }
}

const OVERLONG = 16_384

// RFC 3986 §3.3 pchar and '/', of the escapes those that stay as they are: a path of these alone is canonical unless it
// has '//' or dot segments.
const PLAIN_PATH =
  /^[A-Za-z0-9\-._~!$&'()*+,;=:@/]*(?:%(?:2[0-9A-C]|3[A-F]|40|5[BDE]|60|7[B-D]|[89A-F][0-9A-F])[A-Za-z0-9\-._~!$&'()*+,;=:@/]*)*$/
// What clients send raw and RFC 3986 wants encoded; any of our readers takes both spellings for the same character.
const ENCODE_RAW: Readonly<Record<string, string>> = {
  '[': '%5B',
  ']': '%5D',
  '|': '%7C',
  '^': '%5E',
  '{': '%7B',
  '}': '%7D',
  '"': '%22',
  '`': '%60',
  '<': '%3C',
  '>': '%3E',
}
// Printable ASCII but space, '#' and '\'.
const QUERY_BYTES = /^[\x21\x22\x24-\x5b\x5d-\x7e]*$/
const PATH_BYTES = /^[\x21\x22\x24-\x5b\x5d-\x7e]*$/
const UNRESERVED = /^[A-Za-z0-9\-._~]$/
// Servlet containers cut a segment's parameters off before they look at its dots: '/a/..;x/b' is '/b' to them.
const DOT_SEGMENT = /\/\.{1,2}(?:\/|;|%3B|$)/

/**
 * @param raw the request target as it stood in the request line
 * @param method decides whether `*` is allowed (RFC 9112 §3.2.4: OPTIONS only)
 * @param host what the client named as host; an absolute-form target must name the same (RFC 9112 §3.2.2)
 */
export function parseTarget(raw: string, method: string, host: string): ParsedTarget {
  if (raw.length > OVERLONG) return refuse('too_long')
  if (raw === '*') {
    return method === 'OPTIONS' ? { ok: true, target: make('*', '') } : refuse('not_a_path')
  }
  const origin = originForm(raw, host)
  if (origin === undefined) return refuse(raw.startsWith('/') ? 'not_a_path' : 'foreign_authority')
  const mark = origin.indexOf('?')
  const rawPath = mark === -1 ? origin : origin.slice(0, mark)
  const search = mark === -1 ? '' : origin.slice(mark)
  if (mark !== -1 && !QUERY_BYTES.test(search)) return refuse('forbidden_byte')
  const path = canonicalPath(rawPath)
  return typeof path === 'string' ? { ok: true, target: make(path, search) } : path
}

/** A path template's literal text in the same spelling as a canonical path, or undefined if it has none. */
export function canonicalLiteral(text: string): string | undefined {
  const path = canonicalPath(encodeURI(text).replaceAll('%25', '%'))
  return typeof path === 'string' ? path : undefined
}

function originForm(raw: string, host: string): string | undefined {
  if (raw.startsWith('/')) return raw
  const absolute = /^https?:\/\/([^/?#]*)(.*)$/is.exec(raw)
  if (!absolute) return undefined
  const [, authority = '', rest = ''] = absolute
  // Host names compare without case (RFC 3986 §3.2.2).
  if (authority === '' || authority.toLowerCase() !== host.toLowerCase()) return undefined
  return rest.startsWith('/') ? rest : `/${rest}`
}

function canonicalPath(raw: string): string | { readonly ok: false; readonly fault: TargetFault } {
  let path = raw.includes('//') ? raw.replace(/\/{2,}/g, '/') : raw
  if (!PLAIN_PATH.test(path)) {
    if (!PATH_BYTES.test(path)) return refuse('forbidden_byte')
    const rewritten = rewrite(path)
    if (typeof rewritten !== 'string') return rewritten
    path = rewritten
  }
  // After decoding, so that '%2e%2e' is caught too.
  if (path.includes('/.') && DOT_SEGMENT.test(path)) return refuse('dot_segment')
  return path
}

function rewrite(path: string): string | { readonly ok: false; readonly fault: TargetFault } {
  let out = ''
  for (let i = 0; i < path.length; i++) {
    const char = path.charAt(i)
    if (char !== '%') {
      out += ENCODE_RAW[char] ?? char
      continue
    }
    const hex = path.slice(i + 1, i + 3)
    if (!/^[0-9a-fA-F]{2}$/.test(hex)) return refuse('invalid_escape')
    const byte = Number.parseInt(hex, 16)
    // '%2F', '%5C' and '%00' are read as separator or end by some readers and as text by others.
    if (byte === 0x2f || byte === 0x5c || byte === 0) return refuse('encoded_separator')
    // RomM fact: its router's patterns end in Python's '$', which also stands before a last line feed, so
    // '/api/users/me%0A' is '/api/users/me' there and '/api/users/{id}' here. No name has control characters.
    if (byte < 0x20 || byte === 0x7f) return refuse('forbidden_byte')
    const decoded = String.fromCharCode(byte)
    out += UNRESERVED.test(decoded) ? decoded : `%${hex.toUpperCase()}`
    i += 2
  }
  return out
}

function refuse(fault: TargetFault): { readonly ok: false; readonly fault: TargetFault } {
  return { ok: false, fault }
}
