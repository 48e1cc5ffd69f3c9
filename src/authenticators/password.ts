import { verify } from '@node-rs/bcrypt'
import { createGate } from './gate.ts'

/**
 * bcrypt off the event loop, a bounded number at once and a bounded number waiting: a flood of passwords must not
 * take the threads that everything else in the process shares.
 * @param concurrency at once
 * @param queue waiting beyond that; more are refused (PosternError `question_refused`)
 */
export function createPasswordVerifier(
  concurrency: number,
  queue: number,
): (password: string, hash: string) => Promise<boolean> {
  const gate = createGate('password verification', concurrency, queue)
  // A hash that is none (an OIDC user's placeholder) verifies nothing: the library answers false for it.
  return (password, hash) => gate(() => verify(password, hash))
}
