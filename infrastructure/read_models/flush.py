"""From folded rows to SQL: a handful of statements for a batch, whatever its size.

Values travel as JSON and are read by the database with the types of their columns: of the forms
that were measured it takes the least time on both sides.
"""
# ruff: noqa: S608 - names of tables and columns are checked when they are declared

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from infrastructure.read_models.tables import columns, quoted
from infrastructure.stored_json import stored_json
from projections.kernel import Row, Rows, Table
from projections.rows import Fate, Statement
from projections.tables import Column

Prepared = tuple[str, dict[str, Any]]
"""A statement and its parameters."""


def prepared(rows: Rows) -> Iterator[Prepared]:
    """The statements that carry out what was folded into `rows`, which begins anew."""
    for each in rows.take():
        if isinstance(each, Statement):
            yield each.sql, dict(each.params)
        else:
            yield from changes(each)


def changes(rows: Sequence[Row]) -> Iterator[Prepared]:
    """The statements for rows of one table: removals first, then new rows, then changes."""
    table = rows[0].table
    yield from removals(row for row in rows if row.fate is Fate.REMOVE)
    new = [row for row in rows if row.fate is not Fate.CHANGE and row.fresh is not None]
    if new:
        yield insertion(table), {"rows": stored_json([complete(row) for row in new])}
    yield from alterations(table, [row for row in rows if row.fate is Fate.CHANGE])


def removals(rows: Iterable[Row]) -> Iterator[Prepared]:
    gone = list(rows)
    if gone:
        table = gone[0].table
        yield _deletion(table), {"rows": stored_json([_key(row) for row in gone])}


def alterations(table: Table, rows: Sequence[Row]) -> Iterator[Prepared]:
    """Changes of rows that are there; then the rows that had to be there and were not."""
    alike: dict[tuple[tuple[str, ...], tuple[str, ...]], list[dict[str, Any]]] = {}
    for row in rows:
        if row.sets or row.grows:
            which = tuple(sorted(row.sets)), tuple(sorted(row.grows))
            alike.setdefault(which, []).append({**_key(row), **row.sets, **row.grows})
    for (sets, grows), values in alike.items():
        yield _update(table, sets, grows), {"rows": stored_json(values)}
    missing = [complete(row) for row in rows if row.fresh is not None]
    if missing:
        yield insertion(table) + " ON CONFLICT DO NOTHING", {"rows": stored_json(missing)}


def _key(row: Row) -> dict[str, Any]:
    return dict(zip(row.table.key_names, row.key, strict=True))


def complete(row: Row) -> dict[str, Any]:
    """All written columns of a new row."""
    whole = dict(zip(row.table.key_names, row.key, strict=True))
    whole.update(row.fresh or {})
    return whole


def _records(of: Iterable[Column]) -> str:
    typed = ", ".join(f"{quoted(each.name)} {each.sql}" for each in of)
    return f"json_to_recordset(%(rows)s) AS d ({typed})"


def _same(table: Table) -> str:
    return " AND ".join(f"t.{quoted(c.name)} = d.{quoted(c.name)}" for c in table.keys)


@cache
def insertion(table: Table) -> str:
    written = table.written
    return (
        f"INSERT INTO {quoted(table.name)} ({columns(written)})"
        f" SELECT {columns(written, 'd.')} FROM {_records(written)}"
    )


@cache
def _deletion(table: Table) -> str:
    return f"DELETE FROM {quoted(table.name)} t USING {_records(table.keys)} WHERE {_same(table)}"


@cache
def _update(table: Table, sets: tuple[str, ...], grows: tuple[str, ...]) -> str:
    changed = [f"{quoted(name)} = d.{quoted(name)}" for name in sets]
    changed += [_growth(table.fields[name]) for name in grows]
    fields = [*table.keys, *(table.fields[name] for name in (*sets, *grows))]
    return (
        f"UPDATE {quoted(table.name)} t SET {', '.join(changed)}"
        f" FROM {_records(fields)} WHERE {_same(table)}"
    )


def _growth(column: Column) -> str:
    name = quoted(column.name)
    old = f"coalesce(t.{name}, {column.zero})" if column.nullable else f"t.{name}"
    return f"{name} = {old} {column.growth} d.{name}"
