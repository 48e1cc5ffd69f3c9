import type { Permit } from '../../pipeline/permit.ts'
import { segmentsOf } from '../../routes/template.ts'

/** Whom a request may make somebody else: one session, or anybody. */
export type Reach = 'session' | 'everybody'

/**
 * RomM fact: the requests after which somebody may be somebody else, or may do something else. A login makes a session
 * that nobody has yet, since the one that came along is not passed on. `POST /api/token` changes nothing that is kept.
 */
const CHANGES = (
  [
    ['session', 'POST /api/login'],
    ['session', 'POST /api/logout'],
    ['everybody', 'GET /api/oauth/openid'],
    ['everybody', 'POST /api/reset-password'],
    ['everybody', 'POST /api/users'],
    ['everybody', 'POST /api/users/register'],
    ['everybody', 'PUT /api/users/{id}'],
    ['everybody', 'DELETE /api/users/{id}'],
    ['everybody', 'POST /api/client-tokens'],
    ['everybody', 'DELETE /api/client-tokens/{token_id}'],
    ['everybody', 'PUT /api/client-tokens/{token_id}/regenerate'],
    ['everybody', 'POST /api/client-tokens/exchange'],
    ['everybody', 'DELETE /api/client-tokens/{token_id}/admin'],
    ['everybody', 'DELETE /api/devices/{device_id}'],
    ['everybody', 'POST /api/auth/device/approve'],
    ['everybody', 'POST /api/permissions/groups'],
    ['everybody', 'PUT /api/permissions/groups/{id}'],
    ['everybody', 'DELETE /api/permissions/groups/{id}'],
    ['everybody', 'PUT /api/permissions/users/{user_id}'],
  ] as const
).map(([reach, row]) => ({ reach, parts: row.split(/[ /]+/) }))

/**
 * Told by the path and not by the rule that spoke for it: an operator's wildcard must not make a change go unnoticed.
 * @returns undefined for a request that changes nobody
 */
export function reachOf({ method, target }: Pick<Permit, 'method' | 'target'>): Reach | undefined {
  const asked = [method, ...segmentsOf(target.path)]
  const change = CHANGES.find(
    ({ parts }) =>
      parts.length === asked.length && parts.every((part, i) => part === asked[i] || part.startsWith('{')),
  )
  return change?.reach
}

export function isLogout({ target }: Pick<Permit, 'target'>): boolean {
  return segmentsOf(target.path).join('/') === 'api/logout'
}
