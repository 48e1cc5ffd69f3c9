import os
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, Header, HTTPException

from verify import create_verifier

verify = create_verifier(
    os.environ.get("POSTERN_JWKS", "http://postern:8090/.well-known/postern/jwks.json"),
    issuer="postern",
    audience="backend",
)


# No coroutine: FastAPI runs it in a thread, where it may wait for the keys.
def current_user(x_postern_assertion: Annotated[str, Header()] = ""):
    try:
        return verify(x_postern_assertion)
    # 401 is for what was checked and found bad: apps sign their users out on it.
    except jwt.PyJWKClientConnectionError as error:
        raise HTTPException(503, "Who is asking could not be established.") from error
    except jwt.PyJWTError as error:
        raise HTTPException(401, "Who is asking could not be established.") from error


# Before every route. /docs and /openapi.json are no routes of this kind, and stay open.
app = FastAPI(dependencies=[Depends(current_user)])


@app.get("/whoami")
def whoami(user: Annotated[dict, Depends(current_user)]):
    return {"subject": user["sub"], "username": user["preferred_username"]}
