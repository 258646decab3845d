"""Read models as tables of the database."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from projections.kernel import ReadModel, Table
from projections.tables import Column


def quoted(name: str) -> str:
    """An identifier; those of read models are checked when they are declared."""
    return f'"{name}"'


def columns(of: tuple[Column, ...], prefix: str = "") -> str:
    """Their names in SQL, separated by commas."""
    return ", ".join(prefix + quoted(each.name) for each in of)


def definition(table: Table, schema: str) -> list[str]:
    """The statements that make `table`, all but its indexes."""
    at = f"{quoted(schema)}.{quoted(table.name)}"
    lines = [
        f"{quoted(each.name)} {each.sql}{'' if each.nullable else ' NOT NULL'}"
        for each in table.written
    ]
    lines += [f"{quoted(name)} {ddl}" for name, ddl in table.raw.items()]
    lines.append(f"PRIMARY KEY ({columns(table.keys)})")
    made = [
        f"CREATE TABLE {at} ({', '.join(lines)}) WITH (fillfactor = 85)",
        f"GRANT SELECT ON {at} TO tidings_app",
    ]
    if table.walled:
        made += [
            f"ALTER TABLE {at} ENABLE ROW LEVEL SECURITY",
            f"CREATE POLICY tenant ON {at}"
            " USING (tenant = current_setting('tidings.tenant', true))",
        ]
    return made


def indexes(table: Table, schema: str) -> list[str]:
    """The statements that make the indexes of `table` beside its key."""
    at = f"{quoted(schema)}.{quoted(table.name)}"
    persons = [(person,) for person in sorted(set(table.personal.values()))]
    return [
        f"CREATE INDEX ON {at} {each if isinstance(each, str) else f'(tenant, {_list(each)})'}"
        for each in (*table.indexes, *persons)
    ]


def _list(of: tuple[str, ...]) -> str:
    """`at DESC` becomes `"at" DESC`: many good names of columns are words of SQL."""
    names = (each.partition(" ") for each in of)
    return ", ".join(f"{quoted(name)}{space}{order}" for name, space, order in names)


def statements(model: ReadModel, schema: str) -> Iterator[str]:
    """Everything that makes the tables of `model`."""
    for table in model.tables:
        yield from definition(table, schema)
        yield from indexes(table, schema)


def shape(model: ReadModel) -> str:
    """A digest that changes when the tables do."""
    return sha256("\n".join(statements(model, "")).encode()).hexdigest()[:16]
