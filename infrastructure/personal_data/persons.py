"""The persons of one database: their keys, by who they are, for whoever writes about them.

A person is found by a keyed hash of their subject, so that the database does not say who has a
key. Keys that several commands ask for at once are looked up together.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
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
from infrastructure.personal_data import keyring
from infrastructure.personal_data.keyring import LOOK, MOST, Keyring, KeyUnusable
from infrastructure.personal_data.sealing import Keys, PersonKey, Subject, subjects
from infrastructure.secrets import CannotOpen, Sealed

AT_ONCE = 500
"""Persons who are looked up together."""

HASHING = "hashing"
"""What the key of keyed hashes is wrapped for."""

_MAKE = (
    "SELECT tenant, subject, id, wrapping, wrapped"
    " FROM vault.make_keys(%s::uuid[], %s::text[], %s::bytea[], %s, %s::bytea[])"
)


def lookup_hash(key: bytes, tenant: str, kind: str, value: str) -> bytes:
    """HMAC-SHA256 (RFC 2104) by which a normalised value is found without being stored."""
    # Text that UTF-8 has no room for is refused with the event; here it must not fail others.
    text = "\0".join((tenant, kind, value)).encode(errors="surrogatepass")
    return hmac.digest(key, text, sha256)


@dataclass(eq=False)
class _Round:
    """Persons who are looked up together, for all that wait for one of them."""

    wanted: set[Subject] = field(default_factory=set)
    found: dict[Subject, PersonKey] = field(default_factory=dict)
    error: Exception | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Persons:
    """Keys for sealing; belongs to one event loop. `ring` is the process's own by default."""

    def __init__(self, pool: AsyncConnectionPool[Any], ring: Keyring | None = None) -> None:
        self.pool, self._ring = pool, ring
        self._known: dict[Subject, UUID] = {}
        self._next = _Round()
        self._looking: asyncio.Task[None] | None = None
        self._hashing: bytes | None = None

    @property
    def ring(self) -> Keyring:
        return self._ring or keyring.current()

    def at_hand(self, events: Iterable[DomainEvent]) -> Keys | None:
        """The keys of everybody whose data these events hold, as far as they may be used without
        asking; None when `keys_of` has to be asked."""
        keys: dict[Subject, PersonKey] = {}
        wanted = subjects(events)
        if not wanted:
            return keys
        ring, known = self.ring, self._known
        if ring.ageing:
            if not ring.fresh:
                return None
            self._begin()  # so that in steady use nobody ever waits for a look
        for subject in wanted:
            key = ring.at_hand(known.get(subject))
            if key is None:
                return None
            keys[subject] = key
        return keys

    async def keys_of(self, events: Iterable[DomainEvent]) -> Keys:
        """The keys of everybody whose data these events hold; new persons get one.

        Raises `KeyUnusable`, and what the database raises.
        """
        return await self.meet(set(subjects(events)))

    async def meet(self, wanted: Collection[Subject]) -> Keys:
        """The keys of these persons; new ones get one. Raises as `keys_of` does."""
        if not wanted:
            return {}
        round = self._next
        round.wanted.update(wanted)
        self._begin()
        await round.over.wait()
        if round.error is not None:
            raise round.error
        return {subject: round.found[subject] for subject in wanted}

    async def hash_of(self, tenant: str, kind: str, value: str) -> bytes:
        """`lookup_hash` with the key of this database; it outlives a change of ENCRYPTION_KEY."""
        if self._hashing is None:
            async with self.pool.connection() as connection:
                self._hashing = await hashing_key(connection, self.ring)
        return lookup_hash(self._hashing, tenant, kind, value)

    def _begin(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_up(), name="persons")

    async def _look_up(self) -> None:
        """Rounds as long as anybody waits; with nobody waiting, a look in good time."""
        while True:
            round, self._next = self._next, _Round()
            try:
                await self._fill(round)
            except BaseException as error:
                round.error = _told(error)
                if not isinstance(error, Exception):
                    self._next.error = round.error
                    self._next.over.set()
                    self._next = _Round()
                    raise
            finally:
                round.over.set()
            if not self._next.wanted:
                return

    async def _fill(self, round: _Round) -> None:
        ring = self.ring
        if ring.ageing:
            async with self.pool.connection() as connection:
                began = monotonic()
                ring.looked([], await _rows(connection, LOOK, ([],)), began)
        missing = []
        for subject in round.wanted:
            if key := ring.at_hand(self._known.get(subject)):
                round.found[subject] = key
            else:
                missing.append(subject)
        for n in range(0, len(missing), AT_ONCE):
            round.found |= await self._found(missing[n : n + AT_ONCE])

    async def _found(self, wanted: Sequence[Subject]) -> dict[Subject, PersonKey]:
        """From the database, which takes the keys offered to it for those who have none yet."""
        ring = self.ring
        hashes = {(s[0], await self.hash_of(s[0], "subject", s[1])): s for s in wanted}
        offered = [(t, hash, uuid7(), AESGCM.generate_key(256)) for t, hash in hashes]
        fresh = {id: key for _, _, id, key in offered}
        values = (
            list(fresh),
            [tenant for tenant, _, _, _ in offered],
            [hash for _, hash, _, _ in offered],
            ring.vault.key_id,
            [ring.wrap(tenant, id, key) for tenant, _, id, key in offered],
        )
        async with self.pool.connection() as connection:
            began = monotonic()
            rows = await _rows(connection, _MAKE, values)
        found = {}
        for tenant, hash, id, wrapping, wrapped in rows:
            own = fresh.get(id)
            key = (
                PersonKey(id, AESGCM(own)) if own else ring.unwrap((id, tenant, wrapping, wrapped))
            )
            found[hashes[tenant, bytes(hash)]] = key
        ring.keep({key.id: key for key in found.values()}, began)
        if len(self._known) + len(found) > MOST:
            self._known.clear()
        self._known.update((subject, key.id) for subject, key in found.items())
        return found


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
