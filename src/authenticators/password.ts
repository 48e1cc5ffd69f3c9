import { verify } from '@node-rs/bcrypt'
import type { Attempts, Guess } from './attempts.ts'
import { createGate } from './gate.ts'
import { networkOf } from '../request/network.ts'

/** As many at once as leave libuv's four threads room for names and files. */
const AT_ONCE = 2
const WAITING = 32

/** bcrypt of a random password that nobody knows, with the cost that passlib and our own directory use: 12. */
export const DECOY_HASH = '$2b$12$ypssTUl7qO7yp2V6ju44y.gFzlg0kWQxGyf1oNgZCS.BIOpIiJMmS'

/** @throws PosternError `question_refused` when too many are waiting, `too_many_attempts` */
export type VerifyPassword = (password: string, hash: string, guess: Guess) => Promise<boolean>

export interface PasswordOptions {
  readonly attempts: Pick<Attempts, 'judge'>
  readonly atOnce?: number
  readonly waiting?: number
}

/**
 * bcrypt off the event loop, a bounded number at once and a bounded number waiting, in turns by client network: a flood
 * of passwords must not take the threads that everything else in the process shares, nor every place in the queue.
 */
export function createPasswordVerifier(options: PasswordOptions): VerifyPassword {
  const { attempts, atOnce = AT_ONCE, waiting = WAITING } = options
  const gate = createGate({ what: 'password verification', atOnce, waiting })
  return (password, hash, guess) =>
    attempts.judge(
      guess,
      // A hash that is none (an OIDC user's placeholder) verifies nothing: the library answers false for it.
      () => gate(networkOf(guess.client.address), () => verify(password, hash)),
      (good) => good,
    )
}
