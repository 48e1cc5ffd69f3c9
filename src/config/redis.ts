import type { Config } from './schema.ts'

interface Access {
  readonly username: string | undefined
  readonly password: string | undefined
  readonly db: number
  readonly tls: boolean
}

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** One Redis, however it was written. */
export type RedisEndpoint =
  | ({ readonly kind: 'single' } & HostPort & Access)
  | ({
      readonly kind: 'sentinel'
      readonly sentinels: readonly HostPort[]
      readonly name: string
      readonly sentinelPassword: string | undefined
    } & Access)

type RedisSettings = NonNullable<Config['redis']>

/** The endpoint that loaded settings name; what stands beside a `url` counts where the URL is silent. */
export function redisEndpoint(settings: RedisSettings | NonNullable<Config['romm']['redis']>): RedisEndpoint {
  const access = {
    username: settings.username,
    password: settings.password,
    db: settings.db,
    tls: settings.tls,
  }
  if (settings.url !== undefined) return fromUrl(new URL(settings.url), access)
  if ('sentinels' in settings && settings.sentinels) {
    const { sentinels, sentinelName = '', sentinelPassword } = settings
    return {
      kind: 'sentinel',
      sentinels: sentinels.map(hostPort),
      name: sentinelName,
      sentinelPassword,
      ...access,
    }
  }
  return { kind: 'single', host: settings.host ?? '', port: settings.port, ...access }
}

function fromUrl(url: URL, access: Access): RedisEndpoint {
  return {
    kind: 'single',
    host: unbracketed(url.hostname),
    port: Number(url.port || 6379),
    username: decodeURIComponent(url.username) || access.username,
    password: decodeURIComponent(url.password) || access.password,
    db: Number(url.pathname.slice(1) || access.db),
    tls: url.protocol === 'rediss:' || access.tls,
  }
}

function hostPort(text: string): HostPort {
  const colon = text.lastIndexOf(':')
  return { host: unbracketed(text.slice(0, colon)), port: Number(text.slice(colon + 1)) }
}

function unbracketed(host: string): string {
  return host.replace(/^\[|\]$/g, '')
}
