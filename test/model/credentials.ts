import type { AccessClaims } from '../../src/authenticators/jwt.ts'
import type { Credential } from '../../src/identity/credential.ts'

/** Whole tokens as the verifier of the model reads them: a signature never changes, so it is none of its business. */
export function jwtOf({ username, scopes, expiresAt }: AccessClaims): Credential {
  return { kind: 'jwt', token: `${username}|${scopes.join(' ')}|${expiresAt}` }
}

export function claimsOf(token: string): AccessClaims {
  const [username = '', scopes = '', expiresAt = '0'] = token.split('|')
  return { username, scopes: scopes.split(' '), expiresAt: Number(expiresAt) }
}

/** Everything that was ever handed out, good or not. */
export class Issued {
  readonly all: Credential[] = []
  #count = 0

  add(...credentials: Credential[]): void {
    const seen = new Set(this.all.map((each) => JSON.stringify(each)))
    this.all.push(...credentials.filter((each) => !seen.has(JSON.stringify(each))))
  }

  /** The nth, the newest first, round and round. */
  pick(n: number): Credential {
    return at(this.all.toReversed(), n)
  }

  /** A number that was never there before. */
  next(): number {
    return ++this.#count
  }
}

/** The nth, round and round. */
export function at<T>(list: readonly T[], nth: number): T {
  const found = list[nth % list.length]
  if (found === undefined) throw new Error('there is none')
  return found
}
