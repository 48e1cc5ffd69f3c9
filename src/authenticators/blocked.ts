import type { Blocks } from '../directory/blocks.ts'
import { chain } from '../pipeline/maybe.ts'
import { rejected } from '../pipeline/outcome.ts'
import type { Authenticator } from '../pipeline/outcome.ts'

/** `inner`, for all but those who are blocked. What they present may be good: that is what a block is for. */
export function withBlocks(
  inner: Authenticator,
  blocks: Pick<Blocks, 'isEmpty' | 'holdsCredential' | 'holdsPrincipal'>,
): Authenticator {
  return {
    authenticate(credential, client) {
      if (blocks.isEmpty) return inner.authenticate(credential, client)
      if (blocks.holdsCredential(credential)) return rejected('blocked')
      return chain(inner.authenticate(credential, client), (outcome) =>
        outcome.kind === 'authenticated' && blocks.holdsPrincipal(outcome.principal)
          ? { ...rejected('blocked'), principal: outcome.principal }
          : outcome,
      )
    },
  }
}
