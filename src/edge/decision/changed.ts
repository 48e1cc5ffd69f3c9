import type { RawHeaders } from '../../request/request.ts'

/** They speak to the next hop, and the proxy writes its own (RFC 9110 §7.6.1). */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'expect'],
])

/**
 * The first header that would not leave as it came, though the proxy sends it on as it came: a name that only we may say, in
 * whatever spelling; a credential that is not the one decided on, or not in its plain form.
 * @param came the client's
 * @param leaves the permit's
 * @returns its name, or undefined where all of them leave
 */
export function firstChanged(came: RawHeaders, leaves: RawHeaders): string | undefined {
  const left = new Map<string, number>()
  for (const [, line] of linesOf(leaves)) left.set(line, (left.get(line) ?? 0) + 1)
  for (const [name, line] of linesOf(came)) {
    const count = left.get(line) ?? 0
    if (count === 0 && !HOP_BY_HOP.has(name)) return name
    left.set(line, count - 1)
  }
  return undefined
}

/** Name and comparable line of each header that says something; cookies one by one, since their order says nothing (RFC 6265 §5.4). */
function* linesOf(headers: RawHeaders): Iterable<readonly [name: string, line: string]> {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = (headers[i] ?? '').toLowerCase()
    const value = headers[i + 1] ?? ''
    const parts = name === 'cookie' ? value.split(';').map((cookie) => cookie.replace(/^ /, '')) : [value]
    for (const part of parts) if (part !== '') yield [name, `${name}:${part}`]
  }
}
