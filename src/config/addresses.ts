/** Where Redis and the database are, as the modules that connect to them want it, however it was written. */
import type { RedisAddress } from '../directory/redis.ts'
import type { DatabaseAddress } from '../profiles/romm/database.ts'
import type { Config } from './schema.ts'

type RedisSettings = NonNullable<Config['redis'] | Config['romm']['redis']>

/** What stands beside a `url` counts where the URL is silent. */
export function redisAddress(settings: RedisSettings): RedisAddress {
  const { url, host = '', port, username, password, db, tls } = settings
  const access = {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    db,
    tls,
  }
  if (url !== undefined) return { ...access, ...fromUrl(new URL(url), db, tls) }
  if (!('sentinels' in settings) || !settings.sentinels) return { host, port, ...access }
  const { sentinels, sentinelName } = settings
  return {
    host,
    port,
    ...access,
    sentinels: sentinels.map(hostPort),
    ...(sentinelName !== undefined && { sentinelName }),
  }
}

/** Undefined while no database is given; `loadConfig` has seen that a given one has a host and a user. */
export function databaseAddress({ romm: { database } }: Config): DatabaseAddress | undefined {
  if (database?.host === undefined || database.user === undefined) return undefined
  return { ...database, host: database.host, user: database.user, password: database.password ?? '' }
}

function fromUrl(url: URL, db: number, tls: boolean): RedisAddress {
  return {
    host: unbracketed(url.hostname),
    port: Number(url.port || 6379),
    ...(url.username !== '' && { username: decodeURIComponent(url.username) }),
    ...(url.password !== '' && { password: decodeURIComponent(url.password) }),
    db: Number(url.pathname.slice(1) || db),
    tls: url.protocol === 'rediss:' || tls,
  }
}

function hostPort(text: string): { readonly host: string; readonly port: number } {
  const colon = text.lastIndexOf(':')
  return { host: unbracketed(text.slice(0, colon)), port: Number(text.slice(colon + 1)) }
}

function unbracketed(host: string): string {
  return host.replace(/^\[|\]$/g, '')
}
