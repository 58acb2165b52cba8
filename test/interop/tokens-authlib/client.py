"""Drives the token service as Authlib does it: metadata, private_key_jwt, a token by its signature, introspection, revocation."""

import json
import sys

from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from requests import Session

given = json.load(sys.stdin)


def session():
    made = OAuth2Session(
        given["client"],
        ECKey.import_key(given["key"]),
        token_endpoint_auth_method="private_key_jwt",
    )
    made.register_client_auth_method(
        PrivateKeyJWT(metadata["token_endpoint"], claims={"aud": given["issuer"]}, alg="ES256")
    )
    return trusting(made)


def trusting(made):
    made.verify = given["ca"]
    # A bundle that the environment names would go over it.
    made.trust_env = False
    return made


bare = trusting(Session())
get = bare.get
metadata = AuthorizationServerMetadata(get(given["issuer"] + "/.well-known/oauth-authorization-server").json())
# There is no authorization endpoint, so there are no response types; it takes an empty list for a missing one.
for key in metadata.REGISTRY_KEYS:
    if key != "response_types_supported":
        object.__getattribute__(metadata, f"validate_{key}")()

client = session()
token = client.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")
keys = KeySet.import_key_set(get(metadata["jwks_uri"]).json())
claims = jwt.decode(token["access_token"], keys, algorithms=["ES256"]).claims
jwt.JWTClaimsRegistry(
    iss={"essential": True, "value": given["issuer"]}, aud={"essential": True, "value": given["issuer"]}
).validate(claims)

whoami = client.get(given["issuer"] + "/v1/whoami").json()
# It writes the jti into the claims it was given, so each request needs claims of its own or is a replay.
proof = lambda: session().client_auth("private_key_jwt")
shown = {"token": token["access_token"]}
before = bare.post(metadata["introspection_endpoint"], data=shown, auth=proof()).json()
bare.post(metadata["revocation_endpoint"], data=shown, auth=proof()).raise_for_status()
after = bare.post(metadata["introspection_endpoint"], data=shown, auth=proof()).json()
json.dump(
    {
        "type": token["token_type"],
        "client": claims["client_id"],
        "whoami": whoami["name"],
        "before": before["active"],
        "after": after["active"],
    },
    sys.stdout,
)
