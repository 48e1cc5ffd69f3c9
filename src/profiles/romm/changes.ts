import type { Change } from '../../directory/change.ts'
import { sessionDigest } from '../../directory/digest.ts'
import type { Permit } from '../../pipeline/permit.ts'
import { RequestRows } from './rows.ts'

/** What a request changes, from what its template's parameter stands for and from what it carries. */
type Says = (parameter: string, permit: Asked) => readonly Change[]
type Asked = Pick<Permit, 'method' | 'target' | 'credential'>

const SOME_USER: readonly Change[] = [{ kind: 'users' }]
const SOME_TOKEN: readonly Change[] = [{ kind: 'tokens' }]

/** The body or the database names the user: which one cannot be known here. */
const someUser: Says = () => SOME_USER
const someToken: Says = () => SOME_TOKEN
const everybody: Says = () => [{ kind: 'everybody' }]
const theUser: Says = (id) => (isPlain(id) ? [{ kind: 'user', id }] : SOME_USER)
const theToken: Says = (id) => (isPlain(id) ? [{ kind: 'token', id }] : SOME_TOKEN)
const theSession: Says = (_, { credential }) =>
  credential?.kind === 'session' ? [{ kind: 'session', digest: sessionDigest(credential.id) }] : []

/**
 * RomM fact: the requests after which somebody may be somebody else, or may do something else. `POST /api/token` changes
 * nothing that is kept. A login makes a session that nobody has yet, since the one that came along is not passed on. A sign-in
 * at a provider turns the session that came along into another one's, and may give its user another role.
 */
const CHANGES = new RequestRows<Says>({
  'POST /api/login': theSession,
  'POST /api/logout': theSession,
  'GET /api/login/openid': theSession,
  'GET /api/oauth/openid': (parameter, permit) => [...theSession(parameter, permit), ...SOME_USER],
  'POST /api/reset-password': someUser,
  'POST /api/users': someUser,
  'POST /api/users/register': someUser,
  'PUT /api/users/{id}': theUser,
  'DELETE /api/users/{id}': theUser,
  'POST /api/client-tokens': someToken,
  'DELETE /api/client-tokens/{token_id}': theToken,
  'PUT /api/client-tokens/{token_id}/regenerate': theToken,
  'POST /api/client-tokens/exchange': someToken,
  'DELETE /api/client-tokens/{token_id}/admin': theToken,
  'DELETE /api/devices/{device_id}': someToken,
  'POST /api/auth/device/approve': someToken,
  'POST /api/permissions/groups': everybody,
  'PUT /api/permissions/groups/{id}': everybody,
  'DELETE /api/permissions/groups/{id}': everybody,
  'PUT /api/permissions/users/{user_id}': theUser,
})

/**
 * Told by the path and not by the rule that spoke for it: an operator's wildcard must not make a change go unnoticed.
 * @returns undefined for a request that changes nobody
 */
export function changesBy(permit: Asked): readonly Change[] | undefined {
  const found = CHANGES.find(permit.method, permit.target.path)
  return found?.value(found.parameter ?? '', permit)
}

export function isLogout({ method, target }: Pick<Permit, 'method' | 'target'>): boolean {
  return CHANGES.find(method, target.path)?.row === 'POST /api/logout'
}

/** RomM fact: ids are read leniently; `+2`, `02`, `2.0` and `0_2` are all the second user. */
function isPlain(id: string): boolean {
  return /^[1-9]\d{0,14}$/.test(id)
}
