/**
 * Who may be somebody else from now on, or may do something else.
 * - `user`: one of them: what they may do, whether they may, their name or password. Their credentials with them.
 * - `token`, `session`: one credential; a session by its digest, since the id itself would be a credential.
 * - `users`, `tokens`: some of them, nobody knows which.
 * - `everybody`: what anybody may do (a group, say).
 */
export type Change =
  | { readonly kind: 'user' | 'token'; readonly id: string }
  | { readonly kind: 'session'; readonly digest: string }
  | { readonly kind: 'users' | 'tokens' | 'everybody' }

/** What another replica sent. One that this release does not know may concern anybody. */
export function parseChange(json: unknown): Change {
  if (typeof json !== 'object' || json === null) return ANYBODY
  const { kind, id, digest } = { ...json } as Readonly<Record<string, unknown>>
  if ((kind === 'user' || kind === 'token') && typeof id === 'string') return { kind, id }
  if (kind === 'session' && typeof digest === 'string') return { kind, digest }
  return kind === 'users' || kind === 'tokens' ? { kind } : ANYBODY
}

const ANYBODY: Change = { kind: 'everybody' }
