import { verify } from '@node-rs/bcrypt'
import { createGate } from './gate.ts'

/** As many at once as leave libuv's four threads room for names and files. */
const AT_ONCE = 2
const WAITING = 32

/** bcrypt of a random password that nobody knows, with the cost that passlib and our own directory use: 12. */
export const DECOY_HASH = '$2b$12$ypssTUl7qO7yp2V6ju44y.gFzlg0kWQxGyf1oNgZCS.BIOpIiJMmS'

/** @throws PosternError `question_refused` when too many are waiting */
export type VerifyPassword = (password: string, hash: string) => Promise<boolean>

/**
 * bcrypt off the event loop, a bounded number at once and a bounded number waiting: a flood of passwords must not
 * take the threads that everything else in the process shares.
 */
export function createPasswordVerifier(atOnce = AT_ONCE, waiting = WAITING): VerifyPassword {
  const gate = createGate('password verification', atOnce, waiting)
  // A hash that is none (an OIDC user's placeholder) verifies nothing: the library answers false for it.
  return (password, hash) => gate(() => verify(password, hash))
}
