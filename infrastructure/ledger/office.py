"""What is asked of the ledger from outside: its head, proofs, and whether it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from domain.kernel import Conflict, NotFound, Unavailable
from infrastructure import database
from infrastructure.ledger import entries, proofs, tree
from infrastructure.ledger.aside import verify_aside
from infrastructure.ledger.checkpoints import Checkpoint, Keys, NotTrusted, Signer
from infrastructure.ledger.sealing import kept_file, kept_in, public_keys
from infrastructure.ledger.verification import Verdict
from infrastructure.settings import Settings


@dataclass(frozen=True, slots=True)
class Inclusion:
    """The proof that a row is leaf `position - 1` of the tree that `head` is of."""

    head: Checkpoint
    position: int
    entry: bytes
    leaf: bytes
    path: Sequence[bytes]


class Office:
    """Answers about the ledger; one per process."""

    def __init__(self, settings: Settings, pool: AsyncConnectionPool[Any]) -> None:
        self.settings, self.pool = settings, pool
        self._verifying: asyncio.Task[Verdict] | None = None

    async def head(self) -> tuple[Checkpoint, Keys]:
        """The last signed head (of the empty tree, if nothing is sealed) and whose keys count."""
        async with self.pool.connection() as connection:
            keys = await self._keys(connection)
            head = await proofs.head(connection)
        if head is None:
            head = Signer(self.settings.encryption_key).sign(keys.origin, 0, tree.EMPTY)
        return head, keys

    async def inclusion(self, tenant: str, position: int, size: int | None = None) -> Inclusion:
        """The proof for the row at `position`, in the last sealed tree or in that of `size`.

        Raises `NotFound` for another tenant's row, and for a size that was never sealed;
        `Unavailable` for a row that is not sealed yet; `Conflict` when the row or the tree is
        not what was sealed: no proof leaves the house that does not hold.
        """
        async with self.pool.connection() as connection:
            await self._own(connection, tenant, position)
            head = await self._head(connection, size)
            if head is None or head.size < position:
                raise Unavailable("The event is not sealed yet.", code="not_sealed")
            found = [e async for e in entries.read_async(connection, position - 1, position)]
            try:
                path = await proofs.inclusion(connection, position - 1, head.size)
            except proofs.Incomplete as error:
                raise _broken(str(error)) from None
        leaf = tree.leaf_hash(found[0])
        if tree.root_by_inclusion(leaf, position - 1, head.size, path) != head.root:
            raise _broken("The row is not the one that was sealed.")
        return Inclusion(head, position, bytes(found[0]), leaf, path)

    async def consistency(
        self, earlier: int, size: int | None = None
    ) -> tuple[Checkpoint, Sequence[bytes]]:
        """The proof that the tree of `size` (the last sealed one) continues that of `earlier`.

        Raises `NotFound` when there is no such tree.
        """
        async with self.pool.connection() as connection:
            head = await self._head(connection, size)
            if head is None or not 0 < earlier <= head.size:
                raise NotFound("There is no sealed tree of that size.")
            try:
                return head, await proofs.consistency(connection, earlier, head.size)
            except proofs.Incomplete as error:
                raise _broken(str(error)) from None

    async def verify(self) -> Verdict:
        """Compute everything again; callers that ask meanwhile share the outcome.

        Raises `Conflict` when the head that was kept on this machine is not trustworthy itself.
        """
        if self._verifying is None or self._verifying.done():
            self._verifying = asyncio.create_task(self._verify(), name="verify-ledger")
        return await asyncio.shield(self._verifying)

    async def _verify(self) -> Verdict:
        async with self.pool.connection() as connection:
            origin = await proofs.origin(connection)
        public = public_keys(self.settings)
        try:
            return await verify_aside(
                self.settings.database_url, public, kept_notes(self.settings, origin)
            )
        except NotTrusted as reason:
            raise _broken(f"The head that is kept on this machine: {reason}.") from None

    async def _keys(self, connection: AsyncConnection[Any]) -> Keys:
        return Keys(await proofs.origin(connection), public_keys(self.settings))

    async def _head(self, connection: AsyncConnection[Any], size: int | None) -> Checkpoint | None:
        head = await proofs.head(connection, size)
        if size is not None and head is None:
            raise NotFound("There is no sealed tree of that size.")
        return head

    async def _own(self, connection: AsyncConnection[Any], tenant: str, position: int) -> None:
        cursor = await connection.execute(
            "SELECT FROM log.events WHERE position = %s AND tenant = %s", [position, tenant]
        )
        if await cursor.fetchone() is None:
            raise NotFound("There is no such event.")


def origin_of(url: str) -> str:
    """Who the ledger of the database at `url` is."""
    with database.connect_sync(url, "ledger-origin") as connection:
        row = connection.execute("SELECT origin FROM ledger.identity").fetchone()
    assert row is not None
    return str(row[0])


def kept_notes(settings: Settings, origin: str) -> list[str]:
    """The last head that was signed on this machine, if any was."""
    file = kept_file(kept_in(settings), origin)
    return [file.read_text()] if file.exists() else []


def _broken(message: str) -> Conflict:
    return Conflict(message, code="ledger_broken")
