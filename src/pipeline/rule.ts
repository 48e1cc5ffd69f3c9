import type { CredentialKind } from '../identity/credential.ts'
import type { ScopeSet } from '../identity/scope.ts'
import type { MaybePromise } from './outcome.ts'

/** What a request must bring to pass a rule. `nobody` is a closed door: it answers as if the route did not exist. */
export type Requirement =
  | { readonly kind: 'public' }
  /** Somebody; the configured guest only where `guests` says so. */
  | { readonly kind: 'authenticated'; readonly guests?: boolean }
  /** These scopes; the configured guest's count unless `guests` is false. */
  | { readonly kind: 'scopes'; readonly scopes: ScopeSet; readonly guests?: boolean }
  | { readonly kind: 'nobody' }

/** Who wrote a rule: the operator (`rules:`), the profile, or the backend's own OpenAPI document. */
export type RuleOrigin = 'operator' | 'profile' | 'document'

/** One row of the route table. Frozen. */
export interface RouteRule {
  /** Path template as people write it, `/api/roms/{id}`; also the label in logs and metrics. */
  readonly template: string
  /** Upper case; `'*'` for every method. */
  readonly methods: readonly string[] | '*'
  readonly requirement: Requirement
  readonly origin: RuleOrigin
  /** Answer 404 where 401 or 403 would be due. */
  readonly conceal: boolean
  /** WebSocket upgrades are let through. */
  readonly socket: boolean
  /**
   * Kinds of credential that the route itself takes as its input (a login takes Basic, a logout the session):
   * forwarded unverified in plain form, unless held for revoked.
   */
  readonly input: readonly CredentialKind[]
  /** The backend checks scopes on this route itself, so a deferred grant may pass. */
  readonly backendChecksScopes: boolean
  /** Said in the refusal's body. */
  readonly hint: string | undefined
}

export type RouteMatch =
  | { readonly kind: 'rule'; readonly rule: RouteRule }
  | { readonly kind: 'method_not_allowed'; readonly allow: readonly string[]; readonly template: string }
  | { readonly kind: 'none' }

/** Which rule speaks for a request. */
export interface Router {
  /**
   * @param path the canonical path, without query
   * @throws PosternError `route_table_unavailable` when a miss could not be confirmed
   */
  match(method: string, path: string): MaybePromise<RouteMatch>
}
