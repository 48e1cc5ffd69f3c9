import { LRUCache } from 'lru-cache'
import type { Ask } from '../../authenticators/asked.ts'
import { PosternError } from '../../errors.ts'
import type { Clock } from '../../identity/clock.ts'

/** Milliseconds: longer than any request that came before the logout goes on asking. */
const REMEMBERED = 600_000
const MOST = 10_000

/**
 * Sessions whose logout has arrived. RomM is not asked about them any more: each question would renew the session, and
 * one that overtakes the logout would bring it back to life.
 */
export class SessionEndings {
  readonly #endings: LRUCache<string, 'ending' | 'ended'>

  constructor(clock: Clock) {
    this.#endings = new LRUCache({ max: MOST, ttl: REMEMBERED, perf: { now: () => clock.monotonic() } })
  }

  begin(id: string): void {
    this.#endings.set(id, 'ending')
  }

  /** @param refused the session lives on */
  conclude(id: string, refused: boolean): void {
    if (refused) this.#endings.delete(id)
    else this.#endings.set(id, 'ended')
  }

  /** `ask`, but not about these. */
  guard(ask: Ask): Ask {
    return (credential, client) => {
      const state = credential.kind === 'session' ? this.#endings.get(credential.id) : undefined
      if (state === 'ended') return Promise.resolve(undefined)
      if (state === 'ending')
        return Promise.reject(new PosternError('could_not_check', 'the session is being ended'))
      return ask(credential, client)
    }
  }
}
