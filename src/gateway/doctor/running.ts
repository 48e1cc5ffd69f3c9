import type { Status } from '../../admin/live.ts'
import { fixIn, notice, ok, warning } from '../../profiles/finding.ts'
import type { Observation } from '../../profiles/finding.ts'

/** What the gateway at work complains of: it has seen more than somebody who just looks in. */
export function running(status: Status | undefined): Observation[] {
  if (status === undefined) return [notice('no gateway is at work here that could say what it has seen')]
  const { health, proxies } = status
  const seen = [
    ...health.troubles.map((trouble) => warning(`the gateway at work says: ${trouble}`)),
    ...proxies.untrusted.map(({ address, requests }) =>
      warning(
        `${address} sends X-Forwarded-For and is not trusted (${requests} requests): all behind it count as one client, if it is your proxy`,
        fixIn('configuration', `trustedProxies: [${address}]`),
      ),
    ),
  ]
  return seen.length === 0 ? [ok('the gateway at work is well')] : seen
}
