import type { Redis } from 'ioredis'
import type { SessionRecord, Source } from '../../directory/records.ts'

/** RomM fact: it logs in under this issuer; a session without a name is an OIDC sign-in under way. */
const ISSUER = 'romm:auth'

/**
 * RomM's sessions as it keeps them: JSON under `session:<id>` in its Redis. They are looked up by their digest, which leads
 * to an id only where one is known.
 */
export class RommSessionStore implements Source<SessionRecord> {
  readonly #redis: Redis

  constructor(redis: Redis) {
    this.#redis = redis
  }

  async load(
    digests: readonly string[],
    known: ReadonlyMap<string, SessionRecord>,
  ): Promise<ReadonlyMap<string, SessionRecord>> {
    const sessions = digests.flatMap((digest) => {
      const session = known.get(digest)
      return session === undefined ? [] : [{ digest, id: session.id }]
    })
    // With nobody to ask about, whether there is an answer at all.
    const texts = await this.#texts(sessions.length === 0 ? [''] : sessions.map(({ id }) => id))
    const found = sessions.map(({ digest, id }, i) => [digest, sessionOf(id, texts[i])] as const)
    return new Map(found.flatMap(([digest, session]) => (session === undefined ? [] : [[digest, session]])))
  }

  async byId(id: string): Promise<SessionRecord | undefined> {
    return sessionOf(id, (await this.#texts([id]))[0])
  }

  #texts(ids: readonly string[]): Promise<(string | null)[]> {
    return this.#redis.mget(ids.map((id) => `session:${id}`))
  }
}

/** One that cannot be read authenticates nobody, and is not dead either: RomM alone knows what it is. */
function sessionOf(id: string, text: string | null | undefined): SessionRecord | undefined {
  if (typeof text !== 'string') return undefined
  const nobody: SessionRecord = Object.freeze({ id, username: undefined, deviceId: undefined })
  try {
    const data: unknown = JSON.parse(text)
    if (typeof data !== 'object' || data === null || !('iss' in data) || data.iss !== ISSUER) return nobody
    const username = 'sub' in data && typeof data.sub === 'string' && data.sub !== '' ? data.sub : undefined
    const deviceId = 'device_id' in data && typeof data.device_id === 'string' ? data.device_id : undefined
    return Object.freeze({ id, username, deviceId })
  } catch {
    return nobody
  }
}
