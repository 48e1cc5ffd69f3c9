import type { KeyRing } from './keys.ts'

/** The public keys as they are served (RFC 7517 §5). */
export interface JwksAnswer {
  readonly body: string
  readonly contentType: 'application/jwk-set+json'
  readonly cacheControl: string
}

/**
 * @param publishFor milliseconds between a key's publication and its first use. A copy may be kept for half of
 *   it, so that every copy that is still fresh at the first use has the key.
 * @returns what to answer just now
 */
export function createJwks(ring: Pick<KeyRing, 'published'>, publishFor: number): () => JwksAnswer {
  const cacheControl = `public, max-age=${Math.floor(publishFor / 2000)}`
  return () => {
    const keys = ring.published().map((key) => ({
      ...key.publicJwk,
      kid: key.kid,
      alg: key.algorithm,
      use: 'sig',
    }))
    return { body: JSON.stringify({ keys }), contentType: 'application/jwk-set+json', cacheControl }
  }
}
