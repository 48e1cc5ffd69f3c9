import { PosternError } from '../errors.ts'
import { attempt, chain } from '../pipeline/maybe.ts'
import type { MaybePromise } from '../pipeline/outcome.ts'
import { fits, signBytes } from './algorithm.ts'
import type { SigningKey } from './folder.ts'

/** RFC 8725 §3.11: says what it is, so that it is never taken for another kind of token, nor another for it. */
const ASSERTION_TYPE = 'postern+jwt'

/** @throws PosternError `keys_unusable` */
export type SignClaims = (claims: object, key: SigningKey) => MaybePromise<string>

/**
 * Signs claims as a JWS in compact form (RFC 7515 §7.1). By hand, since a general library takes a third more than the signature;
 * what is undefined among the claims is left out.
 */
export function createClaimsSigner(): SignClaims {
  const headers = new WeakMap<SigningKey, string>()

  /** The same for everything that a key signs (RFC 7515 §4.1). */
  const headerOf = (key: SigningKey): string => {
    const known = headers.get(key)
    if (known !== undefined) return known
    const { algorithm: alg, kid, privateKey } = key
    if (!fits(privateKey, alg)) throw unusable(key)
    const header = encode({ alg, kid, typ: ASSERTION_TYPE })
    headers.set(key, header)
    return header
  }

  return (claims, key) => {
    // RFC 7515 §5.1: header and payload, each in base64url, with a period between them, are what is signed.
    const input = `${headerOf(key)}.${encode(claims)}`
    return chain(signed(input, key), (signature) => `${input}.${signature.toString('base64url')}`)
  }
}

function signed(input: string, key: SigningKey): MaybePromise<Buffer> {
  return attempt(
    () => signBytes(key.algorithm, Buffer.from(input, 'latin1'), key.privateKey),
    (error) => {
      throw unusable(key, error)
    },
  )
}

function encode(json: object): string {
  return Buffer.from(JSON.stringify(json)).toString('base64url')
}

function unusable({ kid }: SigningKey, cause?: unknown): PosternError {
  return new PosternError('keys_unusable', `Nothing could be signed with ${kid}.`, { cause })
}
