import { userKey } from '../../authenticators/attempts.ts'
import type { NamedUser } from '../../directory/records.ts'
import { attempt, chain } from '../../pipeline/maybe.ts'
import type { MaybePromise } from '../../pipeline/outcome.ts'
import type { Profile } from '../profile.ts'
import { RequestRows } from './rows.ts'

const LOGIN = 'POST /api/login'

/**
 * RomM fact: the requests that take a secret which people choose or read out, and the statuses by which RomM says that
 * it is wrong. It bounds none of them but the exchange. `POST /api/auth/device/token` is not among them: its code has
 * 256 bits, and an honest client is answered 400 every five seconds until somebody approves of it.
 */
const GUESSES = new RequestRows<ReadonlySet<number>>({
  [LOGIN]: new Set([401]),
  'POST /api/token': new Set([401]),
  'POST /api/client-tokens/exchange': new Set([400, 401, 404]),
  'GET /api/client-tokens/pair/{code}/status': new Set([404]),
  'GET /api/auth/device/pending/{user_code}': new Set([404]),
  'POST /api/auth/device/approve': new Set([404]),
  'POST /api/auth/device/deny': new Set([404]),
  'POST /api/reset-password': new Set([400, 401, 404]),
  'POST /api/users/register': new Set([400, 401, 404]),
})

/** @param users undefined without the database: then only RomM knows which names are one */
export function rommGuesses(
  users: { userByName(name: string): MaybePromise<NamedUser | undefined> } | undefined,
): {
  readonly guess: NonNullable<Profile['guess']>
  readonly userKey: (name: string) => MaybePromise<string>
} {
  const keyOf = (name: string): MaybePromise<string> =>
    attempt(
      () => chain(users?.userByName(name), (named) => userKey(name, named)),
      () => userKey(name, undefined),
    )
  return {
    userKey: keyOf,
    guess({ method, target: { path } }, credential) {
      const found = GUESSES.find(method === 'HEAD' ? 'GET' : method, path)
      if (found === undefined) return undefined
      const { row, value: wrong, parameter } = found
      // The one name that travels where we look.
      return credential?.kind === 'basic' && row === LOGIN
        ? { wrong, user: keyOf(credential.username), secret: credential.password }
        : { wrong, user: undefined, secret: parameter === undefined ? undefined : path }
    },
  }
}
