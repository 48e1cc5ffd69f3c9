import { RateLimiterMemory } from 'rate-limiter-flexible'
import { PosternError } from '../errors.ts'

/** Of all the questions of a second, this part is for the first one of each network. */
const RESERVED = 1 / 4

function perSecond(points: number): RateLimiterMemory {
  return new RateLimiterMemory({ points, duration: 1 })
}

/**
 * Lets so many questions a second through, in all and for one client's network. A part of them is for networks that have
 * not asked in this second: a few that ask as much as they may do not keep the others out.
 * @param network as `networkOf` tells it
 * @throws PosternError `question_refused` beyond that
 */
export function createRateLimit(
  what: string,
  inAll: number,
  perNetwork: number,
): (network: string) => Promise<void> {
  const networks = perSecond(perNetwork)
  const repeated = perSecond(inAll - Math.floor(inAll * RESERVED))
  const all = perSecond(inAll)
  return async (network) => {
    try {
      const { isFirstInDuration } = await networks.consume(network)
      if (!isFirstInDuration) await repeated.consume('repeated')
      await all.consume('all')
    } catch (error) {
      throw new PosternError('question_refused', `${what}: too many for ${network}`, { cause: error })
    }
  }
}
