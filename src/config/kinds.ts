import {
  isHost,
  isRedisUrl,
  parseDocumentPlace,
  parseDuration,
  parseListenAddress,
  parseOptionalListen,
  parseOrigin,
  parseProxyRange,
  parseSize,
  parseWorkers,
} from './values.ts'

interface Kind<Value = unknown> {
  /** The typed value, or undefined where `text` is not of this kind. */
  readonly parse: (text: string) => Value | undefined
  /** Completes the sentence "it must be …". */
  readonly expects: string
  /** For editors, in the published JSON Schema; may accept more than `parse`, never less. */
  readonly pattern: string
  /** @see isOrNumber */
  readonly orNumber?: true
}

/** Kept as text, once it is known to have this form. */
function matching(pattern: string, expects: string): Kind<string> {
  const form = new RegExp(pattern)
  return { parse: (text) => (form.test(text) ? text : undefined), expects, pattern }
}

/** Every form that the text of a setting can have: the one table behind loading, the docs and the JSON Schema. */
export const KINDS = {
  duration: {
    parse: parseDuration,
    expects: 'a duration with its unit, such as 500ms, 2s, 10m, 1h or 14d',
    pattern: '^\\d+(\\.\\d+)?(ms|s|m|h|d)$',
  },
  size: {
    parse: parseSize,
    expects: 'a size with its unit, such as 512B, 16KiB, 1MiB or 2GiB',
    pattern: '^\\d+(\\.\\d+)?(B|KiB|MiB|GiB)$',
  },
  listen: {
    parse: parseListenAddress,
    expects: 'an address to listen on: host:port, [v6]:port or unix:/path',
    pattern: '^(unix:/.+|.+:\\d{1,5})$',
  },
  optionalListen: {
    parse: parseOptionalListen,
    expects: 'an address to listen on (host:port, [v6]:port or unix:/path) or off',
    pattern: '^(off|unix:/.+|.+:\\d{1,5})$',
  },
  origin: {
    parse: parseOrigin,
    expects: 'an http or https URL of scheme, host and port alone, such as http://romm:8080',
    pattern: '^[hH][tT][tT][pP][sS]?://[^/?#@]+/?$',
  },
  proxyRange: {
    parse: parseProxyRange,
    expects: 'a CIDR, an IP address, a host name or the word private',
    pattern: '^[0-9A-Za-z._:/-]+$',
  },
  documentPlace: {
    parse: parseDocumentPlace,
    expects:
      'a path at the upstream (/openapi.json), a URL, a file (./openapi.json, file:/etc/openapi.json) or none',
    pattern: '^(none|/.*|[hH][tT][tT][pP][sS]?://.+|file:.+|\\.{1,2}/.+)$',
  },
  host: {
    parse: (text) => (isHost(text) ? text : undefined),
    expects: 'a host name or an IP address',
    pattern: '^[0-9A-Za-z._:-]+$',
  },
  text: matching('^.+$', 'a text that is not empty'),
  secret: matching('^[^\\r\\n]+$', 'one line of text that is not empty'),
  path: matching('^[^\\0]+$', 'the path of a file or folder'),
  pathOrOff: matching('^[^\\0]+$', 'the path of a folder, or off'),
  routePath: matching(
    '^/[^\\s?#]*$',
    'a path that begins with / and has no query, such as /api/roms/{id} or /assets/**',
  ),
  method: matching('^[A-Z][A-Z-]*$', 'an HTTP method in upper case, such as GET'),
  headerName: matching("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", 'the name of an HTTP header'),
  scope: matching('^[\\x21\\x23-\\x5b\\x5d-\\x7e]+$', 'the name of a scope, without spaces (RFC 6749 §3.3)'),
  tokenPrefix: matching('^[A-Za-z0-9]+_$', 'letters and digits with an underscore at the end, such as pst_'),
  version: matching('^\\d+\\.\\d+\\.\\d+([-+.].*)?$', 'a version such as 5.2.0'),
  redisUrl: {
    parse: (text) => (isRedisUrl(text) ? text : undefined),
    expects: 'a URL of the form redis[s]://user:password@host:port/db',
    pattern: '^rediss?://.+$',
  },
  workers: {
    parse: parseWorkers,
    expects: 'auto or a whole number, 1 to 64',
    pattern: '^(auto|[1-9]\\d?)$',
    orNumber: true,
  },
  hostPort: {
    parse: (text) => (parseListenAddress(text)?.kind === 'tcp' ? text : undefined),
    expects: 'host:port',
    pattern: '^.+:\\d{1,5}$',
  },
} as const satisfies Record<string, Kind>

export type KindName = keyof typeof KINDS

/** Whether a bare number in the file is meant as its text. */
export function isOrNumber(name: KindName): boolean {
  const kind: Kind = KINDS[name]
  return kind.orNumber === true
}

/** What `KINDS[Name].parse` makes of a good text. */
export type ParsedKind<Name extends KindName> = Exclude<ReturnType<(typeof KINDS)[Name]['parse']>, undefined>
