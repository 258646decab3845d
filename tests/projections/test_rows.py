"""Folding in memory comes to the same as doing one thing after the other."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.kernel import FoldError, Rows, Table
from projections.rows import Fate, Statement
from tests.rooms import ACCOUNTS

LOOSE = Table(
    "loose",
    key={"name": str},
    columns={"n": int, "sum": Decimal, "last": date | None, "facts": dict, "items": list[str]},
)
STRICT = Table("strict", key={"name": str}, columns={"label": str, "n": int, "facts": dict})

DAYS = st.dates(date(2030, 1, 1), date(2030, 1, 3))
FACTS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=2)
LOOSE_CHANGES = {"n": st.integers(-9, 9), "last": st.none() | DAYS, "facts": FACTS}
OPERATIONS = st.one_of(
    st.tuples(st.just("insert"), st.fixed_dictionaries({}, optional=LOOSE_CHANGES)),
    st.tuples(st.just("update"), st.fixed_dictionaries({}, optional=LOOSE_CHANGES)),
    st.tuples(st.just("put"), st.fixed_dictionaries({}, optional=LOOSE_CHANGES)),
    st.tuples(st.just("add"), st.fixed_dictionaries({"n": st.integers(-9, 9)})),
    st.tuples(st.just("merge"), st.fixed_dictionaries({"facts": FACTS})),
    st.tuples(st.just("append"), st.fixed_dictionaries({"items": st.lists(st.text(max_size=1))})),
    st.tuples(st.just("delete"), st.just({})),
)


def one_by_one(row, operations):
    """What SQL, carried out event by event, would make of `row` (None: there is none)."""
    start = {"n": 0, "sum": Decimal(0), "last": None, "facts": {}, "items": []}
    for verb, values in operations:
        match verb:
            case "insert":
                if row is not None:
                    return "clash"
                row = {**start, **values}
            case "update":
                row = row and {**row, **values}
            case "put":
                row = {**(row or start), **values}
            case "delete":
                row = None
            case _:
                row = dict(row or start)
                for name, part in values.items():
                    row[name] = row[name] | part if verb == "merge" else row[name] + part
    return row


def folded(row, operations):
    """The same through a `Row`, as the statements of `flush` read it."""
    change = Rows((LOOSE,))(LOOSE)["x"]
    try:
        for verb, values in operations:
            getattr(change, verb)(**values)
    except FoldError:
        return "clash"
    if row is None or change.fate is Fate.REMOVE:
        return change.fresh
    if change.fate is Fate.CLASH:
        return "clash"
    grown = {name: LOOSE.growths[name](row[name], part) for name, part in change.grows.items()}
    return {**row, **change.sets, **grown}


ROW = st.none() | st.fixed_dictionaries(
    {
        "n": st.integers(0, 9),
        "sum": st.just(Decimal(1)),
        "last": st.none(),
        "facts": FACTS,
        "items": st.just(["z"]),
    }
)


@given(ROW, st.lists(OPERATIONS, max_size=8))
def test_a_batch_folds_to_what_its_events_would_do_in_turn(row, operations):
    expected = one_by_one(row, operations)
    if expected == "clash" and ("delete", {}) in operations:
        return  # found out, or not, by the batch that it falls into; never by a sound read model
    assert folded(row, operations) == expected


def test_a_row_made_and_removed_within_a_batch_is_no_row():
    row = Rows((LOOSE,))(LOOSE)["x"]
    row.insert(n=1)
    row.delete()
    assert (row.fate, row.fresh) == (Fate.REMOVE, None)


def test_making_a_row_twice_is_refused():
    row = Rows((LOOSE,))(LOOSE)["x"]
    row.insert()
    with pytest.raises(FoldError, match="loose: insert of a row that is there"):
        row.insert()


def test_a_new_row_must_be_complete():
    row = Rows((STRICT,))(STRICT)["x"]
    for make in (row.insert, row.put):
        with pytest.raises(FoldError, match="strict: a new row needs label"):
            make(n=1)


@pytest.mark.parametrize(
    ("verb", "values"),
    [("insert", {"colour": 1}), ("update", {"colour": 1}), ("add", {"label": "x"})],
)
def test_columns_that_are_not_there_are_refused_by_name(verb, values):
    row = Rows((STRICT,))(STRICT)["x"]
    with pytest.raises(FoldError, match=r"strict: no columns .*(colour|label)"):
        getattr(row, verb)(**values)


def test_floats_do_not_add_up_the_same_in_every_order_and_are_refused():
    table = Table("rates", key={"name": str}, columns={"rate": float})
    with pytest.raises(FoldError, match="rates: no columns that grow"):
        Rows((table,))(table)["x"].add(rate=0.1)


def test_adding_makes_a_row_only_where_every_column_has_a_zero():
    rows = Rows((LOOSE, STRICT, ACCOUNTS))
    rows(LOOSE)["x"].add(n=2)
    rows(STRICT)["x"].add(n=2)
    rows(ACCOUNTS)[uuid4()].add(deposits=2)
    changed = {row.table.name: row.fresh for of_table in rows.take() for row in of_table}
    assert changed == {
        "loose": {"n": 2, "sum": 0, "last": None, "facts": {}, "items": []},
        "strict": None,
        "accounts": None,
    }


def test_sums_of_money_are_exact_however_long():
    row = Rows((LOOSE,))(LOOSE)["x"]
    row.add(sum=Decimal("1e30"))
    row.add(sum=Decimal("0.000000000000000000001"))
    assert str(row.fresh["sum"]) == "1000000000000000000000000000000.000000000000000000001"


class Colour(StrEnum):
    RED = "red"


def test_keys_that_are_one_in_the_database_are_one_in_memory():
    table = Table("keys", key={"name": str, "at": datetime}, columns={"n": int})
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    rows = Rows((table,))
    for name, at in [
        ("red", noon),
        (Colour.RED, noon.astimezone(timezone(timedelta(hours=2)))),
        ("red", noon.replace(tzinfo=None)),
    ]:
        rows(table)[name, at].add(n=1)
    rows(table)["a\0b", noon].add(n=1)
    rows(table)["a\ufffdb", noon].add(n=1)
    ((red, odd),) = rows.take()
    assert (red.key, red.fresh) == (("", "red", noon), {"n": 3})
    assert (odd.key, odd.fresh) == (("", "a\ufffdb", noon), {"n": 2})


@pytest.mark.parametrize("key", [1, None, ("x", "y"), date(2030, 1, 1)])
def test_a_key_of_another_form_is_refused(key):
    with pytest.raises(FoldError, match="loose: "):
        Rows((LOOSE,))(LOOSE)[key].add(n=1)


def test_an_instant_is_no_date_and_a_truth_no_number():
    table = Table("keys", key={"on": date, "n": int}, columns={"m": int})
    for key in [(datetime(2030, 1, 1, tzinfo=UTC), 1), (date(2030, 1, 1), True)]:
        with pytest.raises(FoldError, match="keys: key column"):
            Rows((table,))(table)[key].add(m=1)


def test_the_rows_of_one_tenant_are_not_those_of_another():
    rows = Rows((LOOSE,))
    for rows.tenant in ("acme", "demo"):
        rows(LOOSE)["x"].add(n=1)
    ((acme, demo),) = rows.take()
    assert (acme.key, demo.key) == (("acme", "x"), ("demo", "x"))


def test_sql_of_its_own_runs_between_what_came_before_and_after():
    rows = Rows((LOOSE,))
    rows.tenant = "demo"
    rows(LOOSE)["x"].add(n=1)
    rows.execute("UPDATE loose SET n = 0 WHERE tenant = %(tenant)s")
    rows(LOOSE)["x"].add(n=1)
    before, between, after = rows.take()
    assert [row.fresh["n"] for row in (*before, *after)] == [1, 1]
    assert between == Statement(
        "UPDATE loose SET n = 0 WHERE tenant = %(tenant)s", {"tenant": "demo"}
    )
    assert list(rows.take()) == []


def test_sql_without_the_tenant_is_refused():
    with pytest.raises(FoldError, match="tenant"):
        Rows((LOOSE,)).execute("DELETE FROM loose")


def test_a_table_of_another_read_model_is_refused():
    with pytest.raises(FoldError, match="strict is not among the tables"):
        Rows((LOOSE,))(STRICT)
