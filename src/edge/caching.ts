import type { RouteRule } from '../pipeline/rule.ts'
import { valuesOf } from '../request/headers.ts'
import type { RawHeaders } from '../request/request.ts'

const KEPT = /(?:^|,)\s*(?:private|no-store)\s*(?:,|$)/i

/**
 * Of an answer to a permitted request, the header that keeps it from everybody else. A shared cache may store by its own
 * rules what came without `Cache-Control` and with a cookie (RFC 9111 §4.2.2), and a backend that calls public what the
 * operator has closed does not know better. Conflicting directives count as the stricter one (RFC 9111 §4.2.1).
 */
export function keptPrivate({ requirement }: RouteRule, answer: RawHeaders): RawHeaders {
  if (requirement.kind === 'public') return []
  const isKept = valuesOf(answer, 'cache-control').some((value) => KEPT.test(value))
  return isKept ? [] : ['Cache-Control', 'private']
}
