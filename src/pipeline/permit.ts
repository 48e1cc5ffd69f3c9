import { PosternError } from '../errors.ts'
import type { Credential } from '../identity/credential.ts'
import type { Principal } from '../identity/principal.ts'
import type { ClientInfo, RawHeaders } from '../request/request.ts'
import type { CanonicalTarget } from '../request/target.ts'
import type { Attempt } from './attempt.ts'
import type { Denial } from './decision.ts'
import type { RouteRule } from './rule.ts'

export interface PermitContents {
  readonly requestId: string
  readonly method: string
  readonly target: CanonicalTarget
  /** Everything that goes upstream, and nothing else does. */
  readonly headers: RawHeaders
  readonly rule: RouteRule
  /** Undefined for an anonymous request on a public route. */
  readonly principal: Principal | undefined
  /** What was decided on, or passes as the route's input; what of it goes upstream is in `headers`. */
  readonly credential: Credential | undefined
  readonly client: ClientInfo
  /** It permits a WebSocket, and nothing but one. */
  readonly upgrade: boolean
  /** Told how the request ended, where its answer judges a guess. */
  readonly attempt?: Attempt | undefined
  /** It would have been refused, were decisions not merely observed. */
  readonly observed?: Denial | undefined
}

let issue: (contents: PermitContents) => Permit

/**
 * The proof that one request was decided on: whatever opens a way to the backend demands one. Only `decide()` makes them,
 * and `observe()` of what it refused (the import test holds `issuePermit` to their files). It works once.
 */
export class Permit implements PermitContents {
  readonly requestId: string
  readonly method: string
  readonly target: CanonicalTarget
  readonly headers: RawHeaders
  readonly rule: RouteRule
  readonly principal: Principal | undefined
  readonly credential: Credential | undefined
  readonly client: ClientInfo
  readonly upgrade: boolean
  readonly attempt: Attempt | undefined
  readonly observed: Denial | undefined
  #spent = false

  private constructor(contents: PermitContents) {
    this.requestId = contents.requestId
    this.method = contents.method
    this.target = contents.target
    this.headers = contents.headers
    this.rule = contents.rule
    this.principal = contents.principal
    this.credential = contents.credential
    this.client = contents.client
    this.upgrade = contents.upgrade
    this.attempt = contents.attempt
    this.observed = contents.observed
  }

  static {
    issue = (contents) => new Permit(contents)
  }

  /** @throws PosternError `permit_spent` on the second call */
  spend(): void {
    if (this.#spent) throw new PosternError('permit_spent')
    this.#spent = true
  }
}

/** For `decide()` and `observe()` only. */
export function issuePermit(contents: PermitContents): Permit {
  return issue(contents)
}
