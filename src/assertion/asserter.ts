import { SignJWT } from 'jose'
import { PosternError } from '../errors.ts'
import type { Clock } from '../identity/clock.ts'
import type { Owner, Principal } from '../identity/principal.ts'
import type { Asserter } from '../pipeline/decision.ts'
import type { MaybePromise } from '../pipeline/outcome.ts'
import type { GatewayRequest } from '../request/request.ts'
import type { SigningKey } from './folder.ts'
import type { KeyRing } from './keys.ts'

/** RFC 8725 §3.11: says what it is, so that it is never taken for another kind of token, nor another for it. */
const ASSERTION_TYPE = 'postern+jwt'

export interface AsserterOptions {
  readonly ring: Pick<KeyRing, 'signing'>
  /** The header's name, as it goes upstream. */
  readonly header: string
  readonly issuer: string
  readonly audience: string
  /** Milliseconds; not longer than what the key ring was opened with. */
  readonly lifetime: number
  /** An assertion for each request, saying which (`htm`, `htu`). */
  readonly bindRequest: boolean
  readonly clock: Pick<Clock, 'now'>
  /** For `jti`: never the same twice. */
  readonly randomId: () => string
}

/** Milliseconds since the epoch. */
interface Period {
  readonly from: number
  readonly until: number
}

/** An assertion that is used again. */
interface Held {
  readonly kid: string
  readonly reusable: Period
  readonly value: MaybePromise<string>
}

type Sign = (
  principal: Principal,
  owner: Owner,
  key: SigningKey,
  life: Period,
  binding?: Binding,
) => Promise<string>
type Binding = Readonly<Record<'htm' | 'htu', string>>

/**
 * Signs who is asking. One assertion serves a principal for half of its life; principals are replaced when
 * anything about them changes, so what is held by principal is never about something that was.
 */
export function createAsserter(options: AsserterOptions): Asserter {
  const { ring, header, lifetime, bindRequest, clock } = options
  const sign = signer(options)
  const held = new WeakMap<Principal, Held>()

  const renew = (principal: Principal, owner: Owner, key: SigningKey, life: Period): Promise<string> => {
    const reusable = { from: life.from, until: life.from + (life.until - life.from) / 2 }
    const pending = sign(principal, owner, key, life)
    const first: Held = { kid: key.kid, reusable, value: pending }
    held.set(principal, first)
    const settle = (value: string | undefined): void => {
      if (held.get(principal) !== first) return
      if (value === undefined) held.delete(principal)
      else held.set(principal, { ...first, value })
    }
    pending.then(settle, () => settle(undefined))
    return pending
  }

  return {
    header,
    assert(principal, request) {
      if (principal.owner === undefined) return undefined
      const now = clock.now()
      const key = ring.signing()
      const last = held.get(principal)
      if (last?.kid === key.kid && within(last.reusable, now)) return last.value
      const life = { from: now, until: Math.min(now + lifetime, principal.expiresAt ?? Infinity) }
      if (bindRequest) return sign(principal, principal.owner, key, life, bindingOf(request))
      return renew(principal, principal.owner, key, life)
    },
  }
}

/** Both ends count: a clock that was set back must not hand out what is issued in its future. */
function within(period: Period, now: number): boolean {
  return period.from <= now && now < period.until
}

function signer({ issuer, audience, randomId }: AsserterOptions): Sign {
  return async (principal, owner, key, life, binding) => {
    const claims = {
      iss: issuer,
      aud: audience,
      ...identityClaims(principal, owner),
      iat: seconds(life.from),
      exp: seconds(life.until),
      jti: randomId(),
      ...binding,
    }
    try {
      return await new SignJWT(claims)
        .setProtectedHeader({ alg: key.algorithm, kid: key.kid, typ: ASSERTION_TYPE })
        .sign(key.privateKey)
    } catch (error) {
      throw new PosternError('keys_unusable', `Nothing could be signed with ${key.kid}.`, { cause: error })
    }
  }
}

/** What is undefined here is left out of the JSON. */
function identityClaims(principal: Principal, owner: Owner): Record<string, string | undefined> {
  const { grant, mode, tokenId, deviceId } = principal
  return {
    sub: owner.subject,
    preferred_username: owner.username,
    role: owner.role,
    // RFC 8693 §4.2. Absent is not the same as empty: here only the backend knows which scopes it has.
    scope: grant.kind === 'known' ? grant.scopes.toString() : undefined,
    mode,
    token_id: tokenId,
    device_id: deviceId,
  }
}

/** RFC 9449 §4.2: the method, and the target URI without its query. */
function bindingOf({ method, target, client }: GatewayRequest): Binding {
  // RFC 9110 §7.1: the target URI of `OPTIONS *` has no path.
  const path = target.path === '*' ? '' : target.path
  return { htm: method, htu: `${client.scheme}://${client.host}${path}` }
}

/** RFC 7519 §2 NumericDate. Rounded down: an assertion never outlives the credential. */
function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1000)
}
