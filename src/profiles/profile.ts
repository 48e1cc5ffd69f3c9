import type { Redis } from 'ioredis'
import type { QuestionCounts } from '../authenticators/asked.ts'
import type { Attempts } from '../authenticators/attempts.ts'
import type { Change } from '../directory/change.ts'
import type { Batched } from '../directory/revalidation.ts'
import type { TieStore } from '../directory/ties.ts'
import type { Clock } from '../identity/clock.ts'
import type { Credential } from '../identity/credential.ts'
import type { Principal } from '../identity/principal.ts'
import type { CredentialCarrier } from '../pipeline/decision.ts'
import type { Authenticator, MaybePromise } from '../pipeline/outcome.ts'
import type { Permit } from '../pipeline/permit.ts'
import type { Reason } from '../pipeline/reason.ts'
import type { Requirement, RouteRule } from '../pipeline/rule.ts'
import type { GatewayRequest } from '../request/request.ts'
import type { Finding } from './finding.ts'

/** How a refusal is worded where backends differ. */
export interface AnswerStyle {
  /** Status and `detail` of a refusal, where this backend's clients depend on others than the table's. */
  refusal(reason: Reason): { readonly status: number; readonly detail: string } | undefined
  /** The `Set-Cookie` that takes a dead session from the browser. */
  readonly clearSession: string | undefined
}

/** What one kind of credential is checked against; a line of `status`. */
export interface LadderStep {
  readonly mode: string
  readonly checkedBy: string
}

/** Something that is wrong without stopping the work; `shared` is trouble that every replica has. */
export interface Trouble {
  readonly what: string
  readonly shared: boolean
}

/**
 * Puts a question to the upstream in the gateway's own name: no credential but those in `headers`, no redirect followed.
 * @throws PosternError `upstream_unreachable`, `upstream_timeout`
 */
export type AskUpstream = (
  path: string,
  headers: Readonly<Record<string, string>>,
  /** Sent with POST; without one it is GET. */
  body?: string,
) => Promise<{ readonly status: number; readonly setCookies: readonly string[]; readonly body: string }>

/** How long answers of a directory count; durations in milliseconds. */
export interface Freshness {
  /** From the moment that the question was asked. */
  readonly freshFor: number
  /** Beyond that, while the source is away. */
  readonly staleIfError: number
  /** For one question to the source. */
  readonly deadline: number
  readonly maxEntries: number
}

/** The Redis that replicas share, and the key that proves an entry in it to be theirs. */
export interface SharedStore {
  readonly redis: Redis
  readonly secret: Buffer
  /** @see SharedTier.generation */
  readonly generation: () => string | undefined
}

/** What stands in for it among processes that keep things in one of them. */
export interface KeptTies {
  readonly secret: Buffer
  /** @param prefix tells its keys from others */
  store(prefix: string): TieStore
}

/** What every profile is made with. */
export interface ProfileContext {
  readonly ask: AskUpstream
  readonly clock: Clock
  readonly freshness: Freshness
  readonly shared: SharedStore | undefined
  /** Used where nothing is shared. */
  readonly kept?: KeptTies | undefined
  /** Told of changes that did not come through this gateway. */
  readonly changed: (changes: readonly Change[]) => void
  /** Bounds how often passwords may be tried. */
  readonly attempts: Pick<Attempts, 'judge'>
  /** One line for the operator. */
  readonly warn: (message: string) => void
}

/** A secret that the backend judges, and what it says when it is wrong. */
export interface BackendGuess {
  /** Statuses of its answer. */
  readonly wrong: ReadonlySet<number>
  /** Whose it would be, from `userKey`; undefined where only the backend can know. */
  readonly user: MaybePromise<string> | undefined
  /** Undefined where it is in the body. */
  readonly secret: string | undefined
}

/** How somebody looks whether all is well. */
export interface Diagnosing {
  /** Also by what leaves a trace at the backend: for a person who asks, not at each start. */
  readonly thorough: boolean
  /** What a request requires; undefined where there is no such route, or none is known. */
  readonly requires: (method: string, path: string) => Promise<Requirement | undefined>
  /** Eight hexadecimal digits, others each time. */
  readonly nonce: string
}

/** All knowledge of one backend product. Made once at boot. */
export interface Profile {
  readonly name: string
  readonly carrier: CredentialCarrier
  readonly authenticator: Authenticator
  /** Whether a credential is held for revoked here, though the backend might still take it: it goes nowhere. */
  readonly isRevoked?: (credential: Credential) => MaybePromise<boolean>
  /** Who an anonymous visitor is, where the operator configured one. */
  readonly guest: Principal | undefined
  readonly answers: AnswerStyle
  /** Cookies that authenticate; no other upstream may set them. */
  readonly cookieNames: readonly string[]
  /** What a path begins with, as text, under which nothing is public by wildcard. */
  readonly protectedPrefixes: readonly string[]
  readonly ladder: readonly LadderStep[]
  /** What the batches keep fresh, and what is counted. */
  readonly lookups: readonly Batched[]
  /** Questions about credentials, where the backend is asked. */
  readonly questions?: Readonly<QuestionCounts>
  /** A credential of the backend's own for a principal who came with a password; undefined where there is none to make. */
  readonly translate?: ((principal: Principal) => Credential | undefined) | undefined
  /**
   * Who would be let in as this user, or with this token: for explaining decisions, never for making one.
   * @returns undefined for nobody, and where the backend alone could say
   */
  look(kind: 'user' | 'token', nameOrId: string): Promise<Principal | undefined>
  /** Rows that come before the document's. */
  rules(): readonly RouteRule[]
  /**
   * Looks at a permitted request before it is sent.
   * @returns undefined for one that changes nobody; else what must be told how it ended and says whom it changed
   */
  watch(permit: Permit): ((ended: number | 'lost') => readonly Change[]) | undefined
  /** What an authenticating cookie that the backend sets in its answer to `permit` says of the one that came along. */
  changedByCookie(permit: Permit, setCookie: string): readonly Change[]
  /** Nothing that is known of those whom a change concerns counts any longer, answers that are under way included. */
  forget(changes: readonly Change[]): void
  /** Changes may have gone unnoticed: nothing that is known counts until it is confirmed. */
  doubt(): void
  /**
   * @param credential what the request brings
   * @returns undefined unless the request takes a secret that the backend alone judges, and that could be guessed
   */
  guess?(request: GatewayRequest, credential: Credential | undefined): BackendGuess | undefined
  troubles(): readonly Trouble[]
  /** Whether the backend and what was given of it are as they should be; what fails is a finding too. */
  diagnose?(how: Diagnosing): Promise<readonly Finding[]>
  /**
   * Opens what it needs; a source that is away does not stop it.
   * @param onRules called whenever `rules()` changed
   */
  start(onRules: () => void): Promise<void>
  /** Told what the backend's document says of its version, whenever it was read. */
  noteVersion(version: string | undefined): void
  close(): Promise<void>
}
