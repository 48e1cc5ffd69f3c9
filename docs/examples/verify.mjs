import { createRemoteJWKSet, errors, jwtVerify } from 'jose'

/**
 * @param {object} expected
 * @param {string} expected.jwks address of Postern's /.well-known/postern/jwks.json, as the backend reaches it
 * @param {string} expected.issuer assertion.issuer of Postern's configuration
 * @param {string} expected.audience assertion.audience of it: this backend
 * @param {string[]} [expected.algorithms] what Postern signs with, and nothing else
 * @returns a function from the header's value to who is asking; it throws on anything that is not good
 */
export function createVerifier({ jwks, issuer, audience, algorithms = ['EdDSA'] }) {
  // Fetches on first use, and again for a kid that it has not seen.
  const keys = createRemoteJWKSet(new URL(jwks), { cacheMaxAge: 300_000 })
  return async (/** @type {string} */ assertion) => {
    const { payload, protectedHeader } = await jwtVerify(assertion, keys, {
      algorithms,
      typ: 'postern+jwt',
      issuer,
      audience,
      requiredClaims: ['exp', 'iat', 'sub'],
      clockTolerance: 5,
    })
    if (protectedHeader.kid === undefined) throw new errors.JWTInvalid('The assertion names no key.')
    return {
      subject: payload.sub,
      username: payload.preferred_username,
      role: payload.role,
      // Undefined: Postern does not know. Empty: the credential has none.
      scopes: typeof payload.scope === 'string' ? payload.scope.split(' ').filter(Boolean) : undefined,
    }
  }
}

/** Of an error of the function above: the keys could not be fetched, which says nothing about the assertion. */
export function isOutage(/** @type {unknown} */ error) {
  return !(error instanceof errors.JOSEError) || ['ERR_JOSE_GENERIC', 'ERR_JWKS_TIMEOUT'].includes(error.code)
}
