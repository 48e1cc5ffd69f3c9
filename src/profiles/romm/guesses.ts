import { userKey } from '../../authenticators/attempts.ts'
import type { NamedUser } from '../../directory/records.ts'
import { attempt, chain } from '../../pipeline/maybe.ts'
import type { MaybePromise } from '../../pipeline/outcome.ts'
import type { GatewayRequest } from '../../request/request.ts'
import { segmentsOf } from '../../routes/template.ts'
import type { Profile } from '../profile.ts'
import { isLogin } from './changes.ts'

/**
 * RomM fact: the requests that take a secret which people choose or read out, and the statuses by which RomM says that
 * it is wrong. It bounds none of them but the exchange. `POST /api/auth/device/token` is not among them: its code has
 * 256 bits, and an honest client is answered 400 every five seconds until somebody approves of it.
 */
const GUESSES = (
  [
    ['POST /api/login', [401]],
    ['POST /api/token', [401]],
    ['POST /api/client-tokens/exchange', [400, 401, 404]],
    ['GET /api/client-tokens/pair/{code}/status', [404]],
    ['GET /api/auth/device/pending/{user_code}', [404]],
    ['POST /api/auth/device/approve', [404]],
    ['POST /api/auth/device/deny', [404]],
    ['POST /api/reset-password', [400, 401, 404]],
    ['POST /api/users/register', [400, 401, 404]],
  ] as const
).map(([row, wrong]) => {
  const [method = '', path = ''] = row.split(' ')
  const [prefix = ''] = path.split('{')
  return {
    method,
    /** What every such path begins with: most requests are told apart by it. */
    prefix,
    segments: segmentsOf(path),
    wrong: new Set<number>(wrong),
    inPath: prefix !== path,
  }
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
    guess(request, credential) {
      const row = rowOf(request)
      if (row === undefined) return undefined
      const { wrong, inPath } = row
      // The one name that travels where we look.
      return credential?.kind === 'basic' && isLogin(request)
        ? { wrong, user: keyOf(credential.username), secret: credential.password }
        : { wrong, user: undefined, secret: inPath ? request.target.path : undefined }
    },
  }
}

function rowOf({ method, target: { path } }: GatewayRequest): (typeof GUESSES)[number] | undefined {
  const asked = method === 'HEAD' ? 'GET' : method
  return GUESSES.find(
    (row) => row.method === asked && path.startsWith(row.prefix) && matches(row.segments, segmentsOf(path)),
  )
}

function matches(template: readonly string[], asked: readonly string[]): boolean {
  return (
    template.length === asked.length && template.every((part, i) => part === asked[i] || part.startsWith('{'))
  )
}
