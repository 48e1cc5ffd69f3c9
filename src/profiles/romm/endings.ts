import type { Ask } from '../../authenticators/asked.ts'
import { sessionDigest } from '../../directory/digest.ts'

interface Ending {
  /** Logouts of this session that are under way. */
  count: number
  readonly over: PromiseWithResolvers<void>
}

/**
 * Sessions whose logout is under way. From the moment it arrives RomM is not asked about them: each question would renew
 * the session, and one that overtakes the logout would bring it back to life. Whoever asks waits until it is over.
 */
export class SessionEndings {
  readonly #endings = new Map<string, Ending>()

  /** @returns to be called once, when the logout is over, whatever came of it */
  begin(digest: string): () => void {
    const ending = this.#endings.get(digest) ?? { count: 0, over: Promise.withResolvers<void>() }
    ending.count++
    this.#endings.set(digest, ending)
    return () => {
      ending.count--
      if (ending.count > 0) return
      this.#endings.delete(digest)
      ending.over.resolve()
    }
  }

  /** `ask`, once no logout is under way. */
  guard(ask: Ask): Ask {
    return async (credential, client, wasGood) => {
      if (credential.kind === 'session' && this.#endings.size > 0)
        await this.#endings.get(sessionDigest(credential.id))?.over.promise
      return ask(credential, client, wasGood)
    }
  }
}
