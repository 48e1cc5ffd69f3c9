import { anyNamed } from '../../request/names.ts'
import type { RawHeaders } from '../../request/request.ts'

/** They speak to the next hop, and the proxy writes its own (RFC 9110 §7.6.1). */
const isHopByHop = anyNamed([
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
  const { moved, others } = apart(came, leaves)
  const seen: string[] = []
  for (let i = 0; i + 1 < moved.length; i += 2) {
    const name = (moved[i] ?? '').toLowerCase()
    if (seen.includes(name) || isHopByHop(name)) continue
    seen.push(name)
    if (!includesAll(linesOf(others, name), linesOf(moved, name))) return firstMissing(came, leaves)
  }
  return undefined
}

/**
 * What is left of both once each header that stands on both sides letter for letter, in one order, is taken away. Nearly all
 * do, and need no closer look.
 */
function apart(
  came: RawHeaders,
  leaves: RawHeaders,
): { readonly moved: RawHeaders; readonly others: RawHeaders } {
  const moved: string[] = []
  const others: string[] = []
  let from = 0
  for (let i = 0; i + 1 < came.length; i += 2) {
    const [name = '', value = ''] = [came[i], came[i + 1]]
    let at = from
    while (at < leaves.length && (leaves[at] !== name || leaves[at + 1] !== value)) at += 2
    if (at >= leaves.length) {
      moved.push(name, value)
      continue
    }
    for (; from < at; from++) others.push(leaves[from] ?? '')
    from = at + 2
  }
  for (; from < leaves.length; from++) others.push(leaves[from] ?? '')
  return { moved, others }
}

/** @param name in lower case */
function linesOf(headers: RawHeaders, name: string): readonly string[] {
  const lines: string[] = []
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const other = headers[i] ?? ''
    if (other.length !== name.length || other.toLowerCase() !== name) continue
    for (const line of partsOf(name, headers[i + 1] ?? '')) lines.push(line)
  }
  return lines
}

/** Those parts of a header that say something: cookies one by one, since their order says nothing (RFC 6265 §5.4). */
function partsOf(name: string, value: string): readonly string[] {
  if (name !== 'cookie') return value === '' ? [] : [value]
  return value
    .split(';')
    .map((cookie) => (cookie.startsWith(' ') ? cookie.slice(1) : cookie))
    .filter((cookie) => cookie !== '')
}

/** Each as often. */
function includesAll(all: readonly string[], some: readonly string[]): boolean {
  const [only] = some
  if (some.length === 1 && only !== undefined) return all.includes(only)
  const left = new Map<string, number>()
  for (const line of all) left.set(line, (left.get(line) ?? 0) + 1)
  return some.every((line) => {
    const count = left.get(line) ?? 0
    left.set(line, count - 1)
    return count > 0
  })
}

/** The first that is not there as often: what the refusal names, whichever moved. */
function firstMissing(came: RawHeaders, leaves: RawHeaders): string | undefined {
  const left = new Map<string, number>()
  for (let i = 0; i + 1 < leaves.length; i += 2) {
    const name = (leaves[i] ?? '').toLowerCase()
    for (const part of partsOf(name, leaves[i + 1] ?? '')) {
      const line = `${name}:${part}`
      left.set(line, (left.get(line) ?? 0) + 1)
    }
  }
  for (let i = 0; i + 1 < came.length; i += 2) {
    const name = (came[i] ?? '').toLowerCase()
    if (isHopByHop(name)) continue
    for (const part of partsOf(name, came[i + 1] ?? '')) {
      const line = `${name}:${part}`
      const count = left.get(line) ?? 0
      if (count === 0) return name
      left.set(line, count - 1)
    }
  }
  return undefined
}
