import { databaseAddress, redisAddress } from '../config/addresses.ts'
import type { Config } from '../config/schema.ts'
import type { Profile, ProfileContext } from '../profiles/profile.ts'
import { RommProfile } from '../profiles/romm/profile.ts'
import { StandaloneProfile } from '../profiles/standalone/profile.ts'

/** The one place that knows which profiles there are. */
export function createProfile(config: Config, context: ProfileContext): Profile {
  switch (config.profile) {
    case 'romm':
      return new RommProfile(
        {
          ...config.romm,
          secret: config.romm.secret,
          version: config.romm.version,
          database: databaseAddress(config),
          redis: config.romm.redis && redisAddress(config.romm.redis),
          upstream: config.upstream.url,
          ask: config.ask,
        },
        context,
      )
    case 'standalone':
      return new StandaloneProfile(config.standalone, context)
  }
}
