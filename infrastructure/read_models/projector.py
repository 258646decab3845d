"""The projector: folds the log into the tables of read models, live.

Read models at the same position travel as a group: each batch is read and decoded once, folded
in memory, and committed for all of them with their positions, so that every event takes effect
once. One that cannot go on is stopped, visibly, and the others go on without it.

Any number of processes share the work. Whoever holds the session lock of a read model folds it;
locks of the dead are free at once, and those of the silent are taken from them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from time import monotonic
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from domain.positions import GREATEST
from infrastructure import database, notify
from infrastructure.event_log.codec import StoredEvent
from infrastructure.event_log.recent import Recent
from infrastructure.notify import heard
from infrastructure.read_models import folding, registry
from infrastructure.read_models.build import sweep
from infrastructure.read_models.folding import POISON, Poisoned
from infrastructure.read_models.rebuild import (
    RebuildFailed,
    RebuildInterrupted,
    RebuildRefused,
    rebuild,
)
from infrastructure.read_models.sharing import BEAT, Carried, Releases, Shares, beat
from projections.kernel import ReadModel

log = structlog.get_logger()

FENCED = "TR001"
"""SQLSTATE of `read.advance`: somebody else has moved these read models."""

LARGEST, SMALLEST = 2000, 50
"""Events in a batch."""
PACE = 0.05
MANY = 40
"""Seconds at least between two rounds, where the last one had more than so many events: under
load one transaction then serves many commits, and a single caller never waits for it."""
FIRST_REPLAN = 200
"""Events after which statements are planned anew, and again whenever there were twice as many: a
plan made for an empty table may take any index, and would be kept while the table grows."""
SLOW = 0.25
"""Seconds for a batch, beyond which the next ones become smaller."""

REST = 5.0
"""Seconds before an interrupted rebuild begins again."""


class Projector:
    """Folds `models` until `run` is cancelled, in as many processes as one likes.

    It also builds anew those whose version or tables differ from what the database holds, beside
    the old tables, with `processes` workers. What it reads is noted in `recent`.
    """

    def __init__(
        self,
        url: str,
        models: Iterable[ReadModel],
        *,
        recent: Recent | None = None,
        largest: int = LARGEST,
        processes: int = 2,
    ) -> None:
        self.url, self.processes, self.recent = url, processes, recent or Recent()
        self.declared = registry.declared(models)
        self.releases = Releases(self.declared)
        self.largest = self.size = largest
        self._wake = asyncio.Event()
        self._outdated: asyncio.Queue[str] = asyncio.Queue()
        self._queued: set[str] = set()

    async def run(self) -> None:
        """Work until cancelled; survives lost connections and restarts of the server."""
        async with (
            heard(self.url, notify.LOG, self._hear),
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(self._build_outdated(), name="projector-builds")
            tasks.create_task(self._stay(), name="projector")

    async def _stay(self) -> None:
        pause, first = 0.1, True
        while True:
            began = monotonic()
            try:
                # In a task of its own: a group of tasks that fails marks its task as cancelled.
                await asyncio.create_task(self._session(first), name="projector-session")
            except* (psycopg.Error, OSError) as lost:
                self.recent.forget()
                log.warning("projector.interrupted", errors=[*_names(lost)])
            first = False
            pause = 0.1 if monotonic() - began > 10 else min(pause * 2, 5.0)
            await database.rest(pause)

    async def _session(self, first: bool) -> None:
        """One connection that folds and holds the locks, one that gives signs of life. When
        either is lost both are given up."""
        async with (
            await registry.connect(self.url, "project") as connection,
            await registry.connect(self.url, "project-control") as control,
        ):
            await registry.enrol(connection, self.declared.values())
            await sweep(connection)
            shares = Shares(connection, self.releases)
            await shares.arrive(retry_failed=first)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._signs_of_life(control, connection.info.backend_pid))
                tasks.create_task(self._work(connection, shares))

    async def _signs_of_life(self, control: AsyncConnection[Any], pid: int) -> None:
        while True:
            await beat(control, pid)
            await asyncio.sleep(BEAT)

    def _hear(self, _payload: str) -> None:
        self._wake.set()

    async def _work(self, connection: AsyncConnection[Any], shares: Shares) -> None:
        looked, last, folded, replan = -BEAT, 0, 0, FIRST_REPLAN
        while True:
            if monotonic() - looked >= BEAT:
                looked = monotonic()
                self._take_note(await shares.divide())
            self._wake.clear()
            began = monotonic()
            try:
                found = await self._round(connection, shares)
            except psycopg.Error as error:
                if error.sqlstate != FENCED:
                    raise
                log.info("projector.fenced_off")
                await asyncio.sleep(0.05)
                looked, found = -BEAT, 1
            last, folded = found or last, folded + found
            if folded >= replan:
                await connection.execute("DISCARD PLANS")
                replan = folded * 2
            if not found:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(BEAT):
                        await self._wake.wait()
            if MANY < last < self.size:
                await asyncio.sleep(max(0.0, began + PACE - monotonic()))

    async def _round(self, connection: AsyncConnection[Any], shares: Shares) -> int:
        """One batch for each group, the foremost first; those behind stop where another is, and
        go on as one. The number of events that there were."""
        found = 0
        upto = GREATEST
        carried = sorted(shares.carried.values(), key=lambda each: (-each.position, each.name))
        for position, members in groupby(carried, key=lambda each: each.position):
            group = list(members)
            events = await folding.read(connection, position, upto, self.size, self.recent)
            if events:
                found += len(events)
                await self._carry(connection, shares, group, events)
            upto = max(each.position for each in group)
        return found

    async def _carry(
        self,
        connection: AsyncConnection[Any],
        shares: Shares,
        group: Sequence[Carried],
        events: Sequence[StoredEvent],
    ) -> bool:
        """Fold `events` into a group. What fails is tried for each member alone, then in halves,
        until one event of one read model is to blame. False when its only member has failed."""
        try:
            await self._commit(connection, group, events)
            return True
        except (Poisoned, *POISON) as error:
            if len(group) > 1:
                for member in group:
                    await self._carry(connection, shares, [member], events)
                return True
            if len(events) > 1:
                half = len(events) // 2
                return await self._carry(
                    connection, shares, group, events[:half]
                ) and await self._carry(connection, shares, group, events[half:])
            await shares.give_up(group[0], events[0], error.__cause__ or error)
            return False

    async def _commit(
        self,
        connection: AsyncConnection[Any],
        group: Sequence[Carried],
        events: Sequence[StoredEvent],
    ) -> None:
        began = monotonic()
        statements = folding.fold([each.declared.model for each in group], events)
        upto = events[-1].position
        async with connection.pipeline(), connection.transaction():
            await connection.execute(
                "SELECT read.advance(%s, %s, %s, %s, %s)",
                [
                    [each.name for each in group],
                    [each.declared.model.version for each in group],
                    [each.declared.shape for each in group],
                    group[0].position,
                    upto,
                ],
                prepare=True,
            )
            await folding.carry_out(connection, statements)
        for each in group:
            each.position = upto
        self._adapt(len(events), monotonic() - began)

    def _adapt(self, events: int, seconds: float) -> None:
        if seconds > SLOW:
            self.size = max(min(SMALLEST, self.largest), self.size // 2)
        elif events == self.size and seconds < SLOW / 3:
            self.size = min(self.largest, self.size * 2)

    def _take_note(self, outdated: Sequence[str]) -> None:
        for name in outdated:
            if name not in self._queued:
                self._queued.add(name)
                self._outdated.put_nowait(name)

    async def _build_outdated(self) -> None:
        """Build anew what this release sees differently, one after the other. What cannot be
        built is left for the next start, or for the command; the old tables stay in use."""
        while True:
            name = await self._outdated.get()
            try:
                model = self.declared[name].model
                await rebuild(self.url, model, processes=self.processes, only_if_outdated=True)
            except RebuildRefused:  # another process is at it
                await asyncio.sleep(BEAT)
            except (RebuildInterrupted, psycopg.Error, OSError) as error:
                log.warning("projector.build_interrupted", model=name, error=type(error).__name__)
                await database.rest(REST)
            except RebuildFailed as error:
                log.error("projector.build_failed", model=name, **error.account)
                continue
            self._queued.discard(name)


def _names(group: BaseExceptionGroup[BaseException]) -> Iterator[str]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _names(error)
        else:
            yield type(error).__name__
