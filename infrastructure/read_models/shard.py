"""The load of a rebuild, and what one worker does of it.

A worker reads the whole history, leaves out the streams that are not of its shard, folds the
others in memory as far as there is room, and writes new rows by COPY and the rest in sets.

As a program it takes its task as a line of JSON on standard input, and reports on standard
output, a line of JSON each. It ends when its standard input does: with whoever started it.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from itertools import islice
from typing import Any

import msgspec
import psycopg
from psycopg import Connection, sql
from psycopg.rows import tuple_row

from infrastructure import database
from infrastructure.event_log.codec import StoredEvent, decoded
from infrastructure.personal_data import keyring
from infrastructure.personal_data.opening import opened_sync
from infrastructure.programs import end_with_the_other_side
from infrastructure.read_models import flush, registry
from infrastructure.read_models.folding import POISON
from infrastructure.read_models.tables import columns, quoted
from infrastructure.read_models.watch import NotShareable, Watch, WatchedRow
from infrastructure.stored_json import stored_json
from projections.kernel import ReadModel, Row, Rows
from projections.rows import Fate, Statement
from projections.tables import Column

STRIDE = 50_000
"""Positions read by one statement: one that lasted would hold back the vacuum."""
CHUNK = 200
"""Events taken from the connection at once."""
ROWS = 60_000
"""Folded rows kept in memory, and"""
BYTES = 48 * 1024 * 1024
"""event states folded into them, before they are written."""
REPORT = 500
"""Events from one report to the next, each a chance to be stopped."""
LOADING = 73610184
"""Class of the advisory locks under which shards change rows of the same table."""

Report = Callable[[int], None]
"""Told the position up to which a worker has come."""


@dataclass(frozen=True, slots=True)
class Task:
    """Fold events 1 to `upto` of the streams of one shard into the tables of `schema`.

    `model` is `module:class`; `imports` are the modules whose events the log may hold; `secrets`
    open personal data (those of the process by default).
    """

    url: str
    schema: str
    model: str
    imports: list[str]
    shard: int
    shards: int
    upto: int
    secrets: Sequence[str] = field(default=(), repr=False)


class Stopped(Exception):
    """Whoever started the work does not want it any more."""


class Unfoldable(Exception):
    """`account` tells of the event that could not be folded, without its data."""

    def __init__(self, account: dict[str, Any]) -> None:
        super().__init__(account)
        self.account = account


def load(task: Task, report: Report) -> dict[str, str]:
    """Carry out `task`; returns how each table was used, for comparison with other shards.

    Raises `NotShareable`, `Unfoldable`, and whatever `report` raises to stop it.
    """
    for needed in task.imports:
        import_module(needed)
    module, _, name = task.model.partition(":")
    model: ReadModel = getattr(import_module(module), name)()
    watch = Watch()
    alone = task.shards == 1
    rows = Rows(model.tables, Row if alone else lambda table, key: WatchedRow(table, key, watch))
    with (
        _connection(task, "read") as source,
        _connection(task, "write") as target,
        # Whatever ends the loop has to end the statement under way, or `source` waits for it.
        closing(_history(source, model, task, report)) as history,
    ):
        size = 0
        for count, stored in enumerate(_opened(target, history), 1):
            watch.stream = stored.stream_id
            try:
                event = decoded(stored)
                model.fold(event, rows, stored.position, history=True)
            except NotShareable:
                raise
            except Exception as error:
                told = {"position": stored.position, "topic": stored.topic}
                raise Unfoldable(told | registry.account(error)) from error
            size += len(stored.state)
            if size > BYTES or (count % REPORT == 0 and len(rows) > ROWS):
                _write(target, rows, alone)
                size = 0
            if count % REPORT == 0:
                report(stored.position)
        _write(target, rows, alone)
    return watch.uses


@contextmanager
def _connection(task: Task, role: str) -> Iterator[Connection[Any]]:
    with database.connect_sync(task.url, f"rebuild-{role}") as connection:
        connection.execute(registry.SETTINGS)
        connection.execute(
            sql.SQL("SET search_path = {}, public").format(sql.Identifier(task.schema))
        )
        yield connection


_HISTORY = """
SELECT position, stream_id, version, tenant, topic, state, recorded_at FROM log.events
WHERE position > %s AND position <= %s AND topic = ANY (%s)
  AND (uuid_hash(stream_id) & 2147483647) %% %s = %s ORDER BY position
"""


def _history(
    source: Connection[Any], model: ReadModel, task: Task, report: Report
) -> Generator[StoredEvent, None, None]:
    topics = list(model.interests)
    for since in range(0, task.upto, STRIDE):
        upto = min(since + STRIDE, task.upto)
        span = (since, upto, topics, task.shards, task.shard)
        with source.cursor(row_factory=tuple_row) as cursor:
            for row in cursor.stream(_HISTORY, span, binary=True, size=CHUNK):
                yield StoredEvent(*row)
        report(upto)


def _opened(connection: Connection[Any], history: Iterator[StoredEvent]) -> Iterator[StoredEvent]:
    """The same events with their personal data; keys are asked for on a connection that is idle."""
    while piece := list(islice(history, REPORT)):
        yield from opened_sync(connection, piece)


def _write(target: Connection[Any], rows: Rows, alone: bool) -> None:
    for each in rows.take():
        if isinstance(each, Statement):
            if not alone:
                raise NotShareable("SQL of its own")
            target.execute(each.sql.encode(), each.params)
            continue
        new = [row for row in each if row.fate is Fate.CLASH]
        if new:
            _copy(target, new)
        rest = [row for row in each if row.fate is not Fate.CLASH]
        for start in range(0, len(rest), 2000):
            _change(target, rest[start : start + 2000])


def _change(target: Connection[Any], rows: list[Row]) -> None:
    with target.transaction():
        if any(row.fresh is not None for row in rows):
            # "Change, then insert what was not there" is one step only if no other shard is at it.
            target.execute(
                "SELECT pg_advisory_xact_lock(%s, %s)",
                [LOADING, zlib.crc32(rows[0].table.name.encode()) >> 1],
            )
        for statement, params in flush.changes(rows):
            target.execute(statement.encode(), params, prepare=True)


def _copy(target: Connection[Any], rows: list[Row]) -> None:
    table = rows[0].table
    written = columns(table.written)
    fields = [(each.name, _text_of(each)) for each in table.fields.values()]
    with (
        target.cursor() as cursor,
        cursor.copy(f"COPY {quoted(table.name)} ({written}) FROM STDIN".encode()) as copy,
    ):
        for row in rows:
            values = row.fresh or {}
            copy.write_row((*row.key, *(text(values[name]) for name, text in fields)))


def _text_of(column: Column) -> Callable[[Any], Any]:
    """What makes a value ready for COPY, so that it arrives as it would by JSON."""
    if column.sql == "jsonb":
        return lambda value: None if value is None else stored_json(value)
    if column.sql in ("text", "text[]"):
        return _plain
    return lambda value: value


def _plain(value: Any) -> Any:
    if type(value) is str:
        return value.replace("\0", "\ufffd") if "\0" in value else value
    plain = msgspec.to_builtins(value)
    return [_plain(each) for each in plain] if isinstance(plain, list) else plain


def _main() -> None:
    task = Task(**json.loads(sys.stdin.readline()))
    if task.secrets:
        keyring.use(task.secrets)
    end_with_the_other_side()
    try:
        _tell(uses=load(task, lambda position: _tell(at=position)))
    except NotShareable as reason:
        _tell(not_shareable=str(reason))
    except Unfoldable as error:
        _tell(unfoldable=error.account)
    except POISON as error:
        _tell(unfoldable=registry.account(error))
    except psycopg.Error as error:
        _tell(lost=type(error).__name__)


def _tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201 - the other side reads it


if __name__ == "__main__":
    _main()
