"""Queries over read models: one tenant, one statement, and never behind the caller's writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg
import structlog
from psycopg import AsyncConnection, errors
from psycopg.rows import class_row, dict_row, tuple_row
from psycopg_pool import AsyncConnectionPool

from domain.kernel import Unavailable
from infrastructure import database
from projections.kernel import Query

T = TypeVar("T")

log = structlog.get_logger()

PATIENCE = 2.0
"""Seconds that a query waits for its read models to reach the caller's last write."""

LOOK = 0.25
"""Seconds between looks at the positions when no notification comes."""

_FACTORIES: Mapping[Any, Any] = {dict: dict_row, tuple: tuple_row}

_BEFORE = """
SELECT greatest((SELECT c.position FROM log.callers c
                 WHERE c.tenant = %(tenant)s AND c.actor = %(actor)s), %(at_least)s::bigint),
       (SELECT CASE WHEN count(*) = cardinality(%(models)s::text[]) THEN min(m.position) END
        FROM read.models m WHERE m.name = ANY (%(models)s::text[]) AND m.state <> 'building'),
       set_config('tidings.tenant', %(tenant)s, true),
       set_config('statement_timeout', %(limit)s, true)
"""


@dataclass(eq=False, slots=True)
class _Waiting:
    models: Sequence[str]
    needed: int
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class Positions:
    """How far read models are known to have come; one listening connection for the process."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self.heard_so_far = 0
        self._waiting: set[_Waiting] = set()

    async def follow(self, url: str) -> None:
        """Listen until cancelled, on another connection whenever one is lost."""
        pause = 0.1
        while True:
            try:
                async with await database.connect(url, "read-positions") as connection:
                    await connection.execute("LISTEN tidings_read")
                    pause = 0.1
                    async for notice in connection.notifies():
                        self.heard(notice.payload)
            except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                log.warning("reading.positions_lost", error=type(error).__name__)
            await database.rest(pause)
            pause = min(pause * 2, 5.0)

    def heard(self, payload: str) -> None:
        """Take in `position name name ...`, as `read.announce` sends it."""
        self.heard_so_far += 1
        position, *names = payload.split(" ")
        for name in names:
            self.known[name] = int(position)
        for each in self._waiting:
            if self._reached(each):
                each.woken.set()

    async def wait(
        self, models: Sequence[str], needed: int, seconds: float, since: int = -1
    ) -> None:
        """Return when `models` are known to have reached `needed`, or after `seconds`.

        What was known already when `heard_so_far` stood at `since` does not count: the caller
        has looked since then, and seen otherwise (positions go back when the server crashes).
        """
        waiting = _Waiting(models, needed)
        if self.heard_so_far != since and self._reached(waiting):
            return
        self._waiting.add(waiting)
        try:
            async with asyncio.timeout(seconds):
                await waiting.woken.wait()
        except TimeoutError:
            return
        finally:
            self._waiting.discard(waiting)

    def _reached(self, waiting: _Waiting) -> bool:
        return all(self.known.get(name, -1) >= waiting.needed for name in waiting.models)


class ReadSide:
    """Where queries are asked. Made by `reading`, once per process.

    `limit` is the time in milliseconds that the database may take for one query.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool[Any],
        positions: Positions,
        *,
        patience: float = PATIENCE,
        limit: int = 5000,
    ) -> None:
        self.pool, self.positions = pool, positions
        self.patience, self.limit = patience, limit

    async def all(
        self, tenant: str, actor: str | None, query: Query[T], at_least: int | None = None
    ) -> list[T]:
        """The rows of `query`, from read models that have reached the caller's last write and
        position `at_least`.

        Raises `Unavailable` (to be tried again in a second) when they have not within two
        seconds, when the query takes longer than its limit, or without a database.
        """
        names = [model.name for model in query.models]
        before = {
            "tenant": tenant,
            "actor": actor,
            "at_least": at_least or 0,
            "models": names,
            "limit": str(self.limit),
        }
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.patience
        while True:
            heard = self.positions.heard_so_far
            try:
                needed, reached, rows = await self._ask(query, before)
            except _ConnectionLost as lost:
                # The pool may hold more connections of a server that has been restarted.
                if clock() > deadline:
                    raise Unavailable("The database is away.", code="no_database") from lost
                await asyncio.sleep(0.05)
                continue
            if reached is not None and reached >= needed:
                return rows
            if (left := deadline - clock()) <= 0:
                raise Unavailable("This view has not caught up yet.", code="behind")
            await self.positions.wait(names, needed, min(left, LOOK), heard)

    async def one(
        self, tenant: str, actor: str | None, query: Query[T], at_least: int | None = None
    ) -> T | None:
        """The first row of `query`, None without one; else as `all`."""
        rows = await self.all(tenant, actor, query, at_least)
        return rows[0] if rows else None

    async def _ask(
        self, query: Query[T], before: dict[str, Any]
    ) -> tuple[int, int | None, list[T]]:
        """The needed and the reached position, and the rows, in one round trip."""
        try:
            async with self.pool.connection(timeout=self.patience) as connection:
                return await _pipelined(connection, query, before)
        except errors.QueryCanceled as error:
            raise Unavailable("The query took too long.", code="query_too_long") from error
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
            log.warning("reading.connection_lost", error=type(error).__name__)
            raise _ConnectionLost from error


class _ConnectionLost(Exception):
    """Ask again: nothing was answered."""


async def _pipelined(
    connection: AsyncConnection[Any], query: Query[T], before: dict[str, Any], *, last: bool = False
) -> tuple[int, int | None, list[T]]:
    kind: Any = query.into
    factory: Any = _FACTORIES.get(kind) or class_row(kind)
    first = connection.cursor(row_factory=tuple_row)
    second = connection.cursor(row_factory=factory)
    try:
        # One implicit transaction: what `set_config` sets is there for the second statement only.
        async with connection.pipeline():
            await first.execute(_BEFORE, before, prepare=True)
            # A statement that stays prepared is soon planned for any values at once.
            await second.execute(
                query.sql.encode(),
                {**query.params, "tenant": before["tenant"]},
                prepare=not query.by_values,
            )
    except (errors.UndefinedTable, errors.UndefinedColumn):
        if last:
            raise
        if await _of_this_release(connection, query):
            # They may have come into place since the query failed: ask once more to know.
            return await _pipelined(connection, query, before, last=True)
        return before["at_least"], None, []
    needed, reached, *_ = await first.fetchone() or (0, None)
    return needed, reached, await second.fetchall()


async def _of_this_release(connection: AsyncConnection[Any], query: Query[Any]) -> bool:
    """Whether the tables are those that the query was written for."""
    cursor = await connection.execute(
        "SELECT count(*) FROM read.models m JOIN unnest(%s::text[], %s::int[])"
        " AS q (name, version) USING (name, version) WHERE m.state <> 'building'",
        [[model.name for model in query.models], [model.version for model in query.models]],
    )
    (same,) = await cursor.fetchone() or (0,)
    return bool(same == len(query.models))


@asynccontextmanager
async def reading(url: str, pool: AsyncConnectionPool[Any]) -> AsyncIterator[ReadSide]:
    """The read side of this process: queries go through `pool`, positions come from `url`."""
    positions = Positions()
    listener = asyncio.create_task(positions.follow(url), name="read-positions")
    try:
        yield ReadSide(pool, positions)
    finally:
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
