import { RateLimiterMemory } from 'rate-limiter-flexible'
import { PosternError } from '../errors.ts'

/**
 * Lets so many questions a second through, in all and for one client's network.
 * @throws PosternError `question_refused` beyond that
 */
export function createRateLimit(
  what: string,
  inAll: number,
  perNetwork: number,
): (address: string) => Promise<void> {
  const networks = new RateLimiterMemory({ keyPrefix: 'network', points: perNetwork, duration: 1 })
  const all = new RateLimiterMemory({ keyPrefix: 'all', points: inAll, duration: 1 })
  return async (address) => {
    try {
      await networks.consume(networkOf(address))
      await all.consume('all')
    } catch (error) {
      throw new PosternError('question_refused', `${what}: too many for ${address}`, { cause: error })
    }
  }
}

/** An IPv4 address, or the /64 of an IPv6 address: whoever has one of its addresses has them all (RFC 6177 §2). */
function networkOf(address: string): string {
  if (!address.includes(':')) return address
  const [left = [], right] = address
    .split('::')
    .map((part) => part.split(':').filter((group) => group !== ''))
  const zeros = right === undefined ? 0 : Math.max(0, 8 - left.length - right.length)
  const groups = [...left, ...Array<string>(zeros).fill('0'), ...(right ?? [])]
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')
}
