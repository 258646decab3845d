"""Receipts of erasures: what was done and when, signed with Ed25519 (RFC 8032), naming nobody.

Whoever knows the subject and can ask this installation for the keyed hash can tell that a receipt
is about them; the receipt itself does not say.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Receipt = Mapping[str, Any]
"""`signature` (base64) is over all the other members, as JSON with sorted names and no spaces."""


class NotGenuine(Exception):
    """A receipt that proves nothing; the text says why."""


class ReceiptSigner:
    """Signs with a key that is made from the installation's secret."""

    def __init__(self, secret: str) -> None:
        made = HKDF(SHA256(), 32, salt=None, info=b"tidings erasures: signing key 1")
        self._key = Ed25519PrivateKey.from_private_bytes(made.derive(secret.encode()))
        self.public = self._key.public_key().public_bytes_raw()

    def sign(self, facts: Mapping[str, Any]) -> Receipt:
        """The receipt of these facts."""
        receipt = {**facts, "public_key": b64encode(self.public).decode()}
        return {**receipt, "signature": b64encode(self._key.sign(_signed(receipt))).decode()}


def public_keys(secrets: Iterable[str]) -> list[bytes]:
    """Whose receipts count here: those of the present secret and of older ones."""
    return [ReceiptSigner(secret).public for secret in secrets]


def check(receipt: Receipt, trusted: Iterable[bytes]) -> None:
    """Raises `NotGenuine` unless one of the `trusted` keys (32 bytes each) signed it."""
    try:
        public = b64decode(receipt["public_key"], validate=True)
        signature = b64decode(receipt["signature"], validate=True)
    except (KeyError, TypeError, ValueError):
        raise NotGenuine("it is not a receipt of an erasure") from None
    if public not in set(trusted):
        raise NotGenuine("it is signed with a key that is not known here")
    facts = {name: value for name, value in receipt.items() if name != "signature"}
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _signed(facts))
    except InvalidSignature:
        raise NotGenuine("its signature does not hold") from None


def _signed(facts: Mapping[str, Any]) -> bytes:
    return orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)
