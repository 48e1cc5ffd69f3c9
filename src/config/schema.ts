import { Type, type Static } from 'typebox'
import * as access from './sections/access.ts'
import * as identity from './sections/identity.ts'
import * as traffic from './sections/traffic.ts'
import { choice, count, written } from './setting.ts'

const PROFILES = ['romm', 'standalone'] as const

/**
 * Every setting there is. This one value gives the type of the loaded configuration, its validation, the
 * environment variables, `docs/configuration.md` and the published JSON Schema.
 */
export const CONFIG_SCHEMA = Type.Object(
  {
    profile: choice(PROFILES, {
      description: 'What the backend is: RomM, or one without accounts, whose people Postern keeps itself.',
      default: 'romm',
    }),
    upstream: traffic.upstream,
    listen: traffic.listen,
    decision: traffic.decision,
    trustedProxies: traffic.trustedProxies,
    dangerouslyTrustAllProxies: traffic.dangerouslyTrustAllProxies,
    publicUrl: traffic.publicUrl,
    openapi: access.openapi,
    rules: access.rules,
    scopes: access.scopes,
    conflict: access.conflict,
    enforcement: access.enforcement,
    cors: traffic.cors,
    sockets: traffic.sockets,
    cache: access.cache,
    ask: access.ask,
    attempts: access.attempts,
    redis: traffic.redis,
    replicas: count({
      description:
        'How many instances of Postern run; with more than one, none of them makes keys by itself.',
      default: 1,
      minimum: 1,
    }),
    workers: written('workers', {
      description:
        'Processes that serve, `auto` for as many as there are processors; limits are shared out among them (docs/workers.md).',
      default: '1',
    }),
    assertion: identity.assertion,
    keys: identity.keys,
    limits: traffic.limits,
    log: identity.log,
    shutdown: identity.shutdown,
    romm: identity.romm,
    standalone: identity.standalone,
  },
  { additionalProperties: false },
)

type Frozen<T> = T extends string | number | boolean | undefined
  ? T
  : T extends readonly (infer Item)[]
    ? readonly Frozen<Item>[]
    : { readonly [Key in keyof T]: Frozen<T[Key]> }

/** The loaded configuration: plain frozen data, durations in milliseconds, sizes in bytes, addresses parsed. */
export type Config = Frozen<Static<typeof CONFIG_SCHEMA>>
