import type { MaybePromise } from '../pipeline/outcome.ts'
import type { Permit } from '../pipeline/permit.ts'
import type { RawHeaders } from '../request/request.ts'

/** What is special about a request that is observed. */
export type ObservedKind = 'identity_change' | 'guess'

/** Sees the requests that may change who somebody is or what they may do, or that try a secret, and what became of them. */
export interface ResponseObserver {
  /**
   * Called once before anything is sent. An observed request runs to its end upstream even if its client leaves,
   * since the change may be made all the same.
   *
   * @returns undefined for a request that neither changes an identity nor is a guess
   */
  before(permit: Permit): ObservedKind | undefined
  /**
   * Called once for every observed request, with `'lost'` where no answer came (time-outs and cut connections
   * included: the change may have been made). The client receives nothing before the promise settles; should it
   * reject, the answer goes out all the same, since the change is a fact by then.
   *
   * @param headers of the answer, hop-by-hop ones removed; before `responseHeaders` saw them
   */
  respond(permit: Permit, status: number | 'lost', headers: RawHeaders): MaybePromise<void>
}

/** The last word on an answer's headers: cookies taken out, `X-Request-Id` put in. Called for sockets too. */
export type ResponseHeaders = (permit: Permit, headers: string[]) => string[]
