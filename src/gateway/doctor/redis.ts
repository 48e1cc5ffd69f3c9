import { redisAddress } from '../../config/addresses.ts'
import type { Config } from '../../config/schema.ts'
import { connectRedis, evictionOf, settled } from '../../directory/redis.ts'
import { error, fixIn, ok, warning } from '../../profiles/finding.ts'
import type { Observation } from '../../profiles/finding.ts'

/** Whether the Redis that replicas share is there, and keeps what it is given. */
export async function sharedRedis({ redis: settings, replicas }: Config): Promise<Observation[]> {
  if (settings === undefined) {
    return replicas === 1
      ? [ok('one replica, which shares nothing')]
      : [
          warning(
            `${replicas} replicas share nothing: each learns of a revocation when it next asks the source`,
            fixIn('configuration', 'redis: redis://…:6379/1', 'cache:', '  secret: ${POSTERN_CACHE_SECRET}'),
          ),
        ]
  }
  const redis = connectRedis(redisAddress(settings), 'postern-doctor', () => undefined)
  try {
    await settled(redis)
    if (redis.status !== 'ready')
      return [
        error('the shared Redis does not answer', fixIn('configuration', 'redis: redis://HOST:6379/DB')),
      ]
    const policy = await evictionOf(redis)
    return policy === undefined
      ? [ok('the shared Redis answers, and forgets nothing by itself')]
      : [
          warning(
            `the shared Redis drops keys when its memory is full (${policy}): counts of failures and blocks among them`,
            fixIn('redis', 'CONFIG SET maxmemory-policy noeviction'),
          ),
        ]
  } finally {
    redis.disconnect()
  }
}
