"""Building a read model anew, beside the tables in use, and switching over in one step.

The tables grow in a schema of their own: history first (by shards of streams, in processes of
their own), then indexes, then what has happened meanwhile. The switch waits for the row of the
read model, so that the live tables stand still, folds the last few events, and puts the new
tables in the place of the old. Queries see the old ones until then, and the new ones after it,
at the same position or a later one.

A rebuild moves nobody else's position and sends nothing: there is no side effect to hold back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import namedtuple_row

from infrastructure.read_models import registry, workers
from infrastructure.read_models.build import Build
from infrastructure.read_models.folding import POISON, Poisoned
from infrastructure.read_models.progress import Progress, Reporter
from infrastructure.read_models.registry import REBUILDING, Declared
from infrastructure.read_models.shard import Unfoldable
from infrastructure.read_models.watch import NotShareable
from projections.kernel import ReadModel


class RebuildRefused(Exception):
    """Another process is building this read model."""


class RebuildCancelled(Exception):
    """The caller asked for it; nothing has changed."""


class RebuildFailed(Exception):
    """Nothing has changed. `account` tells what went wrong, without data of events."""

    def __init__(self, account: dict[str, Any]) -> None:
        super().__init__(registry.told(account))
        self.account = account


class RebuildInterrupted(RebuildFailed):
    """A worker was killed, or lost its connection: another attempt may succeed."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The read model stands at `position`, with tables made from the log."""

    name: str
    version: int
    position: int


async def rebuild(
    url: str,
    model: ReadModel,
    *,
    processes: int = 2,
    on_progress: Callable[[Progress], None] | None = None,
    cancel: asyncio.Event | None = None,
    only_if_outdated: bool = False,
) -> Rebuilt | None:
    """Build the tables of `model` from the log and put them in the place of those in use.

    `processes` workers load the history, where its streams can be folded apart. `on_progress` is
    called a few times a second. None is returned when `only_if_outdated` and the tables are
    those of this release already.

    Raises `RebuildRefused`, `RebuildFailed`, and `RebuildCancelled` once `cancel` is set; the
    tables in use are then as they were.
    """
    declared = registry.declared([model])[model.name]
    async with await registry.connect(url, "rebuild") as connection:
        await registry.enrol(connection, [declared])
        async with _alone(connection, declared) as known:
            if only_if_outdated and known:
                return None
            build = Build(url, declared, connection, processes, Reporter(on_progress))
            await _carry_out(build, cancel)
            return Rebuilt(model.name, model.version, build.position)


async def _carry_out(build: Build, cancel: asyncio.Event | None) -> None:
    work = asyncio.create_task(build.run())
    try:
        await _unless(cancel, work)
    except (NotShareable, Poisoned, Unfoldable, *POISON) as error:
        failure = RebuildFailed(_account(error))
        await build.discard(failure.account)
        raise failure from error
    except workers.WorkerLost as lost:
        await build.discard(None)
        raise RebuildInterrupted({"error": "WorkerLost", "message": str(lost)}) from lost
    except BaseException:
        await build.discard(None)
        raise


@contextlib.asynccontextmanager
async def _alone(connection: AsyncConnection[Any], declared: Declared) -> AsyncIterator[bool]:
    """Be the only one in the body; whether the tables are of this release.

    Raises `RebuildRefused`.
    """
    cursor = connection.cursor(row_factory=namedtuple_row)
    await cursor.execute(
        "SELECT id, version, shape, state, pg_try_advisory_lock(%s, id) AS mine"
        " FROM read.models WHERE name = %s",
        [REBUILDING, declared.name],
    )
    row: Any = await cursor.fetchone()
    if not row.mine:
        raise RebuildRefused(f"{declared.name} is being built already")
    same = (row.version, row.shape) == (declared.model.version, declared.shape)
    try:
        yield bool(same and row.state != "building")
    finally:
        # The server takes a moment to notice a connection's end, and the next one may be at once.
        with contextlib.suppress(psycopg.Error):
            await connection.execute("SELECT pg_advisory_unlock(%s, %s)", [REBUILDING, row.id])


async def _unless(cancel: asyncio.Event | None, work: asyncio.Task[None]) -> None:
    """Wait for `work`. It is ended when `cancel` is set, or the caller is cancelled."""
    waiting = asyncio.create_task((cancel or asyncio.Event()).wait())
    try:
        await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise RebuildCancelled
        await work
    finally:
        waiting.cancel()
        work.cancel()
        await asyncio.gather(work, waiting, return_exceptions=True)


def _account(error: BaseException) -> dict[str, Any]:
    if isinstance(error, Unfoldable):
        return error.account
    return registry.account(error.__cause__ or error)
