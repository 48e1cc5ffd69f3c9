import { LRUCache } from 'lru-cache'
import { detached } from '../request/lines.ts'
import { valuesOf } from '../request/headers.ts'
import type { RawHeaders } from '../request/request.ts'

/** The CORS headers of the answers that the gateway gives itself, without which a page cannot even read a 401. */
export interface Cors {
  /** For an answer to a request with these headers. */
  headersFor(request: RawHeaders): RawHeaders
  /** For an `OPTIONS` that is answered here instead of upstream: a preflight's headers, or undefined. */
  preflight(request: RawHeaders): RawHeaders | undefined
  /** What of a forwarded answer's headers goes to the client. */
  filter(request: RawHeaders, answer: string[]): string[]
}

/** Milliseconds for which what the upstream told one origin is believed of it. */
const REMEMBERED = 600_000
const COPIED = [
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-expose-headers',
]

/** As the upstream does it: what it lately told an origin, preflights included, is repeated; others are told nothing. */
export function corsOfUpstream(now: () => number): Cors {
  const told = new LRUCache<string, { readonly headers: RawHeaders; readonly until: number }>({ max: 1_000 })
  return {
    headersFor(request) {
      const known = told.get(originOf(request) ?? '')
      return known === undefined || known.until < now() ? [] : known.headers
    },
    preflight: () => undefined,
    filter(request, answer) {
      const origin = originOf(request)
      if (origin === undefined) return answer
      const headers: string[] = []
      for (let i = 0; i + 1 < answer.length; i += 2) {
        if (COPIED.includes(answer[i]?.toLowerCase() ?? ''))
          headers.push(detached(answer[i] ?? ''), detached(answer[i + 1] ?? ''))
      }
      if (headers.length > 0) told.set(origin, { headers, until: now() + REMEMBERED })
      return answer
    },
  }
}

export interface OwnCorsOptions {
  /** `*` for every one. */
  readonly origins: readonly string[]
  readonly credentials: boolean
  readonly headers: readonly string[]
  /** Milliseconds. */
  readonly maxAge: number
}

/** As configured: preflights are answered here, and the upstream's own CORS headers replaced. */
export function ownCors(options: OwnCorsOptions): Cors {
  const origins = new Set(options.origins.map((origin) => origin.toLowerCase()))
  const allow = (request: RawHeaders): string[] => {
    const origin = originOf(request)
    if (origin === undefined || !(origins.has('*') || origins.has(origin.toLowerCase()))) return []
    const credentials = options.credentials ? ['Access-Control-Allow-Credentials', 'true'] : []
    return ['Access-Control-Allow-Origin', origin, ...credentials]
  }
  return {
    headersFor: allow,
    preflight(request) {
      const methods = valuesOf(request, 'access-control-request-method')
      // Any other OPTIONS is the backend's to answer.
      if (originOf(request) === undefined || methods.length !== 1) return undefined
      return [
        ...allow(request),
        ...['Access-Control-Allow-Methods', methods.join(', ')],
        ...['Access-Control-Allow-Headers', options.headers.join(', ')],
        ...['Access-Control-Max-Age', String(Math.floor(options.maxAge / 1_000)), 'Vary', 'Origin'],
      ]
    },
    filter(request, answer) {
      const kept: string[] = []
      for (let i = 0; i + 1 < answer.length; i += 2) {
        const name = answer[i] ?? ''
        if (!name.toLowerCase().startsWith('access-control-')) kept.push(name, answer[i + 1] ?? '')
      }
      return [...kept, ...allow(request), 'Vary', 'Origin']
    },
  }
}

/** No CORS headers on the gateway's own answers; the upstream's pass. */
export const noCors: Cors = {
  headersFor: () => [],
  preflight: () => undefined,
  filter: (_request, answer) => answer,
}

function originOf(request: RawHeaders): string | undefined {
  const origins = valuesOf(request, 'origin')
  return origins.length === 1 ? origins[0] : undefined
}
