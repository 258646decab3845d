"""The keys of persons that a process has at hand.

They are used for `LEASE` seconds from the moment they were asked for, and then asked for again.
So a key that was destroyed is out of use everywhere that long after, whatever happened to
messages, connections or processes meanwhile; an erasure waits for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from infrastructure.personal_data.sealing import PersonKey
from infrastructure.secrets import CannotOpen, Sealed, SecretVault

LEASE = 1.0
"""Seconds for which a key may be used without asking for it again."""

MOST = 20_000
"""Keys that are kept at hand."""

KEYS = "SELECT id, tenant, wrapping, wrapped FROM vault.keys WHERE id = ANY (%s)"
"""The columns of a `Wrapped`."""

Wrapped = tuple[UUID, str, str, bytes]
"""A row of `vault.keys`: id, tenant, the name of the wrapping key, the wrapped key."""


class KeyUnusable(Exception):
    """A person's key was wrapped with another ENCRYPTION_KEY than is given here."""


@dataclass(frozen=True, slots=True)
class _Held:
    key: PersonKey | None
    until: float


class Keyring:
    """Opens persons' keys with the installation's, which may have older ones beside it."""

    def __init__(self, key: str, older: Sequence[str] = ()) -> None:
        self.secrets = (key, *older)
        self.vault = SecretVault(key, older, purpose="personal data")
        self._held: dict[UUID, _Held] = {}

    def held(self, ids: Iterable[UUID]) -> tuple[dict[UUID, PersonKey], list[UUID]]:
        """What may be used now of these, and which have to be asked for."""
        now = monotonic()
        keys, missing = {}, []
        for id in ids:
            held = self._held.get(id)
            if held is None or held.until <= now:
                missing.append(id)
            elif held.key is not None:
                keys[id] = held.key
        return keys, missing

    def hold(
        self, asked: Collection[UUID], rows: Iterable[Wrapped], began: float
    ) -> dict[UUID, PersonKey]:
        """Take in what there was of the keys `asked` for from the instant `began` (monotonic);
        the others are no more. Raises `KeyUnusable`."""
        keys = {row[0]: self.unwrap(row) for row in rows}
        if len(self._held) + len(asked) > MOST:
            self._held.clear()
        for id in asked:
            self._held[id] = _Held(keys.get(id), began + LEASE)
        return keys

    def unwrap(self, row: Wrapped) -> PersonKey:
        """A person's key, ready for use. Raises `KeyUnusable`."""
        id, tenant, wrapping, wrapped = row
        try:
            key = self.vault.open(Sealed(wrapping, bytes(wrapped)), *_context(tenant, id))
        except CannotOpen as error:
            raise KeyUnusable(str(error)) from None
        return PersonKey(id, AESGCM(key))

    def wrap(self, tenant: str, id: UUID, key: bytes) -> bytes:
        """A key as it is kept, under the present ENCRYPTION_KEY."""
        return self.vault.seal(key, *_context(tenant, id)).data

    def rewrapped(self, row: Wrapped) -> bytes:
        """The same key under the present ENCRYPTION_KEY. Raises `KeyUnusable`."""
        id, tenant, wrapping, wrapped = row
        try:
            key = self.vault.open(Sealed(wrapping, bytes(wrapped)), *_context(tenant, id))
        except CannotOpen as error:
            raise KeyUnusable(str(error)) from None
        return self.wrap(tenant, id, key)


def _context(tenant: str, id: UUID) -> tuple[str, str, str]:
    return ("person", tenant, str(id))


_of_process: list[Keyring] = []


def use(secrets: Sequence[str]) -> Keyring:
    """The keyring of this process from now on: the present ENCRYPTION_KEY, then older ones.

    A process serves one installation, so that what reads the log need not hand it around.
    """
    if not _of_process or _of_process[0].secrets != tuple(secrets):
        _of_process[:] = [Keyring(secrets[0], secrets[1:])]
    return _of_process[0]


def secrets() -> Sequence[str]:
    """What another process needs to have the same keyring; nothing, when there is none."""
    return _of_process[0].secrets if _of_process else ()


def current() -> Keyring:
    """The keyring of this process. Raises `KeyUnusable` when it has none."""
    if not _of_process:
        raise KeyUnusable("This process has no ENCRYPTION_KEY to open personal data with.")
    return _of_process[0]
