import type { Config } from './schema.ts'

/**
 * What one of several workers is given of the bounds that are set for all of them, rounded up. Those for one client too, or
 * one client could take all that a worker has.
 */
export function shareOf(config: Config, workers: number): Config {
  const share = (whole: number): number => Math.ceil(whole / workers)
  const { limits, upstream, sockets, ask, romm } = config
  return {
    ...config,
    limits: {
      ...limits,
      connections: share(limits.connections),
      connectionsPerAddress: share(limits.connectionsPerAddress),
    },
    upstream: {
      ...upstream,
      connections: share(upstream.connections),
      connectionsPerClient: share(upstream.connectionsPerClient),
      queue: share(upstream.queue),
      queuePerClient: share(upstream.queuePerClient),
    },
    sockets: { ...sockets, max: share(sockets.max), perClient: share(sockets.perClient) },
    ask: {
      ...ask,
      concurrency: share(ask.concurrency),
      rate: share(ask.rate),
      ratePerAddress: share(ask.ratePerAddress),
    },
    romm: romm.database
      ? { ...romm, database: { ...romm.database, poolSize: share(romm.database.poolSize) } }
      : romm,
  }
}
