"""Signing messages by Standard Webhooks 1.0, and keeping what it is done with.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
A message is signed as `id.timestamp.body`: `v1` with HMAC-SHA256, `v1a` with Ed25519.
"""

from __future__ import annotations

import hmac
import os
from base64 import b64encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from psycopg import AsyncConnection
from uuid_utils.compat import uuid7

SECRET_BYTES = 32
"""The specification asks for 24 to 64."""


@dataclass(frozen=True)
class Secret:
    """What one endpoint's messages are signed with, for a while."""

    symmetric: bytes = field(repr=False)
    asymmetric: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def from_bytes(cls, material: bytes) -> Secret:
        """From the HMAC key and the seed of the key pair, one behind the other."""
        symmetric, seed = material[:SECRET_BYTES], material[SECRET_BYTES:]
        return cls(symmetric, Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def text(self) -> str:
        """`whsec_…`: what the receiver verifies `v1` with."""
        return "whsec_" + b64encode(self.symmetric).decode()

    @property
    def public_key(self) -> str:
        """`whpk_…`: what the receiver verifies `v1a` with."""
        return "whpk_" + b64encode(self.asymmetric.public_key().public_bytes_raw()).decode()


def signature(
    secrets: Iterable[Secret], asymmetric: bool, id: str, timestamp: int, body: bytes
) -> str:
    """The header `webhook-signature`: one signature per secret and scheme, space between."""
    signed = b"%b.%d.%b" % (id.encode(), timestamp, body)
    signatures = []
    for secret in secrets:
        digest = hmac.digest(secret.symmetric, signed, sha256)
        signatures.append("v1," + b64encode(digest).decode())
        if asymmetric:
            signatures.append("v1a," + b64encode(secret.asymmetric.sign(signed)).decode())
    return " ".join(signatures)


class Sealed(Exception):
    """A secret that cannot be opened: it was sealed with another key, or for another tenant."""


class Vault:
    """Secrets at rest: AES-256-GCM under a key derived from the installation's own (HKDF-SHA256),
    bound to the tenant and the id under which they are kept. The first key seals, and any of them
    opens."""

    def __init__(self, *keys: str) -> None:
        self._ciphers = [_cipher(key) for key in dict.fromkeys(keys)]
        self._opened = lru_cache(maxsize=20_000)(self._open)

    async def keep_secret(
        self, connection: AsyncConnection[Any], tenant: str
    ) -> tuple[UUID, Secret]:
        """A new signing secret, and where it is kept."""
        material = os.urandom(SECRET_BYTES) + os.urandom(32)
        return await self._keep(connection, tenant, material), Secret.from_bytes(material)

    async def keep_headers(
        self, connection: AsyncConnection[Any], tenant: str, headers: Mapping[str, str]
    ) -> UUID:
        """Where a receiver's own headers are kept."""
        return await self._keep(connection, tenant, orjson.dumps(dict(headers)))

    def secret(self, tenant: str, id: UUID, sealed: bytes) -> Secret:
        """The signing secret. Raises `Sealed`."""
        return Secret.from_bytes(self._opened(tenant, id, sealed))

    def headers(self, tenant: str, id: UUID, sealed: bytes) -> dict[str, str]:
        """The receiver's own headers. Raises `Sealed`."""
        headers: dict[str, str] = orjson.loads(self._opened(tenant, id, sealed))
        return headers

    def check(self, tenant: str, id: UUID, sealed: bytes) -> None:
        """Raises `Sealed` when no key opens it."""
        self._open(tenant, id, sealed)

    def resealed(self, tenant: str, id: UUID, sealed: bytes) -> bytes | None:
        """The same under the first key; None when it is already. Raises `Sealed`."""
        try:
            _opened(self._ciphers[0], tenant, id, sealed)
        except InvalidTag:
            return self._sealed(tenant, id, self._open(tenant, id, sealed))
        return None

    async def _keep(self, connection: AsyncConnection[Any], tenant: str, material: bytes) -> UUID:
        id = uuid7()
        sealed = self._sealed(tenant, id, material)
        await connection.execute(
            "INSERT INTO webhooks.secrets (id, tenant, sealed) VALUES (%s, %s, %s)",
            (id, tenant, sealed),
        )
        return id

    def _sealed(self, tenant: str, id: UUID, material: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._ciphers[0].encrypt(nonce, material, _bound_to(tenant, id))

    def _open(self, tenant: str, id: UUID, sealed: bytes) -> bytes:
        for cipher in self._ciphers:
            with suppress(InvalidTag):
                return _opened(cipher, tenant, id, sealed)
        raise Sealed(f"The webhook secret {id} was sealed with another key.")


def _cipher(key: str) -> AESGCM:
    derive = HKDF(SHA256(), length=32, salt=None, info=b"tidings webhooks secrets 1")
    return AESGCM(derive.derive(key.encode()))


def _opened(cipher: AESGCM, tenant: str, id: UUID, sealed: bytes) -> bytes:
    return cipher.decrypt(sealed[:12], sealed[12:], _bound_to(tenant, id))


def _bound_to(tenant: str, id: UUID) -> bytes:
    return b"webhooks.secrets\0%b\0%b" % (tenant.encode(), id.bytes)
