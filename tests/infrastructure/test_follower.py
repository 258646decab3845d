"""Followers: every event of the log has its effect once, whoever has read it."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure import database
from infrastructure.event_log import recent as recents
from infrastructure.event_log.codec import SELECT, StoredEvent
from infrastructure.event_log.recent import Recent
from infrastructure.follower import Follower, Walk, _own
from tests.rooms import Account, append, somebody

AT = datetime(2030, 1, 1, tzinfo=UTC)


def row(position: int, size: int = 1) -> StoredEvent:
    return StoredEvent(position, uuid4(), 1, "demo", "test.account.opened", b"x" * size, AT)


@given(
    reads=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 8))),
    wish=st.tuples(st.integers(0, 22), st.integers(1, 10)),
)
def test_what_is_kept_is_a_piece_of_the_log_without_a_gap(reads, wish):
    log = {position: row(position) for position in range(1, 21)}
    held = Recent()
    for since, many in reads:
        held.note([log[p] for p in range(since + 1, since + many + 1) if p in log])
    since, most = wish
    given_back = held.after(since, most)
    assert list(given_back) == [log[p] for p in range(since + 1, since + len(given_back) + 1)]
    assert len(given_back) <= most


def kept(held: Recent) -> list[int]:
    first = next((n for n in range(20) if held.after(n, 1)), 0)
    return [each.position for each in held.after(first, 100)]


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(recents, "MOST", 5)
    monkeypatch.setattr(recents, "BYTES", 1000)
    held = Recent()
    held.note([row(n) for n in range(1, 9)])
    assert kept(held) == [4, 5, 6, 7, 8]
    held.note([row(9, 998)])
    assert kept(held) == [7, 8, 9]
    held.note([row(10, 5000)])
    assert kept(held) == []


class Effects:
    """A follower whose effects are rows, and the walks along the log of who took it over."""

    def __init__(self, url: str) -> None:
        self.url, self.recent = url, Recent()
        self.follower = Follower("noting", ["test.account.opened"], self.note, batch=3)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE work.noted (position bigint)")
            connection.execute("GRANT INSERT ON work.noted TO tidings_app")

    async def note(self, connection, events) -> None:
        await connection.execute(
            "INSERT INTO work.noted SELECT unnest(%s::bigint[])",
            [[each.position for each in events]],
        )

    def happen(self, times: int) -> None:
        """Events come into the log, every second of which the follower wants; and are read."""
        with psycopg.connect(self.url, autocommit=True) as connection, somebody():
            for _ in range(times):
                account = Account("ann", AT.date())
                account.rename("bob")
                append(connection, account.collect_events())
            rows = connection.execute(f"{SELECT} ORDER BY position").fetchall()
            self.recent.note([StoredEvent(*each) for each in rows])

    def noted(self) -> list[int]:
        with psycopg.connect(self.url) as connection:
            return [n for (n,) in connection.execute("SELECT position FROM work.noted ORDER BY 1")]


@pytest.fixture
def effects(database_url):
    return Effects(database_url)


def test_what_was_read_in_the_process_is_not_asked_for_again(effects):
    async def go() -> None:
        async with await database.connect(effects.url, "test") as connection:
            await _own(connection, effects.follower)
            walk = Walk(connection, effects.follower, effects.recent)
            effects.happen(1)
            assert await walk.step() == 0  # it does not know yet where it stands
            assert not await walk.read() and effects.noted() == [1]
            assert await walk.step() == 0
            effects.happen(4)
            with psycopg.connect(effects.url, autocommit=True) as admin:
                admin.execute("REVOKE SELECT ON log.events FROM tidings_app")
                assert [await walk.step() for _ in range(4)] == [3, 3, 2, 0]
                admin.execute("GRANT SELECT ON log.events TO tidings_app")
            assert effects.noted() == [1, 3, 5, 7, 9]
            effects.recent.forget()
            assert await walk.step() == 0
            assert not await walk.read()

    asyncio.run(go())
    assert effects.noted() == [1, 3, 5, 7, 9]


def test_a_former_owner_takes_nothing_that_another_has_taken(effects):
    async def go() -> None:
        async with (
            await database.connect(effects.url, "former") as first,
            await database.connect(effects.url, "present") as second,
        ):
            await _own(first, effects.follower)
            former = Walk(first, effects.follower, effects.recent)
            await former.read()
            effects.happen(2)
            present = Walk(second, effects.follower, effects.recent)
            while await present.read():
                pass
            assert await former.step() == 0
            effects.happen(1)
            assert await former.step() == 0  # until it has looked where it stands
            assert not await former.read()

    asyncio.run(go())
    assert effects.noted() == [1, 3, 5]


def test_what_nobody_wants_is_passed_as_safely(effects):
    uninterested = Follower(effects.follower.name, ["test.account.closed"], effects.note)

    async def go() -> None:
        async with (
            await database.connect(effects.url, "former") as first,
            await database.connect(effects.url, "present") as second,
        ):
            await _own(first, uninterested)
            former = Walk(first, uninterested, effects.recent)
            present = Walk(second, uninterested, effects.recent)
            assert not await former.read() and not await present.read()
            effects.happen(2)
            assert await present.step() == 4
            assert await former.step() == 0
            assert not await former.read() and former.position == present.position == 4

    asyncio.run(go())
    assert effects.noted() == []


def test_a_batch_that_fails_has_no_effect_and_is_taken_again(effects):
    async def go() -> None:
        async with await database.connect(effects.url, "test") as connection:
            await _own(connection, effects.follower)
            walk = Walk(connection, effects.follower, effects.recent)
            await walk.read()
            effects.happen(1)
            with psycopg.connect(effects.url, autocommit=True) as admin:
                admin.execute("REVOKE INSERT ON work.noted FROM tidings_app")
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    await walk.step()
                assert effects.noted() == []
                admin.execute("GRANT INSERT ON work.noted TO tidings_app")
            assert await walk.step() == 2

    asyncio.run(go())
    assert effects.noted() == [1]
