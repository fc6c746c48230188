"""Tokens that others sign (JWT), checked by PyJWT against keys that they publish (JWKS)."""

from collections.abc import Mapping
from hashlib import sha256
from time import time
from typing import Any

import jwt
from jwt import PyJWK

from lossmeter.access.keyset import KeySet
from lossmeter.access.principals import Principal, Rate, scopes_of
from lossmeter.errors import Unauthenticated

# By what a published key verifies; never by what would let it be used as a secret.
ASYMMETRIC = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
SYMMETRIC = ("HS256",)
# By how much the clocks of two machines may differ.
LEEWAY_SECONDS = 30
MOST_CHARACTERS = 16 * 1024
# How long a token is believed once it was checked, also if its key is taken back meanwhile.
BELIEF_SECONDS = 60
MOST_BELIEVED = 10_000
# What is told of a token that is refused; of anything else, that it is not valid.
TOLD: Mapping[type[Exception], str] = {
    jwt.ExpiredSignatureError: "the token has expired",
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.InvalidAudienceError: "the token is for another audience",
    jwt.InvalidIssuerError: "the token is of another issuer",
    jwt.MissingRequiredClaimError: "a token has exp, sub, aud and iss",
    jwt.InvalidSignatureError: "the token's signature is wrong",
    jwt.InvalidAlgorithmError: "the token's algorithm is not taken",
}


class Tokens:
    """What checks tokens.

    Args:
        keys: The published keys of the issuer, if there are any.
        secret: What tokens of HS256 are signed with; empty where none are taken.
        issuer: Who must have issued a token.
        audience: For whom.
        rate: How much its bearer may ask.
    """

    def __init__(
        self, keys: KeySet | None, secret: str, issuer: str, audience: str, rate: Rate
    ) -> None:
        self.keys = keys
        self._secret = secret
        self._issuer = issuer
        self._audience = audience
        self._rate = rate
        self._believed: dict[bytes, tuple[Principal, float]] = {}

    def check(self, token: str) -> Principal:
        """Whose token this is; one that was checked is believed for a while.

        A signature takes as long to check as a small request to answer.

        Raises:
            Unauthenticated: It is not valid, or no more.
            KeysWanted: The keys must be fetched first.
        """
        if len(token) > MOST_CHARACTERS:
            raise Unauthenticated("the token is too long", given=True)
        digest, now = sha256(token.encode()).digest(), time()
        principal, until = self._believed.get(digest, (None, 0.0))
        if principal is not None and now < until:
            return principal
        claims = self._claims(token)
        principal = Principal(f"token {claims['sub']}", _scopes(claims), self._rate)
        if len(self._believed) >= MOST_BELIEVED:
            self._believed.clear()
        until = min(now + BELIEF_SECONDS, int(claims["exp"]) + LEEWAY_SECONDS)
        self._believed[digest] = principal, until
        return principal

    def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            key, algorithms = self._key(jwt.get_unverified_header(token))
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=algorithms,
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "sub", "aud", "iss"]},
            )
        # Of the others, PyJWT 2.15 lets through what a deep header or an endless date raises.
        except (jwt.PyJWTError, ArithmeticError, RecursionError) as error:
            raise Unauthenticated(TOLD.get(type(error), NOT_VALID), given=True) from None
        return claims

    def _key(self, header: Mapping[str, Any]) -> tuple[PyJWK | str, tuple[str, ...]]:
        """What verifies a token, and by which algorithms: never a published key as a secret."""
        algorithm = header.get("alg")
        if algorithm in SYMMETRIC and self._secret:
            return self._secret, SYMMETRIC
        if algorithm in ASYMMETRIC and self.keys is not None:
            return self.keys.find(header.get("kid")), ASYMMETRIC
        raise jwt.InvalidAlgorithmError


NOT_VALID = "the key or token is not valid"


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """The scopes of a token: a text of words, or a list of them."""
    words: list[str] = []
    for given in (claims.get("scope"), claims.get("scp")):
        if isinstance(given, str):
            words += given.split()
        elif isinstance(given, list):
            words += [word for word in given if isinstance(word, str)]
    return scopes_of(words)
