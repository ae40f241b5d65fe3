"""Authlib, unmodified: code with PKCE, the ID token verified, then refresh.

Says on standard output where the browser must go, reads from standard input
where it came back to, and ends with one line of JSON.
"""

import json
import os
import sys

from authlib.common.security import generate_token
from authlib.integrations.httpx_client import OAuth2Client
from joserfc import jwt
from joserfc.jwk import KeySet

issuer = os.environ["ISSUER"]
redirect_uri = os.environ["REDIRECT_URI"]
client = OAuth2Client(
    os.environ["CLIENT_ID"],
    os.environ["CLIENT_SECRET"],
    scope="openid profile email offline_access",
    redirect_uri=redirect_uri,
    code_challenge_method="S256",
    token_endpoint_auth_method=os.environ["METHOD"],
    verify=os.environ["CA_FILE"],
)


def public(address):
    """A document that needs no token."""
    return client.request("GET", address, withhold_token=True).json()


metadata = public(f"{issuer}.well-known/openid-configuration")
assert metadata["issuer"] == issuer

verifier, nonce = generate_token(48), generate_token(20)
url, state = client.create_authorization_url(
    metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce
)
print(url, flush=True)
token = client.fetch_token(
    metadata["token_endpoint"],
    authorization_response=sys.stdin.readline().strip(),
    state=state,
    code_verifier=verifier,
)
keys = KeySet.import_key_set(public(metadata["jwks_uri"]))
claims = jwt.decode(token["id_token"], keys, algorithms=["RS256"]).claims
assert claims["iss"] == issuer and claims["nonce"] == nonce
who = client.get(metadata["userinfo_endpoint"]).json()
assert who["sub"] == claims["sub"]
fresh = client.refresh_token(
    metadata["token_endpoint"], refresh_token=token["refresh_token"]
)
print(
    json.dumps(
        {
            "email": who["email"],
            "sub": claims["sub"],
            "first": token["access_token"],
            "second": fresh["access_token"],
        }
    )
)
