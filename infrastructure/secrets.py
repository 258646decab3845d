"""Secrets at rest: AES-256-GCM (NIST SP 800-38D), bound to what they are for.

Keys are derived from ENCRYPTION_KEY by HKDF-SHA256 (RFC 5869). Each sealed secret names its key,
so that the key can be changed: new secrets take the new one, and older keys, given in
ENCRYPTION_KEYS, only open.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE = 12
"""Bytes, random for each sealing."""


class CannotOpen(Exception):
    """Sealed with a key that is not here, for something else, or changed since."""


@dataclass(frozen=True)
class Sealed:
    """Ciphertext, and the name of its key."""

    key_id: str
    data: bytes


class SecretVault:
    """Seals with the first key, opens with any of them."""

    def __init__(self, key: str, older: Sequence[str] = (), *, purpose: str) -> None:
        self._ciphers: dict[str, AESGCM] = {}
        for each in (key, *older):
            id = _derived(each, f"tidings {purpose} key id", 8).hex()
            self._ciphers[id] = AESGCM(_derived(each, f"tidings {purpose} key", 32))
        self.key_id = next(iter(self._ciphers))
        self.key_ids = frozenset(self._ciphers)

    def seal(self, secret: bytes, *context: str) -> Sealed:
        """Encrypt; only the same context opens it again."""
        nonce = os.urandom(NONCE)
        data = self._ciphers[self.key_id].encrypt(nonce, secret, _bound_to(context))
        return Sealed(self.key_id, nonce + data)

    def open(self, sealed: Sealed, *context: str) -> bytes:
        """Decrypt. Raises `CannotOpen`."""
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise CannotOpen("Sealed with a key that is neither ENCRYPTION_KEY nor an older one.")
        try:
            nonce, data = sealed.data[:NONCE], sealed.data[NONCE:]
            return cipher.decrypt(nonce, data, _bound_to(context))
        except (InvalidTag, ValueError):
            raise CannotOpen("Changed since it was sealed, or sealed for something else.") from None


def _derived(key: str, purpose: str, length: int) -> bytes:
    return HKDF(SHA256(), length=length, salt=None, info=purpose.encode()).derive(key.encode())


def _bound_to(context: Sequence[str]) -> bytes:
    # Lengths first, so that no two contexts read the same.
    return b"".join(b"%d:%b" % (len(part), part) for part in (c.encode() for c in context))
