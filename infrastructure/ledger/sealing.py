"""Sealing: within a second of its commit every event is a leaf of the signed tree.

One process at a time seals; when it dies another takes over. A seal continues the one before it,
whose signature is checked first: nothing is ever built on a tree that is not ours. The last head
that was signed here is also kept in a file, outside the database, and nothing is signed that does
not continue it: whoever changes the database alone, seals and all, finds no signer for it.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from infrastructure import database, metrics, notify
from infrastructure.ledger import entries, proofs, tree
from infrastructure.ledger.checkpoints import Checkpoint, Keys, NotTrusted, Signer, parse
from infrastructure.ledger.tree import Growing
from infrastructure.notify import News, heard
from infrastructure.settings import Settings

log = structlog.get_logger()

LARGEST = 4096
"""Leaves in one seal."""

PACE = 0.4
"""Seconds from one seal to the next while events trickle in, so that they share seals."""

POLL = 1.0
"""Seconds after which the log is looked at even when nobody said that it grew."""

LOCK = "SELECT pg_try_advisory_lock(hashtextextended('follower:ledger', 0))"


class LedgerBroken(Exception):
    """The tree cannot be continued; the text says where and why."""


@dataclass(frozen=True)
class Sealer:
    """Seals what the log has and the ledger has not.

    `kept` is the directory of the last signed heads, `former` are public keys that seals of an
    earlier time may be signed with.
    """

    url: str
    signer: Signer
    kept: Path
    former: tuple[bytes, ...] = ()

    async def run(self) -> None:
        """Work until cancelled; survives lost connections, waits while another process works."""
        news = News()
        async with heard(self.url, notify.LOG, news.hear):
            await self._again_and_again(news)

    async def _again_and_again(self, news: News) -> None:
        pause = 0.1
        while True:
            try:
                async with await database.connect(self.url, "ledger") as connection:
                    await _own(connection)
                    await self._stay(connection, news)
            except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                log.warning("ledger.interrupted", error=type(error).__name__)
            except LedgerBroken as error:
                metrics.follower_failures.labels("ledger").inc()
                log.error("ledger.broken", reason=str(error))
                pause = 5.0
            await database.rest(pause)
            pause = min(pause * 2, 5.0)

    async def _stay(self, connection: AsyncConnection[Any], news: News) -> None:
        growing: Growing | None = None
        while True:
            growing = await self.seal(connection, growing)
            sealed = monotonic()
            await news.within(POLL)
            await asyncio.sleep(max(0.0, PACE - (monotonic() - sealed)))

    async def seal(
        self, connection: AsyncConnection[Any], growing: Growing | None = None
    ) -> Growing:
        """Seal all that is in the log; `growing` is what the last call returned."""
        origin = await proofs.origin(connection)
        if growing is None:
            growing = await self._continue(connection, origin)
        while True:
            since = growing.size
            leaves = []
            async for entry in entries.read_async(connection, since, since + LARGEST):
                leaves.append(tree.leaf_hash(entry))
                if entries.position_of(entry) != since + len(leaves):
                    raise LedgerBroken(f"position {since + len(leaves)} is missing from the log")
            if not leaves:
                return growing
            complete = growing.extend(leaves)
            head = self.signer.sign(origin, growing.size, growing.root)
            await _keep(connection, since, leaves, head, complete)
            _write(self.kept, head)

    async def _continue(self, connection: AsyncConnection[Any], origin: str) -> Growing:
        """The tree of the last seal, its right edge read from what is kept."""
        try:
            return await self._continued(connection, origin)
        except proofs.Incomplete as error:
            raise LedgerBroken(str(error)) from None

    async def _continued(self, connection: AsyncConnection[Any], origin: str) -> Growing:
        keys = Keys(origin, [self.signer.public, *self.former])
        signed = _read(self.kept, keys)  # before the head: another process may be sealing
        head = await proofs.head(connection) or Checkpoint(origin, 0, tree.EMPTY)
        if signed and (
            signed.size > head.size or await proofs.root(connection, signed.size) != signed.root
        ):
            raise LedgerBroken(f"the tree does not continue the one signed here at {signed.size}")
        if head.size == 0:
            return Growing()
        try:
            keys.check(head)
        except NotTrusted as error:
            raise LedgerBroken(f"the seal of size {head.size} is not ours: {error}") from None
        edge = tree.cover(0, head.size)
        roots = await proofs.roots(connection, edge)
        growing = Growing(head.size, [roots[part] for part in edge])
        if growing.root != head.root:
            raise LedgerBroken(f"what is kept of the tree is not the one sealed at {head.size}")
        return growing


def public_keys(settings: Settings) -> list[bytes]:
    """Whose seals and checkpoints count here: the present key, then those of former secrets."""
    secrets = (settings.encryption_key, *settings.older_encryption_keys)
    return [Signer(each).public for each in secrets]


def kept_in(settings: Settings) -> Path:
    """The directory of the heads that were signed here."""
    return settings.data_dir / "ledger"


def sealer(settings: Settings) -> Sealer:
    """The sealer of this installation."""
    former = tuple(public_keys(settings)[1:])
    return Sealer(settings.database_url, Signer(settings.encryption_key), kept_in(settings), former)


async def _own(connection: AsyncConnection[Any]) -> None:
    while True:
        row = await (await connection.execute(LOCK)).fetchone()
        if row and row[0]:
            return
        await asyncio.sleep(POLL)


async def _keep(
    connection: AsyncConnection[Any],
    since: int,
    leaves: list[bytes],
    head: Checkpoint,
    complete: list[tuple[tree.Subtree, bytes]],
) -> None:
    async with connection.transaction():
        if complete:
            await connection.execute(
                "INSERT INTO ledger.subtrees (level, number, root)"
                " SELECT * FROM unnest(%s::int[], %s::bigint[], %b::bytea[])",
                [
                    [part.height // tree.KEPT for part, _ in complete],
                    [part.number for part, _ in complete],
                    [root for _, root in complete],
                ],
            )
        await connection.execute(
            "INSERT INTO ledger.seals (since, size, leaves, root, signature)"
            " VALUES (%s, %s, %b, %b, %b)",
            [since, head.size, b"".join(leaves), head.root, head.signature],
        )


def kept_file(directory: Path, origin: str) -> Path:
    """Where the last head that was signed here is kept."""
    return directory / f"{origin.rpartition('/')[2]}.checkpoint"


def _read(directory: Path, keys: Keys) -> Checkpoint | None:
    file = kept_file(directory, keys.origin)
    try:
        (head,) = parse(file.read_text())
        keys.check(head)
    except FileNotFoundError:
        return None
    except (NotTrusted, ValueError) as error:
        raise LedgerBroken(f"{file} is not what was signed here: {error}") from None
    return head


def _write(directory: Path, head: Checkpoint) -> None:
    file = kept_file(directory, head.origin)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.write_text(head.note())
    fresh.replace(file)


async def seal_now(sealer: Sealer) -> Checkpoint:
    """Seal what the log has now and return the head, whoever else is sealing.

    Raises `LedgerBroken` when the tree cannot be continued.
    """
    async with await database.connect(sealer.url, "ledger") as connection:
        for _ in range(20):
            try:
                growing = await sealer.seal(connection)
            except psycopg.errors.UniqueViolation:  # another process was quicker
                continue
            origin = await proofs.origin(connection)
            return sealer.signer.sign(origin, growing.size, growing.root)
    raise LedgerBroken("other processes seal all the time; try again")
