import type { Clock } from '../identity/clock.ts'
import type { Owner, Principal } from '../identity/principal.ts'
import type { Asserter } from '../pipeline/decision.ts'
import type { MaybePromise } from '../pipeline/outcome.ts'
import type { GatewayRequest } from '../request/request.ts'
import type { SigningKey } from './folder.ts'
import { createClaimsSigner } from './jws.ts'
import type { KeyRing } from './keys.ts'

/** Of its life, that an assertion is used again for: the rest is for the way, and for a backend whose clock is ahead. */
const REUSED_FOR = 0.75

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

/** An assertion that is used again, for a while. */
interface Held extends Period {
  readonly kid: string
  readonly value: MaybePromise<string>
}

type Sign = (
  principal: Principal,
  owner: Owner,
  key: SigningKey,
  life: Period,
  binding?: Binding,
) => MaybePromise<string>
type Binding = Readonly<Record<'htm' | 'htu', string>>

/**
 * Signs who is asking. One assertion serves a principal for most of its life; principals are replaced when
 * anything about them changes, so what is held by principal is never about something that was.
 */
export function createAsserter(options: AsserterOptions): Asserter {
  const { ring, header, lifetime, bindRequest, clock } = options
  const sign = signer(options)
  const held = new WeakMap<Principal, Held>()

  const settle = (principal: Principal, pending: Held, value: string | undefined): void => {
    if (held.get(principal) !== pending) return
    if (value === undefined) held.delete(principal)
    else held.set(principal, { ...pending, value })
  }

  const renew = (principal: Principal, owner: Owner, key: SigningKey, life: Period): MaybePromise<string> => {
    const { from, until } = life
    const value = sign(principal, owner, key, life)
    const renewed: Held = { kid: key.kid, from, until: from + (until - from) * REUSED_FOR, value }
    held.set(principal, renewed)
    if (value instanceof Promise)
      value.then(
        (signed) => settle(principal, renewed, signed),
        () => settle(principal, renewed, undefined),
      )
    return value
  }

  return {
    header,
    assert(principal, request) {
      if (principal.owner === undefined) return undefined
      const now = clock.now()
      const key = ring.signing()
      const last = held.get(principal)
      if (last?.kid === key.kid && within(last, now)) return last.value
      const life = {
        from: now,
        until: wholeSecond(Math.min(now + lifetime, principal.expiresAt ?? Infinity)),
      }
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
  const sign = createClaimsSigner()
  return (principal, owner, key, life, binding) =>
    sign(
      {
        iss: issuer,
        aud: audience,
        ...identityClaims(principal, owner),
        iat: wholeSecond(life.from) / 1_000,
        exp: life.until / 1_000,
        jti: randomId(),
        ...binding,
      },
      key,
    )
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

/** RFC 7519 §2 NumericDate, in milliseconds. Rounded down: an assertion never outlives the credential. */
function wholeSecond(milliseconds: number): number {
  return milliseconds - (milliseconds % 1_000)
}
