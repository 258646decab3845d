"""Signed tree heads as text: C2SP's tlog-checkpoint in a signed note, with Ed25519 keys.

Three lines (origin, size, root) and a signature below them, which tools of that family verify:
https://c2sp.org/tlog-checkpoint, https://c2sp.org/signed-note. A public key is written as they
write it: `origin+key id+key`.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

ED25519 = b"\x01"
"""The type of signature, as signed notes number them."""

_NOTE = re.compile(
    r"(?P<text>(?P<origin>[^\s+]+)\n(?P<size>0|[1-9][0-9]{0,18})\n"
    r"(?P<root>[A-Za-z0-9+/]{43}=)\n)\n(?P<signatures>(?:— \S+ \S+\n)+)"
)


class NotTrusted(Exception):
    """A checkpoint that proves nothing; the text says why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of the tree of `size` leaves; `signature` begins with the key's id."""

    origin: str
    size: int
    root: bytes
    signature: bytes = b""

    @property
    def text(self) -> bytes:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n".encode()

    def note(self) -> str:
        """The checkpoint as it is handed out and kept."""
        signature = b64encode(self.signature).decode()
        return f"{self.text.decode()}\n— {self.origin} {signature}\n"


class Signer:
    """Signs with a key that is made from the installation's secret."""

    def __init__(self, secret: str) -> None:
        made = HKDF(SHA256(), 32, salt=None, info=b"tidings ledger: signing key 1")
        self._key = Ed25519PrivateKey.from_private_bytes(made.derive(secret.encode()))
        self.public = self._key.public_key().public_bytes_raw()

    def sign(self, origin: str, size: int, root: bytes) -> Checkpoint:
        """The signed head of a tree."""
        head = Checkpoint(origin, size, root)
        signature = _key_id(origin, self.public) + self._key.sign(head.text)
        return Checkpoint(origin, size, root, signature)


class Keys:
    """Whose signatures count: public keys (32 bytes each) of one log, the present one first."""

    def __init__(self, origin: str, public: Iterable[bytes]) -> None:
        self.origin = origin
        self.public = list(public)
        self._by_id: Mapping[bytes, Ed25519PublicKey] = {
            _key_id(origin, each): Ed25519PublicKey.from_public_bytes(each) for each in self.public
        }

    def written(self) -> list[str]:
        """The keys as other tools take them."""
        return [
            f"{self.origin}+{_key_id(self.origin, each).hex()}+{b64encode(ED25519 + each).decode()}"
            for each in self.public
        ]

    def check(self, head: Checkpoint) -> None:
        """Raises `NotTrusted` unless the signature is one of ours."""
        if head.origin != self.origin:
            raise NotTrusted(f"it is of another log, {head.origin}")
        key = self._by_id.get(head.signature[:4])
        if key is None:
            raise NotTrusted("it is signed with a key that is not known here")
        try:
            key.verify(head.signature[4:], head.text)
        except InvalidSignature:
            raise NotTrusted("its signature does not hold") from None


def public_key(written: str) -> bytes:
    """The 32 bytes of a key written as `origin+key id+key`. Raises `ValueError`."""
    match written.split("+", 2):
        case [origin, id, key]:
            raw = b64decode(key, validate=True)
            public = raw[1:]
            if raw[:1] == ED25519 and len(public) == 32 and _key_id(origin, public).hex() == id:
                return public
    raise ValueError("not a public key such as `tidings audit key` prints")


def parse(notes: str) -> Iterator[Checkpoint]:
    """Every checkpoint of a text that holds one or more notes, one after the other.

    Of a note with several signatures each is yielded. Raises `NotTrusted` for anything else.
    """
    at = 0
    while at < len(notes.rstrip()):
        found = _NOTE.match(notes, at)
        if not found:
            number = notes.count("\n", 0, at) + 1
            raise NotTrusted(f"line {number} does not begin a checkpoint")
        for line in found["signatures"].splitlines():
            name, signature = line.removeprefix("— ").split(" ")
            if name == found["origin"]:
                yield Checkpoint(
                    found["origin"],
                    int(found["size"]),
                    b64decode(found["root"]),
                    b64decode(signature),
                )
        at = found.end()
        while notes.startswith("\n", at):
            at += 1


def _key_id(origin: str, public: bytes) -> bytes:
    return sha256(origin.encode() + b"\n" + ED25519 + public).digest()[:4]
