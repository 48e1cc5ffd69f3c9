import { Redis } from 'ioredis'

/** Where a Redis is; `sentinels` instead of `host` and `port` for one that fails over. */
export interface RedisAddress {
  readonly host: string
  readonly port: number
  readonly username?: string
  readonly password?: string
  readonly db: number
  readonly tls: boolean
  readonly sentinels?: readonly { readonly host: string; readonly port: number }[]
  readonly sentinelName?: string
}

/** Milliseconds that one command may take: a hung Redis raises no event, only this notices it. */
const COMMAND_TIMEOUT = 500
/** Milliseconds of silence after which a connection is given up: the host behind it may be another one by now. */
const LONGEST_SILENCE = 2_000

/**
 * A connection that fails at once while Redis is away instead of queueing (a look-up then goes on without it), and
 * reconnects by itself.
 * @param onState told `ready` and `away`, each when it begins
 */
export function connectRedis(
  address: RedisAddress,
  name: string,
  onState: (state: 'ready' | 'away', error?: Error) => void,
): Redis {
  const common = {
    db: address.db,
    connectionName: name,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: COMMAND_TIMEOUT,
    connectTimeout: LONGEST_SILENCE,
    socketTimeout: LONGEST_SILENCE,
    retryStrategy: (times: number) => Math.min(50 * 2 ** Math.min(times, 6), 2_000),
    ...(address.username !== undefined && { username: address.username }),
    ...(address.password !== undefined && { password: address.password }),
    ...(address.tls && { tls: {} }),
  }
  const redis =
    address.sentinels === undefined
      ? new Redis({ ...common, host: address.host, port: address.port })
      : new Redis({ ...common, sentinels: [...address.sentinels], name: address.sentinelName ?? 'mymaster' })
  let last: Error | undefined
  redis.on('ready', () => onState('ready'))
  redis.on('error', (error: Error) => {
    last = error
  })
  redis.on('close', () => onState('away', last))
  return redis
}

/** Resolves once the connection is ready or has failed for the first time: a start does not wait for a Redis that is away. */
export function settled(redis: Redis): Promise<void> {
  if (redis.status === 'ready') return Promise.resolve()
  const { promise, resolve } = Promise.withResolvers<void>()
  redis.once('ready', () => resolve())
  redis.once('close', () => resolve())
  return promise
}

/**
 * What a Redis does when its memory is full, unless it refuses writes then or has no bound.
 * @returns the name of the policy by which it drops keys
 */
export async function evictionOf(redis: Redis): Promise<string | undefined> {
  const info = await redis.info('memory')
  const valueOf = (name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? ''
  const policy = valueOf('maxmemory_policy')
  return valueOf('maxmemory') === '0' || policy === 'noeviction' ? undefined : policy
}
