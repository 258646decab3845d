from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.kernel import EVENTS, Invalid
from infrastructure.event_log.codec import UnreadableEvent, decode, encode
from tests.event_log.rooms import Colour, Counter, counter, somebody

text = st.text(st.characters(codec="utf-8"), max_size=20)
json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            text | st.sampled_from(["_type_", "_data_", "_version"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
instants = st.datetimes(timezones=st.just(UTC))


def stored(event):
    return decode(
        event.TOPIC, event.originator_id, event.originator_version, event.tenant, encode(event)
    )


@given(
    number=st.decimals(allow_nan=False, allow_infinity=False),
    instant=instants,
    day=st.dates(),
    colours=st.dictionaries(st.sampled_from(Colour), st.lists(st.integers(0, 9)).map(tuple)),
    anything=st.dictionaries(text, json, max_size=4),
    note=st.none() | text,
)
def test_typed_state_survives_any_content(number, instant, day, colours, anything, note):
    with somebody():
        it = Counter("x")
        it._noted(number, instant, day, uuid4(), Colour.RED, colours, anything, note)
    event = it.pending_events[-1]
    back = stored(event)
    assert back == event
    assert (type(back.number), type(back.colour)) == (Decimal, Colour)
    assert str(back.number) == str(number)


def test_the_first_event_knows_its_aggregate_again():
    event = counter().pending_events[0]
    assert stored(event).mutate(None).name == "visits"


def test_the_tenant_comes_from_the_column_alone():
    event = counter(tenant="acme").pending_events[0]
    assert b"acme" not in encode(event)
    assert stored(event).tenant == "acme"


@pytest.mark.parametrize("topic", ["os:system", "log_test.counter.never_was", ""])
def test_an_unknown_name_is_refused_and_never_imported(topic):
    with pytest.raises(UnreadableEvent, match="stream"):
        decode(topic, uuid4(), 1, "demo", b"{}")


def test_a_state_of_another_form_is_refused():
    with pytest.raises(UnreadableEvent, match=r"log_test\.counter\.increased"):
        decode("log_test.counter.increased", uuid4(), 2, "demo", b'{"by": "many"}')


def test_older_versions_are_cast_up(monkeypatch):
    kind = EVENTS["log_test.counter.increased"]
    it = counter()
    with somebody():
        it.increase(2)
    old = encode(it.pending_events[-1])

    class Newer(kind):
        class_version = 3

        @staticmethod
        def upcast_v1_v2(state):
            state["by"] *= 10

        @staticmethod
        def upcast_v2_v3(state):
            state["by"] += 1

    monkeypatch.setitem(EVENTS, kind.TOPIC, Newer)
    assert decode(kind.TOPIC, it.id, 2, "demo", old).by == 21


def test_dates_stay_dates():
    with somebody():
        it = Counter("x")
        it._noted(
            Decimal("1.50"), datetime(2026, 1, 1, tzinfo=UTC), date(2026, 2, 3), uuid4(),
            Colour.BLUE, {}, {}, None,
        )  # fmt: skip
    assert stored(it.pending_events[-1]).day == date(2026, 2, 3)


@pytest.mark.parametrize("what", [float("nan"), float("inf"), "\ud800", {"\udfff": 1}, [[-1e999]]])
def test_what_json_has_no_room_for_is_refused_before_it_is_kept(what):
    """A stream that holds what cannot be read again would be lost."""
    with somebody():
        it = Counter("x")
        it._noted(Decimal(1), datetime(2026, 1, 1, tzinfo=UTC), date(2026, 2, 3), uuid4(),
                  Colour.BLUE, {}, {"deep": [what]}, None)  # fmt: skip
    with pytest.raises(Invalid) as refusal:
        encode(it.pending_events[-1])
    assert (refusal.value.field, refusal.value.reason) == ("anything", "not_storable")


def test_a_field_that_is_not_what_its_annotation_says_is_found_when_it_is_written():
    with somebody():
        it = Counter(17)
    with pytest.raises(TypeError, match=r"log_test\.counter\.opened.*str"):
        encode(it.pending_events[-1])
