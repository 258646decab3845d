"""The keys of persons that a process has at hand.

They may be used for `LEASE` seconds from the moment of the last look at what was erased, and then
that is looked at again: one query, which also brings keys that are missing. So a key that was
destroyed is out of use everywhere that long after, whatever happened to messages, connections or
processes meanwhile; an erasure waits for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from infrastructure.personal_data.sealing import PersonKey
from infrastructure.secrets import CannotOpen, Sealed, SecretVault

LEASE = 1.0
"""Seconds for which keys may be used without looking at what was erased."""

LONGEST = 300.0
"""Seconds without a look, after which all keys are let go of: `LOOK` looks back twice as far."""

MOST = 50_000
"""Keys that are kept at hand."""

LOOK = """
SELECT id, tenant, wrapping, wrapped FROM vault.keys WHERE id = ANY (%s)
UNION ALL
SELECT id, NULL, NULL, NULL FROM vault.erasures
WHERE erased_at > clock_timestamp() - interval '10 minutes'
"""
"""Rows of `Wrapped` for the keys that are asked for; then what was erased of late."""

Wrapped = tuple[UUID, str, str, bytes]
"""A row of `vault.keys`: id, tenant, the name of the wrapping key, the wrapped key."""


class KeyUnusable(Exception):
    """A person's key was wrapped with another ENCRYPTION_KEY than is given here."""


_MISSING = object()


class Keyring:
    """Opens persons' keys with the installation's, which may have older ones beside it."""

    def __init__(self, key: str, older: Sequence[str] = ()) -> None:
        self.secrets = (key, *older)
        self.vault = SecretVault(key, older, purpose="personal data")
        self._held: dict[UUID, PersonKey | None] = {}
        self._looked = -LONGEST

    @property
    def fresh(self) -> bool:
        """Whether keys may be used without another look."""
        return monotonic() < self._looked + LEASE

    @property
    def ageing(self) -> bool:
        """Whether it is time for another look, while keys may still be used."""
        return monotonic() > self._looked + LEASE / 2

    def at_hand(self, id: UUID | None) -> PersonKey | None:
        """A key that may be used while the keyring is `fresh`."""
        return self._held.get(id) if id is not None else None

    def held(self, ids: Iterable[UUID]) -> tuple[dict[UUID, PersonKey], list[UUID] | None]:
        """What may be used now of these keys, and which ones to ask for with a look; None when no
        look is needed. Those of erased persons are in neither."""
        if monotonic() > self._looked + LONGEST:
            self._held.clear()
        found, missing = {}, []
        for id in ids:
            key = self._held.get(id, _MISSING)
            if isinstance(key, PersonKey):
                found[id] = key
            elif key is _MISSING:
                missing.append(id)
        return found, missing if missing or not self.fresh else None

    def looked(
        self, asked: Collection[UUID], rows: Iterable[Sequence[Any]], began: float
    ) -> dict[UUID, PersonKey]:
        """Take in what a look has found that began at this instant (monotonic), and return the
        keys that were `asked` for and are there. Raises `KeyUnusable`."""
        keys: dict[UUID, PersonKey] = {}
        erased: list[UUID] = []
        if began > self._looked + LONGEST:
            self._held.clear()
        for id, tenant, wrapping, wrapped in rows:
            if tenant is None:
                erased.append(id)
            else:
                keys[id] = self.unwrap((id, tenant, wrapping, wrapped))
        for id in erased:
            self._held[id] = None
        if began >= self._looked:
            self._looked = began
        self.keep({id: keys.get(id) for id in asked}, began)
        return keys

    def keep(self, found: Mapping[UUID, PersonKey | None], began: float) -> None:
        """Have at hand what was found by a query that began at this instant (monotonic)."""
        if began < self._looked:
            return  # it may have been erased since, as the later look has noticed already
        if len(self._held) + len(found) > MOST:
            self._held.clear()
        self._held.update(found)

    def erased(self, id: UUID) -> bool:
        """Whether a look has found that this key is no more."""
        return self._held.get(id, _MISSING) is None

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
