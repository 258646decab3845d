"""What may be declared, and what is refused when it is declared."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.kernel import EVENTS, Retired
from infrastructure.event_log.codec import decode
from projections.kernel import Query, ReadModel, Rows, Table
from projections.tables import column
from tests.rooms import ACCOUNTS, DAYS, Account, Accounts, Deposits

STATE = (
    b'{"owner": "Bob", "timestamp": "2030-01-01T12:00:00Z", "actor": "ann",'
    b' "correlation_id": "request-1", "causation_id": null}'
)


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("annotation", "sql", "nullable"),
    [
        (str, "text", False),
        (Colour | None, "text", True),
        (int, "bigint", False),
        (datetime | None, "timestamptz", True),
        (dict[str, Any], "jsonb", False),
        (list, "jsonb", False),
        (list[dict], "jsonb", False),
        (list[str], "text[]", False),
        (list[UUID] | None, "uuid[]", True),
    ],
)
def test_python_types_become_columns(annotation, sql, nullable):
    made = column("x", annotation)
    assert (made.sql, made.nullable) == (sql, nullable)


@pytest.mark.parametrize("annotation", [bytes, int | str, object, "str"])
def test_a_type_without_column_is_refused_by_name(annotation):
    with pytest.raises(TypeError, match="column 'x'"):
        column("x", annotation)


@pytest.mark.parametrize(
    "table",
    [
        {"name": "Posts"},
        {"name": "models"},
        {"columns": {"tenant": str}},
        {"columns": {"id": str}},
        {"columns": {"version": int}, "of_stream": Account},
        {"columns": {"drop table": int}},
        {"key": {}},
        {"key": {"on": date | None}},
        {"key": {"facts": dict}},
        {"key": {"name": str}, "of_stream": Account},
        {"raw": {"n": "tsvector"}},
    ],
)
def test_a_table_that_cannot_be_is_refused(table):
    with pytest.raises(TypeError):
        Table(**{"name": "posts", "columns": {"n": int}, **table})


def declare(**differently: Any) -> type[ReadModel]:
    said = {"name": "some", "version": 1, "tables": (DAYS,), "events": (Account.Opened,)}
    return type("Some", (ReadModel,), {**said, **differently})


@pytest.mark.parametrize(
    "differently",
    [{"name": "x y"}, {"version": 0}, {"tables": ()}, {"tables": (DAYS, DAYS)}],
)
def test_a_read_model_that_cannot_be_is_refused(differently):
    assert declare().name == "some"
    with pytest.raises(TypeError):
        declare(**differently)


@pytest.fixture
def retired():
    """Two events of accounts that nothing decides any more."""
    before = dict(EVENTS)

    class Branded(Retired):
        """What renaming was called once."""

        aggregate = Account
        TOPIC = "test.account.branded"
        superseded_by = Account.Renamed
        owner: str

    class Audited(Retired):
        """What nothing is read as any more."""

        aggregate = Account
        TOPIC = "test.account.audited"

    yield
    EVENTS.clear()
    EVENTS.update(before)


def test_a_read_model_wants_its_events_and_those_that_move_the_versions_of_its_rows(retired):
    assert list(Deposits().interests) == ["test.account.deposited"]
    wanted = Accounts().interests
    names = ("opened", "deposited", "renamed", "tagged", "looked", "closed", "branded", "audited")
    assert set(wanted) == {f"test.account.{name}" for name in names}
    assert all(interest.versions == (ACCOUNTS,) for interest in wanted.values())
    unfolded = {topic for topic, interest in wanted.items() if not interest.folded}
    assert unfolded == {"test.account.looked", "test.account.audited"}


def test_a_retired_event_is_folded_as_what_it_is_read_as(retired):
    event = decode("test.account.branded", uuid4(), 2, "demo", STATE)
    rows = Rows(Accounts.tables)
    Accounts().fold(event, rows, 7)
    ((row,),) = rows.take()
    assert (row.sets["owner"], row.sets["version"]) == ("Bob", 2)


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("SELECT * FROM read.accounts", {}),
        ("SELECT * FROM read.accounts WHERE tenant = 'acme'", {}),
        ("SELECT * FROM read.accounts WHERE tenant = %(tenant)s", {"tenant": "acme"}),
    ],
)
def test_a_query_without_the_tenant_or_with_its_own_is_refused(sql, params):
    with pytest.raises(TypeError, match="tenant"):
        Query(Accounts, sql, params)


def test_a_query_names_what_it_reads():
    with pytest.raises(TypeError, match="read models"):
        Query((), "SELECT %(tenant)s")
