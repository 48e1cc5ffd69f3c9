import type { Config } from '../config/schema.ts'
import { keptPrivate } from '../edge/caching.ts'
import type { Cors } from '../edge/cors.ts'
import type { Clock } from '../identity/clock.ts'
import type { Logger } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { Permit } from '../pipeline/permit.ts'
import type { AskUpstream, Profile } from '../profiles/profile.ts'
import { anyNamed, isNamed } from '../request/names.ts'
import type { RawHeaders } from '../request/request.ts'
import { createUpstream } from '../upstream/upstream.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { withAttempts } from './attempts.ts'
import type { Changes } from './changes.ts'

/** Of an answer to one of our own questions. */
const LARGEST_ANSWER = 1024 * 1024

/** What the upstream is told about, and asks, once everything stands. */
export interface UpstreamParts {
  readonly config: Config
  readonly cors: Cors
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  readonly profile: () => Profile
  readonly changes: Changes
  /** It was away: what it comes back with may be another release. */
  readonly onAway: () => void
}

/** The upstream, and what is wrong with it just now. */
export interface WatchedUpstream {
  readonly upstream: Upstream
  readonly ask: AskUpstream
  readonly trouble: () => string | undefined
  /** Told the status of everything that was forwarded. */
  readonly noteAnswer: (status: number) => void
}

export function watchUpstream(parts: UpstreamParts): WatchedUpstream {
  const { config, clock, logger, metrics } = parts
  let trouble: string | undefined
  const upstream = createUpstream({
    ...config.upstream,
    sockets: config.sockets,
    maxHeaderSize: config.upstream.headerBytes,
    observe: withAttempts(parts.changes),
    responseHeaders: (permit, headers) => responseHeaders(parts, permit, headers),
    timing: { now: () => clock.monotonic(), begun: (waited) => metrics.upstreamBegan(waited) },
    onExcess: (excess) => metrics.upstreamFailed(excess),
    onFailure(reason, cause) {
      metrics.upstreamFailed(reason)
      parts.onAway()
      if (trouble === undefined)
        logger.warn({ upstream: config.upstream.url, reason, cause: String(cause) }, 'the backend failed')
      trouble = `${config.upstream.url}: ${reason === 'upstream_timeout' ? 'no answer in time' : 'cannot be reached'}`
    },
  })
  return {
    upstream,
    trouble: () => trouble,
    noteAnswer(status) {
      trouble = undefined
      // A web server before the backend says so when the backend itself is away.
      if (status === 502 || status === 503 || status === 504) parts.onAway()
    },
    async ask(path, headers, body) {
      const { timeout } = config.ask
      const bounds = { timeout, maxBytes: LARGEST_ANSWER }
      const answer = await upstream.request(
        body === undefined
          ? { method: 'GET', path, headers, ...bounds }
          : { method: 'POST', path, headers, body, ...bounds },
      )
      trouble = undefined
      return {
        status: answer.status,
        setCookies: [answer.headers['set-cookie'] ?? []].flat(),
        body: answer.body.toString('utf8'),
      }
    },
  }
}

/** What only the gateway says of an answer; a backend that says it too would be taken for the gateway. */
const isOurs = anyNamed(['x-request-id', 'postern-reason'])

function responseHeaders(
  { config, cors, profile, changes }: UpstreamParts,
  permit: Permit,
  headers: RawHeaders,
): string[] {
  const { cookieNames } = profile()
  // Another backend must not set the cookies that authenticate here (CVE-2026-34454).
  const stripped = config.upstream.credentials === 'strip'
  const kept: string[] = []
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const [name = '', value = ''] = [headers[i], headers[i + 1]]
    if (isOurs(name)) continue
    if (isNamed(name, 'set-cookie') && cookieNames.includes(cookieName(value))) {
      if (stripped) continue
      void changes.note(profile().changedByCookie(permit, value))
    }
    kept.push(name, value)
  }
  const shown = cors.filter(permit.headers, kept)
  shown.push(...keptPrivate(permit.rule, shown), 'X-Request-Id', permit.requestId)
  return shown
}

/**
 * The name under which a cookie comes back. One without a name, `=a=b`, comes back as its value, `a=b`, and is then
 * one named `a` (RFC 6265bis, retrieval).
 */
function cookieName(setCookie: string): string {
  return /^[\s=]*([^=;]*)/.exec(setCookie)?.[1]?.trim() ?? ''
}
