"""The vocabulary of a read model, folded in memory.

Whatever happens to one row within a batch ends as one `Row`: what becomes of the row if the
table has it, and what if it has not. So a thousand events cost a handful of statements, and the
outcome is that of carrying them out one by one.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any

from domain.kernel import utc
from projections.tables import Column, Table

Key = tuple[Any, ...]


class FoldError(Exception):
    """A read model asked for what cannot be; the text holds no data of the event."""


class Fate(Enum):
    """What becomes of a row that the table has already."""

    CHANGE = "change"
    CLASH = "clash"
    REMOVE = "remove"


class Row:
    """One row, and what the batch has done to it.

    `fate`, `sets` and `grows` say what happens to a row that is there; `fresh` is the row that
    stands where there was none (or where the old one was removed), None when none does.
    """

    __slots__ = ("fate", "fresh", "grows", "key", "sets", "table")

    def __init__(self, table: Table, key: Key) -> None:
        self.table = table
        self.key = key
        self.fate = Fate.CHANGE
        self.sets: dict[str, Any] = {}
        self.grows: dict[str, Any] = {}
        self.fresh: dict[str, Any] | None = None

    def insert(self, **values: Any) -> None:
        """Make the row. It must not be there."""
        if self.fresh is not None:
            raise FoldError(f"{self.table.name}: insert of a row that is there")
        fresh = self._made(values)
        if self.fate is Fate.CHANGE:
            # It cannot have been there, so whatever was to change in it changed nothing.
            self.fate, self.sets, self.grows = Fate.CLASH, {}, {}
        self.fresh = fresh

    def update(self, **values: Any) -> None:
        """Set columns of the row, if it is there."""
        if not values.keys() <= self.table.fields.keys():
            raise self._unknown(values)
        self._set(values)

    def put(self, **values: Any) -> None:
        """Set columns of the row, and make it if it is not there."""
        fresh = self._made(values)
        self._set(values)
        if self.fresh is None:
            self.fresh = fresh

    def add(self, **amounts: Any) -> None:
        """Add to numbers. A row that is not there begins with each column at its zero, provided
        that every column has one; otherwise nothing is added to nothing."""
        self._grow(amounts)

    def merge(self, **parts: Mapping[str, Any]) -> None:
        """Put keys into JSON objects, at their top level; else as `add`."""
        self._grow(parts)

    def append(self, **items: list[Any]) -> None:
        """Put items at the end of lists; else as `add`."""
        self._grow(items)

    def delete(self) -> None:
        """Remove the row, if it is there."""
        self.fate, self.sets, self.grows, self.fresh = Fate.REMOVE, {}, {}, None

    def note_version(self, version: int) -> None:
        """The engine's own: the version of the stream whose row this is."""
        self._set({"version": version})

    def _set(self, values: dict[str, Any]) -> None:
        if self.fate is Fate.CHANGE:
            self.sets.update(values)
            if self.grows:
                for name in values:
                    self.grows.pop(name, None)
        if self.fresh is not None:
            self.fresh.update(values)

    def _grow(self, parts: dict[str, Any]) -> None:
        growths = self.table.growths
        if not parts.keys() <= growths.keys():
            raise self._unknown(parts, "that grow")
        if self.fresh is None and self.table.grows_from_nothing:
            # Not with `sets`: what was set before the row came into being was set in no row.
            self.fresh = dict(self.table.starts)
        for name, part in parts.items():
            grown = growths[name]
            if self.fate is Fate.CHANGE:
                place = self.sets if name in self.sets else self.grows
                place[name] = grown(place.get(name), part)
            if self.fresh is not None:
                self.fresh[name] = grown(self.fresh[name], part)

    def _made(self, values: dict[str, Any]) -> dict[str, Any]:
        table = self.table
        made = {**table.starts, **values}
        if made.keys() == table.fields.keys():
            return made
        if not values.keys() <= table.fields.keys():
            raise self._unknown(values)
        missing = ", ".join(sorted(table.required - values.keys()))
        raise FoldError(f"{table.name}: a new row needs {missing}")

    def _unknown(self, values: dict[str, Any], which: str = "") -> FoldError:
        return FoldError(f"{self.table.name}: no columns {which} {sorted(values)}")


class TableRows:
    """The rows of one table for the tenant of the event at hand."""

    __slots__ = ("_last", "pending", "rows", "table")

    def __init__(self, table: Table, rows: "Rows") -> None:
        self.table = table
        self.rows = rows
        self.pending: dict[Key, Row] = {}
        self._last: tuple[Any, str, Row] | None = None

    def __getitem__(self, key: Any) -> Row:
        """The row of this key; columns of a longer key are separated by commas."""
        tenant, last = self.rows.tenant, self._last
        if last is not None and last[0] is key and last[1] == tenant:
            return last[2]  # one event often speaks of one row several times
        full = (tenant, *key) if type(key) is tuple else (tenant, key)
        row = self.pending.get(full) or self._first(full)
        self._last = key, tenant, row
        return row

    def clear(self) -> None:
        """Begin anew."""
        self.pending, self._last = {}, None

    def _first(self, key: Key) -> Row:
        exact = _checked(self.table, key)
        row = None if exact is key else self.pending.get(exact)
        if row is None:
            row = self.pending[exact] = self.rows.kind(self.table, exact)
        return row


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL of a read model's own, to run between what was folded before and after it."""

    sql: str
    params: Mapping[str, Any]


class Rows:
    """What a read model does to its tables during one batch of events.

    `rows(TABLE)[key]` is a row of the tenant whose event it is. `position` is the
    event's place in the log.
    """

    tenant = ""
    position = 0

    def __init__(self, tables: tuple[Table, ...], kind: Callable[[Table, Key], Row] = Row) -> None:
        self.kind = kind
        self.tables = tables
        self._done: list[list[Row] | Statement] = []
        self._open = {table: TableRows(table, self) for table in tables}

    def __call__(self, table: Table) -> TableRows:
        try:
            return self._open[table]
        except KeyError:
            raise FoldError(f"{table.name} is not among the tables of this read model") from None

    def execute(self, sql: str, params: Mapping[str, Any] | None = None) -> None:
        """Run SQL where folding will not do, after all that was done before.

        Tables are named without schema, so that a rebuild reaches its own; `%(tenant)s` is the
        event's tenant and must occur.
        """
        if "%(tenant)s" not in sql:
            raise FoldError("SQL of a read model must name %(tenant)s")
        self._close()
        self._done.append(Statement(sql, {**(params or {}), "tenant": self.tenant}))

    def take(self) -> Iterator[list[Row] | Statement]:
        """All that was done, in order, as rows of one table or a statement; it begins anew."""
        self._close()
        done, self._done = self._done, []
        return iter(done)

    def __len__(self) -> int:
        """How much is pending: rows, and statements."""
        return len(self._done) + sum(len(each.pending) for each in self._open.values())

    def _close(self) -> None:
        for table in self._open.values():
            if table.pending:
                self._done.append(list(table.pending.values()))
                table.clear()


def _checked(table: Table, key: Key) -> Key:
    """The key as the database will have it. Raises `FoldError` where it is none."""
    if tuple(map(type, key)) == table.exact_key:
        for n in table.texts:
            if "\0" in key[n]:
                break
        else:
            return key
    if len(key) != len(table.keys):
        raise FoldError(f"{table.name}: the key has {len(table.keys) - 1} columns")
    return tuple(_exact(table, c, v) for c, v in zip(table.keys, key, strict=True))


def _exact(table: Table, column: Column, value: Any) -> Any:
    # Keys that are one in the database must be one in memory, and the other way round.
    kind = column.kind
    if kind is str and isinstance(value, str):
        return str.__str__(value).replace("\0", "\ufffd")
    # bool passes for int, and datetime for date, until the database sees them.
    if type(value) is kind if kind in (int, date) else isinstance(value, kind):
        return utc(value) if kind is datetime else value
    raise FoldError(f"{table.name}: key column {column.name} must be {kind.__name__}")
