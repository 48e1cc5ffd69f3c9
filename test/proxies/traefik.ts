import { posix } from 'node:path'
import { parse } from 'yaml'
import { type Asking, handshake, hopless, type Imitation, over, valuesOf, without } from './imitation.ts'

interface Middleware {
  readonly headers?: { readonly customRequestHeaders: Readonly<Record<string, string>> }
  readonly forwardAuth?: {
    readonly address: string
    readonly trustForwardHeader: boolean
    readonly authResponseHeaders: readonly string[]
  }
}

/** What of a file of its dynamic configuration is imitated. */
interface Dynamic {
  readonly http: {
    readonly middlewares?: Readonly<Record<string, Middleware>>
    readonly routers: { readonly romm: { readonly middlewares?: readonly string[] } }
  }
}

/**
 * What the entry point deletes of what clients say (pkg/middlewares/forwardedheaders/forwarded_header.go), by exactly these
 * names; the latest releases also know them with `_`.
 */
const MANAGED = [
  ...['X-Forwarded-Proto', 'X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Port', 'X-Forwarded-Server'],
  ...['X-Forwarded-Uri', 'X-Forwarded-Method', 'X-Forwarded-Prefix', 'X-Forwarded-Tls-Client-Cert'],
  ...['X-Forwarded-Tls-Client-Cert-Info', 'X-Real-Ip'],
]

/**
 * Its entry point `websecure`, with a file of the dynamic configuration. Before 3.6.14 the question keeps what the entry point wrote, and names no port of its own.
 */
export type Release = 'latest' | 'before 3.6.14'

export function traefik(recipe: string, release: Release): Imitation {
  const { http } = parse(recipe) as Dynamic
  const middlewares = (http.routers.romm.middlewares ?? []).flatMap((name) => http.middlewares?.[name] ?? [])
  const at = middlewares.findIndex(({ forwardAuth }) => forwardAuth !== undefined)
  const forwardAuth = middlewares[at]?.forwardAuth
  // Without a question nothing is between taking and sending.
  const first = deletedBy(middlewares.slice(0, at < 0 ? undefined : at))
  const then = deletedBy(middlewares.slice(at + 1))
  return {
    takes(arriving) {
      const { headers, client, isHandshake } = arriving
      const named = valuesOf(headers, 'connection').flatMap((value) =>
        value.split(',').map((name) => name.trim()),
      )
      const clean = without(...MANAGED, ...named, ...first)(hopless(headers))
      const entry = over({
        'X-Real-Ip': client,
        // Of a handshake it says ws or wss.
        'X-Forwarded-Proto': isHandshake ? 'wss' : 'https',
        'X-Forwarded-Port': '443',
        'X-Forwarded-Host': valuesOf(headers, 'host')[0] ?? '',
        'X-Forwarded-Server': 'traefik',
      })
      return { ...arriving, target: cleaned(arriving.target), headers: handshake(isHandshake)(entry(clean)) }
    },
    // pkg/proxy/httputil/proxy.go appends the client to an X-Forwarded-For that is not there.
    sends(taken, { client }) {
      const headers = without(...then)(taken.headers)
      return { ...taken, headers: over({ 'X-Forwarded-For': client })(headers) }
    },
    ...(forwardAuth && { asks: asking(forwardAuth, release) }),
  }
}

/** pkg/middlewares/headers: an empty value deletes. */
function deletedBy(middlewares: readonly Middleware[]): string[] {
  const custom = middlewares.flatMap(({ headers }) => Object.entries(headers?.customRequestHeaders ?? {}))
  return custom.filter(([, value]) => value === '').map(([name]) => name)
}

/** pkg/middlewares/auth/forward.go. */
function asking(options: NonNullable<Middleware['forwardAuth']>, release: Release): Asking {
  if (options.trustForwardHeader) throw new Error('it would believe what clients say')
  const kept = release === 'latest' ? without(...MANAGED) : without()
  return {
    question: ({ method, target, headers }, { client }) => ({
      method: 'GET',
      target: new URL(options.address).pathname,
      headers: over({
        Host: new URL(options.address).host,
        // Go's client, where its caller has none.
        'Accept-Encoding': valuesOf(headers, 'accept-encoding')[0] ?? 'gzip',
        'X-Forwarded-For': client,
        'X-Forwarded-Method': method,
        'X-Forwarded-Proto': 'https',
        'X-Forwarded-Host': valuesOf(headers, 'host')[0] ?? '',
        'X-Forwarded-Uri': target,
        ...(release === 'latest' && { 'X-Forwarded-Port': '443' }),
      })(without('Transfer-Encoding', 'Content-Length')(kept(hopless(headers)))),
    }),
    copies: options.authResponseHeaders,
    refuses: (answer) => answer ?? { status: 500, headers: [], body: Buffer.alloc(0) },
  }
}

/**
 * normalizePath, sanitizePath and AllowQuerySemicolons of pkg/server/server_entrypoint_tcp.go: unreserved characters
 * decoded, slashes and dots resolved, `;` in a query made `&`.
 */
function cleaned(target: string): string {
  const [path = '', ...query] = target.split('?')
  const plain = path.replaceAll(/%[\da-f]{2}/gi, (escape) => {
    const decoded = String.fromCharCode(Number.parseInt(escape.slice(1), 16))
    return /[\w.~-]/.test(decoded) ? decoded : escape.toUpperCase()
  })
  return [posix.normalize(plain), ...query.map((part) => part.replaceAll(';', '&'))].join('?')
}
