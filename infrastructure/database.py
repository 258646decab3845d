"""Connections to PostgreSQL and the one migration step."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import AsyncConnection, Connection, conninfo
from psycopg_pool import AsyncConnectionPool

from infrastructure import waiting

waiting.mend()

OLDEST_SERVER = 150000
"""PostgreSQL 15, as `server_version_num` counts."""

ROLE = "tidings_app"
"""What every connection but the migration's acts as; it may read events, not change them."""

ROLES = (ROLE, "tidings_projector")
"""The second one owns the tables of the read models, and nothing else."""


class DatabaseUnusable(Exception):
    """One line that names the setting and what is wrong with it."""


def redacted(url: str) -> str:
    """The URL without its password, for messages."""
    return re.sub(r"(?<=:)[^:@/]+(?=@)", "…", url)


def migrate(url: str) -> None:
    """Bring the database at `url` to this release's schema; any number may call it at once.

    Raises `DatabaseUnusable` with one line when the server cannot be reached, is too old, or
    the role may not create what is needed.
    """
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            _migrate(connection)
    except (psycopg.Error, OSError) as error:
        reason = " ".join(str(error).split())
        raise DatabaseUnusable(f"DATABASE_URL {redacted(url)}: {reason}") from error


def _migrate(connection: Connection[Any]) -> None:
    version = connection.info.server_version
    if version < OLDEST_SERVER:
        raise psycopg.NotSupportedError(f"PostgreSQL 15 or later is needed, this is {version}")
    connection.execute("SELECT pg_advisory_xact_lock(7361018430)")
    _make_roles(connection)
    connection.execute("CREATE SCHEMA IF NOT EXISTS tidings")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS tidings.migrations"
        " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    done = {name for (name,) in connection.execute("SELECT name FROM tidings.migrations")}
    for name, statements in _steps():
        if name not in done:
            connection.execute(statements())
            connection.execute("INSERT INTO tidings.migrations (name) VALUES (%s)", [name])
    unknown = done - {name for name, _ in _steps()}
    if unknown:
        raise psycopg.NotSupportedError(
            f"the database was migrated by a later release ({', '.join(sorted(unknown))})"
        )


def _make_roles(connection: Connection[Any]) -> None:
    """Roles belong to the whole server: two databases may be migrated at the same moment."""
    privilege = "SET" if connection.info.server_version >= 160000 else "MEMBER"
    for role in ROLES:
        connection.execute(
            f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN;"
            " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        )
        if not _one(connection, f"SELECT pg_has_role(current_user, '{role}', '{privilege}')"):
            connection.execute(f"GRANT {role} TO CURRENT_USER")


def _steps() -> Iterator[tuple[str, Callable[[], bytes]]]:
    yield "000_jobs", _queue_schema
    folder = files("infrastructure") / "schema"
    for step in sorted(folder.iterdir(), key=lambda each: each.name):
        if step.name.endswith(".sql"):
            yield step.name, step.read_bytes


def _queue_schema() -> bytes:
    """procrastinate's own schema, in a schema of ours, independent of any search path."""
    from procrastinate.schema import SchemaManager  # most commands have no need of it

    return f"""
        CREATE SCHEMA jobs;
        SET LOCAL search_path = jobs;
        {SchemaManager.get_schema()};
        DO $$ DECLARE f regprocedure; BEGIN
            FOR f IN SELECT oid::regprocedure FROM pg_proc
                     WHERE pronamespace = 'jobs'::regnamespace LOOP
                EXECUTE format('ALTER FUNCTION %s SET search_path = jobs, pg_temp', f);
            END LOOP;
        END $$;
        GRANT USAGE ON SCHEMA jobs TO {ROLE};
        GRANT ALL ON ALL TABLES IN SCHEMA jobs TO {ROLE};
        GRANT ALL ON ALL SEQUENCES IN SCHEMA jobs TO {ROLE};
        SET LOCAL search_path TO DEFAULT;
    """.encode()  # noqa: S608 - the queue's own statements, nothing of a caller's


def _one(connection: Connection[Any], query: str) -> Any:
    row = connection.execute(query).fetchone()
    return row[0] if row else None


def _parameters(url: str, name: str) -> str:
    return conninfo.make_conninfo(url, application_name=f"tidings-{name}", connect_timeout=10)


async def connect(url: str, name: str) -> AsyncConnection[tuple[Any, ...]]:
    """One autocommit connection as the application's role; `name` shows in pg_stat_activity."""
    connection = await AsyncConnection.connect(_parameters(url, name), autocommit=True)
    try:
        await _configure(connection)
    except BaseException:
        await connection.close()
        raise
    return connection


@contextmanager
def connect_sync(url: str, name: str) -> Iterator[Connection[tuple[Any, ...]]]:
    """The same for command-line tools and tests."""
    with Connection.connect(_parameters(url, name), autocommit=True) as connection:
        connection.execute(f"SET ROLE {ROLE}")
        yield connection


async def _configure(connection: AsyncConnection[Any]) -> None:
    await connection.execute(f"SET ROLE {ROLE}")


@asynccontextmanager
async def pool(url: str, name: str, *, size: int = 8) -> AsyncIterator[AsyncConnectionPool[Any]]:
    """A pool of autocommit connections as the application's role."""
    async with AsyncConnectionPool(
        _parameters(url, name),
        min_size=1,
        max_size=size,
        kwargs={"autocommit": True},
        configure=_configure,
        open=False,
    ) as opened:
        yield opened


async def rest(seconds: float) -> None:
    """Wait before another try.

    Raises `CancelledError` at once when the caller has been cancelled: a connection that fails
    while its work is cancelled reports its own failure, and the cancellation would be lost.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    await asyncio.sleep(seconds)
