import { type KeyObject, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { promisify } from 'node:util'
import type { MaybePromise } from '../pipeline/outcome.ts'

/** What an assertion can be signed with (RFC 7518 §3.1, RFC 8037 §3.1), best first. */
export const ALGORITHMS = ['EdDSA', 'ES256', 'RS256'] as const
export type Algorithm = (typeof ALGORITHMS)[number]

interface KeyKind {
  /** Blocks for as long as it takes (RSA: a fraction of a second): for start-up and the command line. */
  generate(): KeyObject
  fits(key: KeyObject): boolean
  /** The signature as JWS has it. Elliptic curves take less than the way to another thread and back. */
  sign(data: Buffer, key: KeyObject): MaybePromise<Buffer>
  /** Every public member of its JWK. A list, so that a private one can never slip through. */
  readonly members: readonly string[]
}

/** RFC 7518 §3.3: 2048 bits or more. */
const RSA_BITS = 2048

const signElsewhere = promisify<string, Buffer, KeyObject, Buffer>(sign)

const KINDS = {
  EdDSA: {
    generate: () => generateKeyPairSync('ed25519').privateKey,
    fits: (key) => key.asymmetricKeyType === 'ed25519',
    sign: (data, key) => sign(null, data, key),
    members: ['kty', 'crv', 'x'],
  },
  ES256: {
    generate: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
    fits: (key) => key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1',
    // RFC 7518 §3.4: R and S side by side, not in ASN.1.
    sign: (data, key) => sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' }),
    members: ['kty', 'crv', 'x', 'y'],
  },
  RS256: {
    generate: () => generateKeyPairSync('rsa', { modulusLength: RSA_BITS }).privateKey,
    fits: (key) =>
      key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= RSA_BITS,
    sign: (data, key) => signElsewhere('sha256', data, key),
    members: ['kty', 'n', 'e'],
  },
} as const satisfies Record<Algorithm, KeyKind>

export function generatePrivateKey(algorithm: Algorithm): KeyObject {
  return KINDS[algorithm].generate()
}

export function fits(key: KeyObject, algorithm: Algorithm): boolean {
  return KINDS[algorithm].fits(key)
}

/** What `key`, which must fit, signs `data` with. */
export function signBytes(algorithm: Algorithm, data: Buffer, key: KeyObject): MaybePromise<Buffer> {
  return KINDS[algorithm].sign(data, key)
}

/** The one algorithm that `key` is used with here, or undefined for a key of another kind. */
export function algorithmOf(key: KeyObject): Algorithm | undefined {
  return ALGORITHMS.find((algorithm) => fits(key, algorithm))
}

/** The public half of a private key as a bare JWK (RFC 7517): key material only. */
export function publicMembers(key: KeyObject, algorithm: Algorithm): Readonly<Record<string, string>> {
  const jwk = createPublicKey(key).export({ format: 'jwk' })
  return Object.fromEntries(KINDS[algorithm].members.map((member) => [member, String(jwk[member])]))
}
