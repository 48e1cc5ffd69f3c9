import { lookup } from 'node:dns/promises'
import type { Config } from '../config/schema.ts'
import type { Clock } from '../identity/clock.ts'
import type { Logger } from '../observe/log.ts'
import { AddressSet, createClientResolver } from '../request/client.ts'
import type { ClientResolver } from '../request/client.ts'
import { followProxies } from '../request/proxies.ts'

/** Peers of which one warning each is logged; a bound, since every client may be one. */
const MOST_WARNED = 100

/** Who may ask for decisions, and who a client is by what they say: they are proxies, with more of them before them. */
export async function createCallers(
  config: Config,
  clock: Clock,
  logger: Logger,
): Promise<{
  readonly callers: ClientResolver
  readonly clients: ClientResolver
  readonly stop: () => void
}> {
  const { callers, listen } = config.decision
  // Where nobody listens, no host name need be looked up a second time.
  if (listen === 'off') {
    const nobody = createClientResolver(new AddressSet([]), () => undefined)
    return { callers: nobody, clients: nobody, stop: () => undefined }
  }
  const asking = await follow('decision.callers', callers, clock, logger, () => undefined)
  const all = [...callers, ...config.trustedProxies]
  const before = await follow('trustedProxies', all, clock, logger, () => undefined)
  return {
    callers: asking.clients,
    clients: before.clients,
    stop: () => {
      asking.stop()
      before.stop()
    },
  }
}

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
  return follow('trustedProxies', config.trustedProxies, clock, logger, onUntrusted)
}

async function follow(
  setting: string,
  ranges: Config['trustedProxies'],
  clock: Clock,
  logger: Logger,
  onUntrusted: (peer: string) => void,
): ReturnType<typeof createClients> {
  const clients = createClientResolver(new AddressSet([]), onUntrusted)
  const stop = await followProxies({
    fixed: ranges.flatMap((range) => (range.kind === 'addresses' ? [range.entry] : [])),
    names: ranges.flatMap((range) => (range.kind === 'name' ? [range.name] : [])),
    resolve: async (name) => (await lookup(name, { all: true })).map(({ address }) => address),
    clock,
    trust: (trusted) => clients.trust(trusted),
    onUnknown: (name) => logger.warn({ name }, `${setting}: the host name cannot be looked up`),
  })
  return { clients, stop }
}
