"""Streams that were written by every release there has been, read by this one."""

import asyncio
from decimal import Decimal
from uuid import uuid4

import pytest

from domain.folding import fold
from domain.kernel import EVENTS, Aggregate, Retired, event, stored_topics
from infrastructure.event_log.codec import UnreadableEvent, decode
from tests.event_log.house import administering, event_log


class Ware(Aggregate, topic="log_test.ware"):
    """Something with a price, whose events have been rewritten a few times."""

    class Listed(Aggregate.Created):
        TOPIC = "log_test.ware.listed"
        class_version = 3
        name: str
        price: Decimal

        @staticmethod
        def upcast_v1_v2(state):
            state["name"] = state.pop("title")

        @staticmethod
        def upcast_v2_v3(state):
            state["price"] = str(Decimal(state.pop("cents")) / 100)

    class Repriced(Aggregate.Event):
        TOPIC = "log_test.ware.repriced"
        class_version = 2
        price: Decimal

        @staticmethod
        def upcast_v1_v2(state):
            state["price"] = state.pop("amount")

    @event(Listed)
    def __init__(self, name: str, price: Decimal) -> None:
        self.name, self.price, self.changes = name, price, 0

    @event(Repriced)
    def _repriced(self, price: Decimal) -> None:
        self.price, self.changes = price, self.changes + 1


class Discounted(Retired):
    """Was a kind of its own; a price is a price."""

    aggregate = Ware
    TOPIC = "log_test.ware.discounted"
    superseded_by = Ware.Repriced
    class_version = 2
    to: str

    @staticmethod
    def upcast_v1_v2(state):
        state["to"] = state.pop("new_price")

    @staticmethod
    def supersede(state):
        state["amount"] = state.pop("to")  # as the first version of its successor had it


class Reviewed(Retired):
    """Was recorded, and means nothing any more."""

    aggregate = Ware
    TOPIC = "log_test.ware.reviewed"
    stars: int


ENVELOPE = (
    b'"timestamp":"2030-01-01T00:00:00Z","actor":"ann","correlation_id":"r","causation_id":null'
)
STORED = [
    ("log_test.ware.listed", b'{%b,"title":"hat","cents":150}'),
    ("log_test.ware.repriced", b'{%b,"amount":"2.50"}'),
    ("log_test.ware.discounted", b'{%b,"new_price":"1.25"}'),
    ("log_test.ware.reviewed", b'{%b,"stars":5}'),
    ("log_test.ware.discounted", b'{%b,"to":"1.20","_version":2}'),
    ("log_test.ware.repriced", b'{%b,"price":"3.75","_version":2}'),
]


def test_a_stream_with_every_old_version_still_loads(database_url):
    stream = uuid4()
    with administering(database_url) as admin:
        for n, (topic, state) in enumerate(STORED, 1):
            admin.execute(
                "INSERT INTO log.events VALUES (%s, %s, %s, 'demo', %s, %s, now())",
                [n, stream, n, topic, state % ENVELOPE],
            )

    async def load():
        async with event_log(database_url) as log:
            return await log.load(Ware, stream)

    ware = asyncio.run(load())
    assert (ware.name, ware.price, ware.changes) == ("hat", Decimal("3.75"), 4)
    assert ware.version == 6


@pytest.mark.parametrize(
    "state",
    [b'{%b,"title":"hat","cents":150}', b'{%b,"name":"hat","cents":150,"_version":2}',
     b'{%b,"name":"hat","price":"1.5","_version":3}'],
)  # fmt: skip
def test_each_version_of_an_event_is_read_as_todays(state):
    ware = fold(Ware, [decode("log_test.ware.listed", uuid4(), 1, "demo", state % ENVELOPE)])
    assert (ware.name, ware.price) == ("hat", Decimal("1.5"))


def test_a_retired_event_is_read_as_its_successor():
    topic, state = STORED[2]
    back = decode(topic, uuid4(), 2, "demo", state % ENVELOPE)
    assert type(back) is EVENTS["log_test.ware.repriced"]
    assert (back.price, back.originator_version) == (Decimal("1.25"), 2)


def test_who_follows_an_event_asks_for_its_retired_names_too():
    topics = [Ware.Repriced.TOPIC]
    assert stored_topics(topics) == ["log_test.ware.discounted", "log_test.ware.repriced"]
    assert stored_topics([Ware.Listed.TOPIC]) == ["log_test.ware.listed"]


@pytest.mark.parametrize(
    ("topic", "state"),
    [
        ("log_test.ware.repriced", b'{%b,"price":"1","_version":9}'),
        ("log_test.counter.increased", b'{%b,"by":1,"_version":9}'),
    ],
)
def test_what_a_later_release_has_written_is_refused_and_not_misread(topic, state):
    with pytest.raises(UnreadableEvent, match="version 9"):
        decode(topic, uuid4(), 2, "demo", state % ENVELOPE)


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("elsewhere.ware.gone", "a TOPIC below"),
        ("log_test.ware.listed", "in use"),
        ("log_test.ware.odd", "another aggregate"),
    ],
)
def test_what_cannot_be_retired_is_refused(topic, reason):
    from tests.event_log.rooms import Counter

    successor = Counter.Increased if "another" in reason else None
    with pytest.raises(TypeError, match=reason):
        type("Odd", (Retired,), {"aggregate": Ware, "TOPIC": topic, "superseded_by": successor})
    assert "elsewhere.ware.gone" not in EVENTS
