import type { Redis } from 'ioredis'
import type { SessionRecord, Source } from '../../directory/records.ts'

/** RomM fact: it logs in under this issuer; a session without a name is an OIDC sign-in under way. */
const ISSUER = 'romm:auth'

const NOBODY: SessionRecord = Object.freeze({ username: undefined, deviceId: undefined })

/** RomM's sessions as it keeps them: JSON under `session:<id>` in its Redis. */
export function rommSessions(redis: Redis): Source<SessionRecord> {
  return {
    async load(ids) {
      const texts = await redis.mget(ids.map((id) => `session:${id}`))
      const found = new Map<string, SessionRecord>()
      for (const [index, id] of ids.entries()) {
        const text = texts[index]
        if (typeof text === 'string') found.set(id, sessionOf(text))
      }
      return found
    },
  }
}

/** One that cannot be read authenticates nobody, and is not dead either: RomM alone knows what it is. */
function sessionOf(text: string): SessionRecord {
  try {
    const data: unknown = JSON.parse(text)
    if (typeof data !== 'object' || data === null || !('iss' in data) || data.iss !== ISSUER) return NOBODY
    const username = 'sub' in data && typeof data.sub === 'string' && data.sub !== '' ? data.sub : undefined
    const deviceId = 'device_id' in data && typeof data.device_id === 'string' ? data.device_id : undefined
    return Object.freeze({ username, deviceId })
  } catch {
    return NOBODY
  }
}
