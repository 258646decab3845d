"""What the database knows of read models: position, version, state, and why one stopped."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from infrastructure import database
from infrastructure.event_log.codec import UnreadableEvent
from infrastructure.read_models import tables
from projections.kernel import FoldError, ReadModel

ENROLLING = 73610180
"""Class of the advisory lock under which read models become known."""
REBUILDING = 73610182
"""Class of the advisory locks under which a read model (by its id) is built anew."""

SETTINGS = (
    "SET ROLE tidings_projector; SET timezone = 'UTC';"
    # Rows and position are lost together, if at all, and are folded again.
    " SET synchronous_commit = off;"
    # A batch meets its rows through the key, however stale the statistics are.
    " SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;"
    " SET jit = off; SET plan_cache_mode = force_generic_plan"
)
"""What makes a connection one that writes read models."""


async def connect(url: str, name: str, schema: str = "read") -> AsyncConnection[Any]:
    """A connection that may write read models; unqualified names are those of `schema`."""
    connection = await database.connect(url, name)
    await connection.execute(SETTINGS)
    await connection.execute(sql.SQL("SET search_path = {}, public").format(sql.Identifier(schema)))
    return connection


@dataclass(frozen=True, slots=True)
class Declared:
    """A read model of this release, with what tells it from other releases."""

    model: ReadModel
    shape: str

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def tables(self) -> list[str]:
        return [table.name for table in self.model.tables]


def declared(models: Iterable[ReadModel]) -> dict[str, Declared]:
    """The read models of a release by name. Raises `TypeError` when two share a name or table."""
    by_name: dict[str, Declared] = {}
    owners: dict[str, str] = {}
    for model in models:
        if model.name in by_name:
            raise TypeError(f"two read models are called {model.name}")
        by_name[model.name] = Declared(model, tables.shape(model))
        for table in model.tables:
            if owners.setdefault(table.name, model.name) != model.name:
                raise TypeError(f"{model.name} and {owners[table.name]} both have {table.name}")
    return by_name


async def enrol(connection: AsyncConnection[Any], models: Iterable[Declared]) -> None:
    """Make every read model known. With an empty log its tables are complete at once."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", [ENROLLING])
        cursor = await connection.execute("SELECT NOT EXISTS (SELECT FROM log.events)")
        (empty,) = await cursor.fetchone() or (False,)
        for each in models:
            cursor = await connection.execute(
                "INSERT INTO read.models (name, version, shape, tables, state)"
                " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                [
                    each.name,
                    each.model.version,
                    each.shape,
                    each.tables if empty else [],
                    "live" if empty else "building",
                ],
            )
            if cursor.rowcount and empty:
                for statement in tables.statements(each.model, "read"):
                    await connection.execute(statement.encode())


async def resume(connection: AsyncConnection[Any], names: Sequence[str] | None = None) -> list[str]:
    """Let failed read models try again from where they stopped; returns their names."""
    cursor = await connection.execute(
        "UPDATE read.models SET state = 'live', error = NULL"
        " WHERE state = 'failed' AND (%(names)s::text[] IS NULL OR name = ANY (%(names)s))"
        " RETURNING name",
        {"names": None if names is None else list(names)},
    )
    return [name for (name,) in await cursor.fetchall()]


async def mark_failed(
    connection: AsyncConnection[Any], name: str, position: int, error: dict[str, Any]
) -> bool:
    """Stop a read model at `position`, visibly; False when it is no longer there."""
    cursor = await connection.execute(
        "UPDATE read.models SET state = 'failed', error = %s, updated_at = clock_timestamp()"
        " WHERE name = %s AND position = %s AND state = 'live'",
        [Jsonb(error), name, position],
    )
    return cursor.rowcount == 1


@dataclass(frozen=True, slots=True)
class Building:
    """A rebuild under way, or (with `error`) the last one that failed."""

    version: int
    phase: str
    done: int
    total: int
    started_at: str
    error: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """Where a read model stands.

    `lag` is in events behind the head of the log, `lag_seconds` the age of the oldest of them.
    `state` is `building` until the first tables are complete; later ones are built beside
    (`build`) while the old ones stay `live`. `error` tells position and topic of the event that
    it stopped at, and what went wrong, without data of the event; `why` says it in a line.
    """

    name: str
    version: int
    position: int
    state: Literal["building", "live", "failed"]
    lag: int
    lag_seconds: float
    error: dict[str, Any] | None
    build: Building | None
    updated_at: datetime

    @property
    def why(self) -> str | None:
        return told(self.error) if self.error else None


_STATUS = """
SELECT m.name, m.version, m.position, m.state, m.error, m.updated_at,
       greatest(head.position - m.position, 0) AS lag,
       CASE WHEN head.position > m.position THEN greatest(0, extract(epoch FROM clock_timestamp()
           - (SELECT e.recorded_at FROM log.events e WHERE e.position > m.position
              ORDER BY e.position LIMIT 1)))::float8 ELSE 0 END AS lag_seconds,
       (SELECT jsonb_build_object('version', b.version, 'phase', b.phase, 'done', b.done,
               'total', b.total, 'started_at', b.started_at, 'error', b.error)
        FROM read.builds b WHERE b.model = m.name) AS build
FROM read.models m, (SELECT coalesce(max(position), 0) AS position FROM log.events) AS head
WHERE %(names)s::text[] IS NULL OR m.name = ANY (%(names)s) ORDER BY m.name
"""


async def status(
    connection: AsyncConnection[Any], models: Iterable[ReadModel] | None = None
) -> list[ModelStatus]:
    """The read models that the database knows, by name: all, or those among `models` (it may
    still hold some that this release has given up). Any role of ours may ask."""
    names = None if models is None else [model.name for model in models]
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_STATUS, {"names": names})
        return [_status(**row) for row in await cursor.fetchall()]


def _status(build: dict[str, Any] | None, **values: Any) -> ModelStatus:
    return ModelStatus(build=Building(**build) if build else None, **values)


def account(error: BaseException) -> dict[str, Any]:
    """What may be told of an error: what and where, never a value of the event.

    Messages of strangers are left out, as they like to quote what they could not take.
    """
    told: dict[str, Any] = {"error": type(error).__name__}
    if isinstance(error, FoldError):
        told["message"] = str(error)
    elif isinstance(error, psycopg.Error):
        facts = ("sqlstate", "table_name", "column_name", "constraint_name")
        told |= {name: fact for name in facts if (fact := getattr(error.diag, name))}
    elif not isinstance(error, UnreadableEvent) and (trace := error.__traceback__):
        frame = traceback.extract_tb(trace)[-1]
        told["at"] = f"{Path(frame.filename).name}:{frame.lineno} ({frame.name})"
    return told


def told(account: dict[str, Any]) -> str:
    """An account in one line."""
    return ", ".join(f"{name} {fact}" for name, fact in account.items())
