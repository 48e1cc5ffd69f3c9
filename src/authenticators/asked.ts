import { PosternError } from '../errors.ts'
import { createSecretDigest, sessionDigest, sha256 } from '../directory/digest.ts'
import type { Lookup } from '../directory/lookup.ts'
import type { Credential, Mode } from '../identity/credential.ts'
import type { Owner, Principal } from '../identity/principal.ts'
import { ScopeSet } from '../identity/scope.ts'
import { chain } from '../pipeline/maybe.ts'
import { authenticated, rejected } from '../pipeline/outcome.ts'
import type { Authenticator, MaybePromise, Outcome } from '../pipeline/outcome.ts'
import type { ClientInfo } from '../request/request.ts'
import type { Attempts } from './attempts.ts'
import type { AccessClaims, JwtVerifier, ReadClaims } from './jwt.ts'
import { peekClaims } from './jwt.ts'

/**
 * What the backend said of one credential. Frozen.
 * - `user`: good, and this is its user with what the user may do.
 * - `good`: good, but not allowed to say whose it is.
 * - `pending`: a session on which nobody has logged in.
 */
export type Verdict =
  | { readonly kind: 'user'; readonly owner: Owner; readonly scopes: ScopeSet }
  | { readonly kind: 'good' }
  | { readonly kind: 'pending' }

/**
 * Puts one credential to the backend. Undefined: the backend refuses it.
 * @param wasGood when it was last asked about: such questions are few, and none of a flood of new ones may stand in their way
 */
export type Ask = (
  credential: Credential,
  client: ClientInfo,
  wasGood?: boolean,
) => Promise<Verdict | undefined>

/** Questions that were put to the backend, and those for which there was no room. */
export interface QuestionCounts {
  asked: number
  refused: number
}

/** `ask`, counted. */
export function countQuestions(ask: Ask, counts: QuestionCounts): Ask {
  return async (credential, client, wasGood) => {
    try {
      const verdict = await ask(credential, client, wasGood)
      counts.asked++
      return verdict
    } catch (error) {
      if (error instanceof PosternError && error.code === 'question_refused') counts.refused++
      else counts.asked++
      throw error
    }
  }
}

export interface AskedOptions {
  readonly ask: Ask
  /** Verdicts on what can be told by its digest. */
  readonly verdicts: Lookup<Verdict>
  /** Verdicts on passwords, which never leave the process. */
  readonly passwordVerdicts: Lookup<Verdict>
}

/**
 * `ask`, with passwords put to the backend only as often as guesses may be made; the rest cannot be guessed.
 * @param userOf whom a name is counted for
 */
export function limitGuesses(
  ask: Ask,
  attempts: Pick<Attempts, 'judge'>,
  userOf: (name: string) => MaybePromise<string>,
): Ask {
  return async (credential, client, wasGood) => {
    if (credential.kind !== 'basic') return ask(credential, client, wasGood)
    const guess = { client, user: await userOf(credential.username), secret: credential.password }
    return attempts.judge(
      guess,
      () => ask(credential, client, wasGood),
      (verdict) => verdict !== undefined,
    )
  }
}

/** Verdicts by credential: the same question is asked once, however many wait for its answer. */
export function createInquiry(
  options: AskedOptions,
): (credential: Credential, client: ClientInfo) => MaybePromise<Verdict | undefined> {
  const digestOf = createSecretDigest()
  return (credential, client) => {
    const find = (verdicts: Lookup<Verdict>, of: string): MaybePromise<Verdict | undefined> =>
      verdicts.find(of, () => options.ask(credential, client, isSomebodys(verdicts.recall(of))))
    switch (credential.kind) {
      case 'basic':
        return find(options.passwordVerdicts, digestOf(credential.username, credential.password))
      case 'session':
        return find(options.verdicts, sessionVerdictKey(sessionDigest(credential.id)))
      case 'jwt':
        return find(options.verdicts, `jwt:${sha256(credential.token)}`)
      case 'token':
        return find(options.verdicts, `${TOKEN_VERDICT}${sha256(credential.token)}`)
      case 'malformed':
        return undefined
    }
  }
}

/** A session before its login is handed out to everybody who asks for one. */
function isSomebodys(verdict: Verdict | undefined): boolean {
  return verdict !== undefined && verdict.kind !== 'pending'
}

/** Where the verdict on a session is kept, for whoever sees it end. */
export function sessionVerdictKey(digest: string): string {
  return `session:${digest}`
}

/** How the keys of verdicts on tokens begin. */
export const TOKEN_VERDICT = 'token:'

type Inquiry = ReturnType<typeof createInquiry>

/** Sessions and passwords: they may do what their user may, and only somebody who is known has any. */
export function createAskedUser(inquiry: Inquiry, mode: Extract<Mode, 'session' | 'basic'>): Authenticator {
  const made = new WeakMap<Verdict, Principal>()
  return {
    authenticate: (credential, client) =>
      chain(inquiry(credential, client), (verdict) => {
        if (verdict?.kind === 'pending') return rejected('not_a_login')
        if (verdict?.kind !== 'user') return rejected('refused_by_backend')
        return remembered(made, verdict, () =>
          principal(mode, verdict.owner, { kind: 'known', scopes: verdict.scopes }, undefined),
        )
      }),
  }
}

/** Opaque tokens: good or not is known, which scopes they carry is not. */
export function createAskedToken(inquiry: Inquiry): Authenticator {
  const made = new WeakMap<Verdict, Principal>()
  return {
    authenticate: (credential, client) =>
      chain(inquiry(credential, client), (verdict) => {
        if (verdict === undefined || verdict.kind === 'pending') return rejected('refused_by_backend')
        const owner = verdict.kind === 'user' ? verdict.owner : undefined
        if (credential.kind === 'token' && credential.ownerName !== undefined) {
          if (owner?.username.toLowerCase() !== credential.ownerName.toLowerCase())
            return rejected('wrong_owner')
        }
        return remembered(made, verdict, () => principal('token', owner, { kind: 'deferred' }, undefined))
      }),
  }
}

/** Claims read without a key: good enough to save a question, never an answer. */
export function unverifiedClaims(read: ReadClaims, now: () => number): JwtVerifier {
  return {
    verify(token) {
      const claims = peekClaims(token, read)
      return typeof claims === 'string' || claims.expiresAt > now() ? claims : 'expired'
    },
  }
}

/**
 * Access tokens whose user must be asked for. The backend's yes makes the claims true, so they bound what the token may do.
 * @param verifier checks the signature here, where the key is known, or only shape and expiry
 */
export function createAskedJwt(inquiry: Inquiry, verifier: JwtVerifier): Authenticator {
  const made = new WeakMap<Verdict, Principal>()
  const conclude = (claims: AccessClaims, verdict: Verdict | undefined): Outcome => {
    if (verdict === undefined || verdict.kind === 'pending') return rejected('refused_by_backend')
    return remembered(made, verdict, () =>
      verdict.kind === 'user'
        ? principal(
            'jwt',
            verdict.owner,
            { kind: 'known', scopes: verdict.scopes.intersect(claims.scopes) },
            claims.expiresAt,
          )
        : principal(
            'jwt',
            undefined,
            { kind: 'deferred', within: ScopeSet.of(claims.scopes) },
            claims.expiresAt,
          ),
    )
  }
  return {
    authenticate: (credential, client) => {
      if (credential.kind !== 'jwt') return rejected('malformed')
      return chain(verifier.verify(credential.token), (claims) =>
        typeof claims === 'string'
          ? rejected(claims)
          : chain(inquiry(credential, client), (verdict) => conclude(claims, verdict)),
      )
    },
  }
}

function remembered(made: WeakMap<Verdict, Principal>, verdict: Verdict, make: () => Principal): Outcome {
  const principalOf = made.get(verdict) ?? Object.freeze(make())
  made.set(verdict, principalOf)
  return authenticated(principalOf)
}

function principal(
  mode: Mode,
  owner: Owner | undefined,
  grant: Principal['grant'],
  expiresAt: number | undefined,
): Principal {
  return { mode, owner, grant, expiresAt, tokenId: undefined, deviceId: undefined }
}
