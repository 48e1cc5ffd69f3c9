import { lookup } from 'node:dns/promises'
import type { Config } from '../config/schema.ts'
import type { Clock } from '../identity/clock.ts'
import type { Logger } from '../observe/log.ts'
import { AddressSet, createClientResolver } from '../request/client.ts'
import type { ClientResolver } from '../request/client.ts'
import { followProxies } from '../request/proxies.ts'

/** Peers of which one warning each is logged; a bound, since every client may be one. */
const MOST_WARNED = 100

/** Who a client is, with the configured proxies trusted. */
export async function createClients(
  config: Config,
  clock: Clock,
  logger: Logger,
): Promise<{ readonly clients: ClientResolver; readonly stop: () => void }> {
  const warned = new Set<string>()
  const onUntrusted = (peer: string): void => {
    if (warned.has(peer) || warned.size >= MOST_WARNED) return
    warned.add(peer)
    logger.warn(
      `${peer} sends X-Forwarded-For and is not trusted; if it is your proxy, add: trustedProxies: [${peer}]`,
    )
  }
  if (config.dangerouslyTrustAllProxies) {
    return { clients: createClientResolver(AddressSet.everybody(), onUntrusted), stop: () => undefined }
  }
  const clients = createClientResolver(new AddressSet([]), onUntrusted)
  const stop = await followProxies({
    fixed: config.trustedProxies.flatMap((range) => (range.kind === 'addresses' ? [range.entry] : [])),
    names: config.trustedProxies.flatMap((range) => (range.kind === 'name' ? [range.name] : [])),
    resolve: async (name) => (await lookup(name, { all: true })).map(({ address }) => address),
    clock,
    trust: (trusted) => clients.trust(trusted),
    onUnknown: (name) => logger.warn({ name }, 'trustedProxies: the host name cannot be looked up'),
  })
  return { clients, stop }
}
