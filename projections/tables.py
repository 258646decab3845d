"""What a read model keeps: tables described by Python types.

The tenant leads every key and index. A table is never migrated: it is built again.
"""

import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Context, Decimal
from typing import Any
from uuid import UUID

from domain.kernel import Aggregate
from domain.personal import erased_form

NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
TAKEN = frozenset({"models", "builds", "projectors"})
"""Tables of the engine itself, which stand beside those of the read models."""

SQL_TYPES: Mapping[Any, str] = {
    str: "text",
    int: "bigint",
    bool: "boolean",
    float: "double precision",
    Decimal: "numeric",
    UUID: "uuid",
    datetime: "timestamptz",
    date: "date",
    dict: "jsonb",
    list: "jsonb",
}
ARRAYS = frozenset({str, int, UUID})
"""What a `list[...]` column may hold to become an array; any other list is JSON."""

ZEROS: Mapping[Any, Any] = {
    int: 0,
    bool: False,
    float: 0.0,
    Decimal: Decimal(0),
    dict: {},
    list: [],
}
"""Where a column starts that is neither given nor nullable."""

_exact = Context(prec=1000)  # the default of 28 digits would round sums that the database does not


def _plus(old: Any, new: Any) -> Any:
    return new if old is None else old + new


def _plus_exactly(old: Decimal | None, new: Decimal | int) -> Decimal | int:
    return new if old is None else _exact.add(old, new)


def _merged(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> dict[str, Any]:
    return {**(old or {}), **new}


def _appended(old: Sequence[Any] | None, new: Sequence[Any]) -> list[Any]:
    return [*(old or ()), *new]


GROWTHS: Mapping[Any, tuple[Callable[[Any, Any], Any], str, str]] = {
    int: (_plus, "+", "0"),
    Decimal: (_plus_exactly, "+", "0"),
    dict: (_merged, "||", "'{}'"),
    list: (_appended, "||", "'[]'"),
}
"""How a column may grow: in memory, by which SQL operator, and what NULL counts as."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column as the engine sees it. `kind` is the Python type without its arguments."""

    name: str
    kind: Any
    sql: str
    nullable: bool

    @property
    def required(self) -> bool:
        """Whether a new row must be given a value for it."""
        return not self.nullable and self.kind not in ZEROS

    @property
    def start(self) -> Any:
        return None if self.nullable else ZEROS.get(self.kind)

    @property
    def zero(self) -> str:
        """The SQL literal that a NULL grows from."""
        return "'{}'" if self.sql.endswith("[]") else GROWTHS[self.kind][2]

    @property
    def growth(self) -> str:
        """The SQL operator by which it grows."""
        return GROWTHS[self.kind][1]


def column(name: str, annotation: Any) -> Column:
    """The column that `name: annotation` asks for. Raises `TypeError` naming it."""
    if not NAME.fullmatch(name):
        raise TypeError(f"column {name!r} needs a name of a-z, 0-9 and _")
    kinds = [annotation]
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        kinds = [each for each in typing.get_args(annotation) if each is not types.NoneType]
    nullable = kinds != [annotation]
    kind = typing.get_origin(kinds[0]) or kinds[0]
    if isinstance(kind, type) and issubclass(kind, str):
        kind = str  # enums of strings
    if len(kinds) > 1 or kind not in SQL_TYPES:
        raise TypeError(f"column {name!r}: no column type for {annotation}")
    sql = SQL_TYPES[kind]
    items = typing.get_args(kinds[0])
    if kind is list and items and items[0] in ARRAYS:
        sql = SQL_TYPES[items[0]] + "[]"
    return Column(name, kind, sql, nullable)


@dataclass(frozen=True, eq=False)
class Table:
    """A table of one read model, `read.<name>` to queries.

    `key` and `columns` map names to types: str, int, bool, float, Decimal, UUID, datetime, date,
    dict (JSON), list (JSON), list[str | int | UUID] (array), each optionally `| None`.

    `of_stream` names the aggregate whose streams are the rows: the key is the stream's id, and
    the engine keeps `version`, the stream's version, of which an ETag is made. Such rows come
    into being by `insert` alone.

    `indexes`: a tuple of columns (tenant first is understood; `"at DESC"` is fine), or a string
    that follows CREATE INDEX ON the table. `personal` names, for each column of personal data, the
    column (`UUID | None`) that holds whose it is, as `event.persons` tells: when that person is
    erased the engine blanks the column, to what a rebuild would put there. `raw` adds columns that
    the database computes, name to DDL. `walled=False` leaves off row-level security, behind which
    PostgreSQL will not use an index for text search or similarity.
    """

    name: str
    columns: Mapping[str, Any]
    key: Mapping[str, Any] = field(default_factory=lambda: {"id": UUID})
    indexes: Sequence[tuple[str, ...] | str] = ()
    of_stream: type[Aggregate] | None = None
    raw: Mapping[str, str] = field(default_factory=dict)
    walled: bool = True
    personal: Mapping[str, str] = field(default_factory=dict)

    keys: tuple[Column, ...] = field(init=False, repr=False)
    """The columns of the primary key, the tenant first."""
    exact_key: tuple[Any, ...] | None = field(init=False, repr=False)
    """The types of a key that need no second look; None where values have several forms."""
    texts: tuple[int, ...] = field(init=False, repr=False)
    """Where in a key there are texts, the tenant's aside; they must not hold a NUL."""
    key_names: tuple[str, ...] = field(init=False, repr=False)
    fields: Mapping[str, Column] = field(init=False, repr=False)
    """All other columns that are written, in order."""
    starts: Mapping[str, Any] = field(init=False, repr=False)
    """Where each of the others stands in a new row, as far as it can be known."""
    required: frozenset[str] = field(init=False, repr=False)
    growths: Mapping[str, Callable[[Any, Any], Any]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or self.name in TAKEN:
            raise TypeError(f"table {self.name!r} needs another name")
        names = [*self.key, *self.columns, *self.raw]
        reserved = {"tenant", "version"} if self.of_stream else {"tenant"}
        if len(set(names)) < len(names) or reserved.intersection(names):
            raise TypeError(f"table {self.name}: a column is named twice, or as the engine's own")
        keys = (Column("tenant", str, "text", False), *(column(*k) for k in self.key.items()))
        if len(keys) == 1 or any(k.nullable or k.kind in (dict, list, float) for k in keys):
            raise TypeError(f"table {self.name}: a key needs exact columns that are never null")
        if self.of_stream and [k.kind for k in keys[1:]] != [UUID]:
            raise TypeError(f"table {self.name}: rows of a stream are keyed by its id")
        fields = {name: column(name, kind) for name, kind in self.columns.items()}
        if self.of_stream:
            fields["version"] = Column("version", int, "bigint", False)
        for name, person in self.personal.items():
            if name not in fields or getattr(fields.get(person), "sql", None) != "uuid":
                raise TypeError(f"table {self.name}: personal {name!r} needs a person's column")
            erased_form(self.columns[name], f"table {self.name}: {name}")
        exact = not any(k.kind is datetime for k in keys)
        derived = {
            "keys": keys,
            "exact_key": tuple(k.kind for k in keys) if exact else None,
            "texts": tuple(n for n, k in enumerate(keys) if n and k.kind is str),
            "key_names": tuple(k.name for k in keys),
            "fields": fields,
            "starts": {c.name: c.start for c in fields.values() if not c.required},
            "required": frozenset(c.name for c in fields.values() if c.required),
            "growths": {c.name: GROWTHS[c.kind][0] for c in fields.values() if c.kind in GROWTHS},
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    @property
    def written(self) -> tuple[Column, ...]:
        """Every column that the engine writes, in the order of the table."""
        return (*self.keys, *self.fields.values())

    def blanked(self, name: str) -> str:
        """The SQL literal of a personal column whose person is erased."""
        if (form := erased_form(self.columns[name], name)) is None:
            return "NULL"
        return f"'{form}'" if isinstance(form, str) else self.fields[name].zero

    @property
    def grows_from_nothing(self) -> bool:
        """Whether `add` makes the row that it does not find."""
        return not self.of_stream and not self.required
