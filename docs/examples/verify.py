import jwt  # pip install 'pyjwt[crypto]'


def create_verifier(jwks, issuer, audience, algorithms=("EdDSA",)):
    """Returns a function from the header's value to its claims; it raises jwt.PyJWTError
    on anything that is not good.

    jwks: address of Postern's /.well-known/postern/jwks.json, as the backend reaches it
    issuer, audience: assertion.issuer and assertion.audience of Postern's configuration
    algorithms: what Postern signs with, and nothing else
    """
    # Fetches on first use, and again for a kid that it has not seen.
    keys = jwt.PyJWKClient(jwks, lifespan=300, timeout=5)

    def verify(assertion):
        header = jwt.get_unverified_header(assertion)
        if header.get("typ") != "postern+jwt":
            raise jwt.InvalidTokenError("This is no assertion of Postern.")
        if not isinstance(header.get("kid"), str):
            raise jwt.InvalidTokenError("The assertion names no key.")
        return jwt.decode(
            assertion,
            keys.get_signing_key(header["kid"]),
            algorithms=list(algorithms),
            issuer=issuer,
            audience=audience,
            leeway=5,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )

    return verify
