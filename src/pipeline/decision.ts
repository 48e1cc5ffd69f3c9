import type { Credential } from '../identity/credential.ts'
import type { Principal } from '../identity/principal.ts'
import type { GatewayRequest, RawHeaders } from '../request/request.ts'
import type { MaybePromise, Rejection } from './outcome.ts'
import type { Permit } from './permit.ts'
import type { Reason } from './reason.ts'
import type { RouteRule } from './rule.ts'

/** What the answer, the log line and `explain` say of a refusal. */
export interface Denial {
  readonly kind: 'deny'
  readonly reason: Reason
  readonly rule?: RouteRule
  /** Of the path, where rules speak for other methods alone. */
  readonly template?: string
  /** Whose credential it was, where that is known. */
  readonly principal?: Principal
  /** The credential that was looked at. */
  readonly credential?: Credential
  readonly rejection?: Rejection
  /** A session cookie that is gone for good came along: the answer clears it. */
  readonly deadSession?: boolean
  readonly required?: readonly string[]
  readonly missing?: readonly string[]
  readonly allow?: readonly string[]
  readonly hint?: string
  /** Seconds after which asking again makes sense. */
  readonly retryAfter?: number
  /** For the log. */
  readonly cause?: unknown
}

export type Decision = { readonly kind: 'permit'; readonly permit: Permit } | Denial

/** The one door: every request, socket and decision-API question goes through it. */
export type Decide = (request: GatewayRequest) => MaybePromise<Decision>

/** What a request presents, as the profile's backend would read it. */
export interface Presented {
  /** Sent by the browser on its own (a cookie). */
  readonly ambient: Credential | undefined
  /** Sent on purpose (`Authorization`). */
  readonly explicit: Credential | undefined
}

/** Knows where a backend's credentials travel. */
export interface CredentialCarrier {
  /** `'several'` when the request has more than one `Authorization`. */
  read(headers: RawHeaders): Presented | 'several'
  /** `headers` without anything the backend could read as a credential, and with `credential` in its plain form. */
  rewrite(headers: RawHeaders, credential: Credential | undefined): string[]
}

/** Makes the signed identity header's value for a principal. */
export interface Asserter {
  /** The header's name, as it goes upstream. */
  readonly header: string
  /**
   * @returns undefined when nothing can be asserted (the owner is unknown)
   * @throws PosternError `keys_unusable`
   */
  assert(principal: Principal, request: GatewayRequest): MaybePromise<string | undefined>
}
