import type { Lookup } from '../directory/lookup.ts'
import type { Principal } from '../identity/principal.ts'
import type { CredentialCarrier } from '../pipeline/decision.ts'
import type { Authenticator } from '../pipeline/outcome.ts'
import type { Permit } from '../pipeline/permit.ts'
import type { Reason } from '../pipeline/reason.ts'
import type { RouteRule } from '../pipeline/rule.ts'

/** How a refusal is worded where backends differ. */
export interface AnswerStyle {
  /** The status of a refusal, where this backend's clients depend on another than the table's. */
  status(reason: Reason): number | undefined
  /** `detail`, likewise. */
  detail(reason: Reason): string | undefined
  /** The `Set-Cookie` that takes a dead session from the browser. */
  readonly clearSession: string | undefined
}

/** A line of `status`: what one kind of credential is checked against. */
export interface LadderStep {
  readonly mode: string
  readonly checkedBy: string
}

/** Something that is wrong without stopping the work; `shared` is trouble that every replica has. */
export interface Trouble {
  readonly what: string
  readonly shared: boolean
}

/** A question put to the upstream in the gateway's own name: no credential but those in `headers`, no redirect followed. */
export type AskUpstream = (question: {
  readonly path: string
  readonly headers: readonly string[]
}) => Promise<{ readonly status: number; readonly headers: readonly string[]; readonly body: string }>

/** All knowledge of one backend product. Made once at boot. */
export interface Profile {
  readonly name: string
  readonly carrier: CredentialCarrier
  readonly authenticator: Authenticator
  readonly guest: Principal | undefined
  readonly answers: AnswerStyle
  /** Cookies that authenticate; no other upstream may set them. */
  readonly cookieNames: readonly string[]
  readonly ladder: readonly LadderStep[]
  /** What the batches keep fresh. */
  readonly lookups: readonly Lookup<object>[]
  /** Rows that come before the document's. Changes are told to `onRules`. */
  rules(): readonly RouteRule[]
  /** Told what the backend says of itself, whenever its document was read. */
  noteVersion(version: string | undefined): void
  /** Whether a permitted request changes who somebody is or what they may do. */
  changesIdentity(permit: Permit): boolean
  /** After a change was seen: forgets what it may have made wrong. */
  forget(permit: Permit): void
  troubles(): readonly Trouble[]
  /** Opens what it needs. Does not fail because a source is away; @throws PosternError `config_invalid` */
  start(onRules: () => void): Promise<void>
  close(): Promise<void>
}
