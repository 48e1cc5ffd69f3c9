import { PosternError } from '../../src/errors.ts'
import type { Credential } from '../../src/identity/credential.ts'
import type { Principal } from '../../src/identity/principal.ts'
import { ScopeSet } from '../../src/identity/scope.ts'
import { createDecide } from '../../src/pipeline/decide.ts'
import type { DecideOptions } from '../../src/pipeline/decide.ts'
import type { Decision } from '../../src/pipeline/decision.ts'
import { abstained, authenticated, rejected } from '../../src/pipeline/outcome.ts'
import type { Authenticator, MaybePromise, Outcome } from '../../src/pipeline/outcome.ts'
import type { RouteRule, Router } from '../../src/pipeline/rule.ts'
import { rommCarrier } from '../../src/profiles/romm/credentials.ts'
import { createHygiene } from '../../src/request/headers.ts'
import type { GatewayRequest } from '../../src/request/request.ts'
import { parseTarget } from '../../src/request/target.ts'
import { RouteTable } from '../../src/routes/table.ts'

export const ASSERTION = 'X-Postern-Assertion'

/** Tokens as RomM's are: a letter, sixty-four times. */
export const tokenOf = (letter: string): string => `rmm_${letter.repeat(64)}`

interface Made {
  readonly name: string
  readonly scopes?: string
  readonly grant?: Principal['grant']
  readonly mode?: Principal['mode']
  readonly isOwned?: boolean
}

export function principal({
  name,
  scopes = 'roms.read',
  grant,
  mode = 'session',
  isOwned = true,
}: Made): Principal {
  return Object.freeze<Principal>({
    mode,
    owner: isOwned ? { subject: `id of ${name}`, username: name, role: 'user' } : undefined,
    grant: grant ?? { kind: 'known', scopes: ScopeSet.of(scopes.split(' ')) },
    expiresAt: undefined,
    tokenId: undefined,
    deviceId: undefined,
  })
}

/** What a stand-in knows: by session id, token, or Basic name. The values are outcomes, or what is thrown. */
export type Known = Readonly<Record<string, Outcome | Error>>

export const vera = authenticated(principal({ name: 'vera' }))
const away = new PosternError('could_not_check')

export const KNOWN: Known = {
  'vera-session': vera,
  'edith-session': authenticated(principal({ name: 'edith' })),
  'dead-session': rejected('unknown'),
  'state-session': rejected('not_a_login'),
  'away-session': away,
  'vera.jwt': authenticated(principal({ name: 'vera', mode: 'jwt' })),
  'admin.jwt': authenticated(principal({ name: 'admin', mode: 'jwt', scopes: 'roms.read users.write' })),
  'dead.jwt': rejected('expired'),
  'away.jwt': away,
  [tokenOf('a')]: authenticated(principal({ name: 'vera', mode: 'token' })),
  [tokenOf('d')]: rejected('revoked'),
  vera: authenticated(principal({ name: 'vera', mode: 'basic' })),
  mallory: rejected('wrong_password'),
  away,
}

function keyOf(credential: Credential): string {
  switch (credential.kind) {
    case 'session':
      return credential.id
    case 'basic':
      return credential.username
    case 'jwt':
    case 'token':
      return credential.token
    case 'malformed':
      return ''
  }
}

export interface Asked extends Authenticator {
  /** The credentials that were looked at, in order. */
  readonly asked: readonly string[]
}

/** Knows what it is told, answers at once or, with `later`, by promise. */
export function standIn(known: Known = KNOWN, later = false): Asked {
  const asked: string[] = []
  const answer = (credential: Credential): Outcome => {
    if (credential.kind === 'malformed') return rejected('malformed')
    const outcome = known[keyOf(credential)] ?? abstained
    if (outcome instanceof Error) throw outcome
    return outcome
  }
  return {
    asked,
    authenticate: (credential) => {
      asked.push(keyOf(credential))
      return later ? Promise.resolve().then(() => answer(credential)) : answer(credential)
    },
  }
}

export function routerOf(...rules: RouteRule[]): Router {
  return new RouteTable({ layers: [{ rules }], protectedPrefixes: ['/api'] })
}

interface Parts {
  readonly router?: Router
  readonly rules?: readonly RouteRule[]
  readonly authenticator?: Authenticator
  readonly guest?: Principal
  readonly conflict?: 'resolve' | 'reject'
  readonly outgoing?: Partial<DecideOptions['outgoing']>
  readonly origins?: readonly string[]
}

/** `decide()` of real pieces, but for who is who; `send` puts one request to it. */
export function gatewayOf(parts: Parts): (sent?: Sent) => MaybePromise<Decision> {
  const decide = createDecide({
    router: parts.router ?? routerOf(...(parts.rules ?? [])),
    identity: {
      carrier: rommCarrier,
      authenticator: parts.authenticator ?? standIn(),
      guest: parts.guest,
      conflict: parts.conflict ?? 'resolve',
    },
    outgoing: {
      hygiene: createHygiene([ASSERTION]),
      policy: { outgoing: (credential) => credential },
      asserter: undefined,
      plain: undefined,
      ...parts.outgoing,
    },
    sockets: { origins: new Set(parts.origins) },
  })
  return (sent = {}) => decide(requestOf(sent))
}

export interface Sent {
  readonly method?: string
  readonly target?: string
  readonly cookie?: string | undefined
  readonly authorization?: string | undefined
  readonly headers?: readonly string[]
  readonly upgrade?: boolean
}

export function requestOf(sent: Sent): GatewayRequest {
  const method = sent.method ?? 'GET'
  const parsed = parseTarget(sent.target ?? '/api/roms', method, 'romm.example')
  if (!parsed.ok) throw new Error(parsed.fault)
  const headers = [
    ...['Host', 'romm.example', 'Accept', '*/*'],
    ...(sent.cookie === undefined ? [] : ['Cookie', sent.cookie]),
    ...(sent.authorization === undefined ? [] : ['Authorization', sent.authorization]),
    ...(sent.headers ?? []),
  ]
  const client = {
    address: '198.51.100.7',
    peer: '10.0.0.2',
    scheme: 'https' as const,
    host: 'romm.example',
    forwardedFor: '198.51.100.7, 10.0.0.2',
  }
  return { id: 'req-1', method, target: parsed.target, headers, client, upgrade: sent.upgrade ?? false }
}

/** The session cookie of a stand-in's session. */
export const session = (name: string): string => `romm_session=${name}-session`

export const basic = (name: string, password = 'x'): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`

/** A decision in a few words: the reason, or who passes with which credential in which header. */
export function told(decision: Decision): string {
  if (decision.kind === 'deny') return decision.reason
  const { principal: who, credential } = decision.permit
  return `${who?.owner?.username ?? who?.mode ?? 'anonymous'} with ${credential === undefined ? 'nothing' : keyOf(credential)}`
}

/** The values of a header that goes upstream, however it is spelt. */
export function upstreamValues(decision: Decision, name: string): string[] {
  if (decision.kind === 'deny') return ['denied']
  const { headers } = decision.permit
  return headers.filter((_, i) => i % 2 === 1 && headers[i - 1]?.toLowerCase() === name.toLowerCase())
}
