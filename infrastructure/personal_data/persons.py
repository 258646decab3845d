"""The persons of one database: their keys, by who they are, for whoever writes about them.

A person is found by a keyed hash of their subject, so that the database does not say who has a
key. Keys that several commands ask for at once are looked up together.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import Iterable, Sequence
from hashlib import sha256
from time import monotonic
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

from domain.kernel import DomainEvent
from domain.personal import personal_fields
from infrastructure.personal_data import keyring
from infrastructure.personal_data.keyring import LOOK, MOST, Keyring, KeyUnusable
from infrastructure.personal_data.sealing import Keys, PersonKey, subjects
from infrastructure.secrets import CannotOpen, Sealed

Subject = tuple[str, str]
"""Tenant and subject."""

AT_ONCE = 500
"""Persons who are looked up together."""

HASHING = "hashing"
"""What the key of keyed hashes is wrapped for."""

_KNOWN = (
    "SELECT tenant, subject, id, wrapping, wrapped FROM vault.keys"
    " JOIN unnest(%s::text[], %s::bytea[]) AS n (tenant, subject) USING (tenant, subject)"
)
_MAKE = (
    "SELECT tenant, subject, id, wrapping, wrapped"
    " FROM vault.make_keys(%s::uuid[], %s::text[], %s::bytea[], %s, %s::bytea[])"
)


def holds_personal(events: Iterable[DomainEvent]) -> bool:
    """Whether any of these events has personal fields."""
    return any(personal_fields(type(event)) for event in events)


def lookup_hash(key: bytes, tenant: str, kind: str, value: str) -> bytes:
    """HMAC-SHA256 (RFC 2104) by which a normalised value is found without being stored."""
    return hmac.digest(key, "\0".join((tenant, kind, value)).encode(), sha256)


class Persons:
    """Keys for sealing; belongs to one event loop. `ring` is the process's own by default."""

    def __init__(self, pool: AsyncConnectionPool[Any], ring: Keyring | None = None) -> None:
        self.pool, self._ring = pool, ring
        self._known: dict[Subject, UUID] = {}
        self._asked: dict[Subject, asyncio.Future[PersonKey]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._hashing: bytes | None = None

    @property
    def ring(self) -> Keyring:
        return self._ring or keyring.current()

    async def keys_of(self, events: Iterable[DomainEvent]) -> Keys:
        """The keys of everybody whose data these events hold; new persons get one.

        Raises `KeyUnusable`, and what the database raises.
        """
        wanted = {subject for event in events for subject in subjects(event)}
        ring = self.ring
        keys: dict[Subject, PersonKey] = {}
        if ring.fresh:  # else everybody is asked for again, and the first of them has a look
            for subject in wanted:
                if key := ring.at_hand(self._known.get(subject)):
                    keys[subject] = key
        if len(keys) == len(wanted):
            return keys
        futures = {subject: self._ask(subject) for subject in wanted - keys.keys()}
        await asyncio.wait(futures.values())  # not gather: others wait for the same ones
        return keys | {subject: future.result() for subject, future in futures.items()}

    async def hash_of(self, tenant: str, kind: str, value: str) -> bytes:
        """`lookup_hash` with the key of this database; it outlives a change of ENCRYPTION_KEY."""
        if self._hashing is None:
            async with self.pool.connection() as connection:
                self._hashing = await hashing_key(connection, self.ring)
        return lookup_hash(self._hashing, tenant, kind, value)

    def _ask(self, subject: Subject) -> asyncio.Future[PersonKey]:
        future = self._asked.get(subject)
        if future is None:
            future = self._asked[subject] = asyncio.get_running_loop().create_future()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_up(), name="persons")
        return future

    async def _look_up(self) -> None:
        while self._asked:
            some = dict(list(self._asked.items())[:AT_ONCE])
            try:
                found = await self._found(list(some))
            except BaseException as error:
                for subject, future in some.items():
                    del self._asked[subject]
                    future.set_exception(_told(error))
                    future.exception()  # whoever asked may have gone away
                if not isinstance(error, Exception):
                    raise
                continue
            if len(self._known) + len(found) > MOST:
                self._known.clear()
            for subject, key in found.items():  # who was erased in this moment is asked for again
                self._known[subject] = key.id
                self._asked.pop(subject).set_result(key)

    async def _found(self, wanted: Sequence[Subject]) -> dict[Subject, PersonKey]:
        hashes = {(s[0], await self.hash_of(s[0], "subject", s[1])): s for s in wanted}
        new = [(tenant, hash, uuid7(), AESGCM.generate_key(256)) for tenant, hash in hashes]
        offered = (
            [id for _, _, id, _ in new],
            [tenant for tenant, _, _, _ in new],
            [hash for _, hash, _, _ in new],
            self.ring.vault.key_id,
            [self.ring.wrap(tenant, id, key) for tenant, _, id, key in new],
        )
        async with self.pool.connection() as connection:
            if not self.ring.fresh:
                began = monotonic()
                self.ring.looked([], await _rows(connection, LOOK, ([],)), began)
            began = monotonic()
            rows = await _rows(connection, _MAKE, offered)
        keys = {
            hashes[tenant, bytes(hash)]: self.ring.unwrap((id, tenant, wrapping, wrapped))
            for tenant, hash, id, wrapping, wrapped in rows
        }
        self.ring.keep({key.id: key for key in keys.values()}, began)
        return keys


async def hashing_key(connection: AsyncConnection[Any], ring: Keyring) -> bytes:
    """What keyed hashes are made with; the first to ask makes it. Raises `KeyUnusable`."""
    fresh = ring.vault.seal(os.urandom(32), HASHING)
    await connection.execute(
        "INSERT INTO vault.hashing (wrapping, wrapped) SELECT %s, %s"
        " WHERE NOT EXISTS (SELECT FROM vault.hashing) ON CONFLICT DO NOTHING",
        (fresh.key_id, fresh.data),
    )
    ((wrapping, wrapped),) = await _rows(
        connection, "SELECT wrapping, wrapped FROM vault.hashing", ()
    )
    try:
        return ring.vault.open(Sealed(wrapping, wrapped), HASHING)
    except CannotOpen as error:
        raise KeyUnusable(str(error)) from None


async def _rows(
    connection: AsyncConnection[Any], query: str, values: Iterable[Any]
) -> list[tuple[Any, ...]]:
    cursor = connection.cursor(row_factory=tuple_row, binary=True)
    columns = [list(each) if isinstance(each, tuple) else each for each in values]
    await cursor.execute(query.encode(), columns)
    return await cursor.fetchall()


def _told(error: BaseException) -> Exception:
    """What the others who wait are told: nobody but the one who is cancelled is cancelled."""
    return error if isinstance(error, Exception) else RuntimeError("interrupted")
