import type { Config } from '../config/schema.ts'
import { corsOfUpstream, noCors, ownCors } from '../edge/cors.ts'
import type { Cors } from '../edge/cors.ts'
import type { Clock } from '../identity/clock.ts'

/** The CORS headers that the configuration asks for. */
export function corsOf(config: Config, clock: Clock): Cors {
  switch (config.cors.mode) {
    case 'upstream':
      return corsOfUpstream(() => clock.monotonic())
    case 'own':
      return ownCors(config.cors)
    case 'off':
      return noCors
  }
}
