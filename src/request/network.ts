/** IPv4 seen through an IPv6 socket, `::ffff:192.0.2.1`, is that IPv4 address. */
export function plainAddress(address: string): string {
  if (!address.startsWith('::')) return address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  return mapped?.[1] ?? address
}

/** The first half spelt out, as sockets and proxies write it (RFC 5952 §4): nothing to compute, on every request. */
const FOUR_GROUPS = /^(?:(?:0|[1-9a-f][\da-f]{0,3}):){4}/

/**
 * What one client can send from, for counting: an IPv4 address as it is; of an IPv6 address the first 64 bits, since
 * every subscriber has at least that many to himself (RFC 6177 §2).
 *
 * @param address without brackets; of IPv4 in its plain form
 */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address
  const [plain] = FOUR_GROUPS.exec(address) ?? []
  if (plain !== undefined) return `${plain}:/64`
  const [left = '', right] = address.split('::')
  const before = groupsOf(left)
  const after = groupsOf(right ?? '')
  const zeros = right === undefined ? 0 : Math.max(0, 8 - before.length - after.length)
  const groups = [...before, ...Array<string>(zeros).fill('0'), ...after]
  return `${groups.slice(0, 4).join(':')}::/64`
}

/** Each as 16 bits without leading zeros; an IPv4 address at the end is two of them, whichever. */
function groupsOf(part: string): string[] {
  if (part === '') return []
  const groups = part.split(':').map((group) => Number.parseInt(group, 16).toString(16))
  return part.includes('.') ? [...groups, '0'] : groups
}
