"""Access tokens: JSON Web Tokens (RFC 7519) signed with a secret of this installation."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ExpiredTokenError,
    InvalidClaimError,
    MissingClaimError,
    UnsupportedAlgorithmError,
)
from joserfc.jwk import OctKey

from domain.identity import Caller, Role

KEY_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""The shortest secret for each algorithm: as long as its hash (RFC 7518, 3.2)."""

LONGEST_TOKEN = 8192
"""Characters; longer ones are refused unread."""

REMEMBERED = 4096
"""Verified tokens that are kept, the most recently used ones."""


class TokenRefused(Exception):
    """The token does not prove who is calling. `reason` is fit for the caller and for logs."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Tokens:
    """Issues and verifies the access tokens of one installation.

    `leeway` (seconds) is how far the clocks of issuer and verifier may differ. `clock` gives the
    seconds since the epoch. Raises `ValueError`, naming the setting, for a secret or an algorithm
    that cannot be used.
    """

    def __init__(
        self,
        secret: str,
        *,
        issuer: str = "tidings",
        algorithm: str = "HS256",
        leeway: int = 30,
        remembered: int = REMEMBERED,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if algorithm not in KEY_BYTES:
            raise ValueError(f"token algorithm must be one of {', '.join(KEY_BYTES)}")
        self._key = _key(secret, KEY_BYTES[algorithm])
        self._issuer = issuer
        self._algorithm = algorithm
        self._leeway = leeway
        self._clock = clock
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock()),
            leeway=leeway,
            iss={"essential": True, "value": issuer},
            exp={"essential": True},
            sub={"essential": True},
            role={"essential": True},
            tenant={"essential": True},
        )
        self._remembered = remembered
        self._verified: OrderedDict[str, tuple[float, Caller]] = OrderedDict()

    def issue(
        self,
        *,
        user: str,
        role: Role,
        tenant: str,
        email: str | None = None,
        subscription: str | None = None,
        ttl: int = 3600,
    ) -> str:
        """A token for `user` that lasts `ttl` seconds.

        Raises `ValueError`, naming the argument, for what no caller can be.
        """
        if ttl < 1:
            raise ValueError("ttl must be at least 1 second")
        caller = Caller(tenant, user, Role(role), email, subscription)
        now = int(self._clock())
        claims = {
            "sub": caller.user,
            "email": caller.email,
            "role": caller.role.value,
            "tenant": caller.tenant,
            "subscription": caller.subscription,
            "iat": now,
            "exp": now + ttl,
            "iss": self._issuer,
            "jti": str(uuid4()),
        }
        return jwt.encode({"alg": self._algorithm}, claims, self._key, [self._algorithm])

    def verify(self, token: str) -> Caller:
        """Who `token` speaks for. Raises `TokenRefused`, whatever the token is made of.

        A token that has been verified is known until it expires: only its time is checked again.
        """
        known = self._verified.get(token)
        if known is None:
            return self._verify(token)
        good_until, caller = known
        if self._clock() >= good_until:
            del self._verified[token]
            raise TokenRefused("expired")
        self._verified.move_to_end(token)
        return caller

    def _verify(self, token: str) -> Caller:
        claims = self._authentic(token)
        try:
            self._claims.validate(claims)
        except ExpiredTokenError:
            raise TokenRefused("expired") from None
        except MissingClaimError as error:
            raise TokenRefused(f"missing claim: {error.claim}") from None
        except InvalidClaimError as error:
            reason = "wrong issuer" if error.claim == "iss" else f"invalid claim: {error.claim}"
            raise TokenRefused(reason) from None
        caller = _caller(claims)
        self._verified[token] = (claims["exp"] + self._leeway, caller)
        if len(self._verified) > self._remembered:
            self._verified.popitem(last=False)
        return caller

    def _authentic(self, token: str) -> dict[str, Any]:
        """The claims of a token that carries our signature, made with our algorithm."""
        if len(token) > LONGEST_TOKEN:
            raise TokenRefused("malformed")
        try:
            return jwt.decode(token, self._key, [self._algorithm]).claims
        except UnsupportedAlgorithmError:
            raise TokenRefused("wrong algorithm") from None
        except BadSignatureError:
            raise TokenRefused("bad signature") from None
        except Exception:  # noqa: BLE001 - anybody can send anything; no library foresees it all
            raise TokenRefused("malformed") from None


def _key(secret: str, shortest: int) -> OctKey:
    try:
        material = secret.encode()
    except UnicodeEncodeError:
        raise ValueError("JWT_SECRET_KEY must be UTF-8 text") from None
    if len(material) < shortest:
        raise ValueError(f"JWT_SECRET_KEY must have at least {shortest} bytes")
    try:
        return OctKey.import_key(material)
    except ValueError:
        raise ValueError("JWT_SECRET_KEY must be a secret, not a public key") from None


def _caller(claims: dict[str, Any]) -> Caller:
    for name in ("sub", "tenant", "role", "email", "subscription"):
        if not isinstance(claims.get(name), str | None):
            raise TokenRefused(f"invalid claim: {name}")
    if claims["role"] not in set(Role):
        raise TokenRefused("unknown role")
    try:
        return Caller(
            tenant=claims["tenant"],
            user=claims["sub"],
            role=Role(claims["role"]),
            email=claims.get("email"),
            subscription=claims.get("subscription"),
        )
    except ValueError as error:
        raise TokenRefused(f"invalid claim: {error}") from None
