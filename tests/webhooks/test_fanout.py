"""Which endpoint is told of which event."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest

from application.webhooks.endpoints import DisableEndpoint, RemoveEndpoint, TestEndpoint
from domain.webhooks.endpoints import DisabledBecause, WebhookEndpoint
from infrastructure import database
from infrastructure.follower import Follower, Walk, _own
from infrastructure.webhooks import fanout as fanning
from infrastructure.webhooks.fanout import FanOut, fanout
from infrastructure.webhooks.messages import beginnings
from tests.webhooks.house import House, house

URL = "https://example.com/hook"


class Broken(Exception):
    """Something goes wrong in the middle of a batch."""


async def caught_up(at: House) -> None:
    """Have the follower work through the log."""
    async with await database.connect(at.url, "test") as connection:
        await _own(connection, fanout())
        while await Walk(connection, fanout()).read():
            pass


async def told(at: House, *endpoints: Any) -> list[list[str]]:
    """The public events that endpoints are told, in order."""
    return [[name for name, _, _ in await at.deliveries(id)] for id in endpoints]


def on_its_own(database_url: str) -> Any:
    return house(database_url, following=False, senders=0)


def test_endpoints_are_told_what_they_asked_for(database_url: str) -> None:
    async def go() -> None:
        async with on_its_own(database_url) as at:
            everything, _ = await at.register(URL)
            social, _ = await at.register(URL, events=["social.*"])
            one, _ = await at.register(URL, events=["social.post.withdrawn"])
            none, _ = await at.register(URL, events=["payment.*", "email.sent"])
            await at.withdraw(await at.post())
            await caught_up(at)
            created, withdrawn = "social.post.created", "social.post.withdrawn"
            assert await told(at, everything, social, one, none) == [
                [created, withdrawn],
                [created, withdrawn],
                [withdrawn],
                [],
            ]

    asyncio.run(go())


def test_nobody_is_told_of_another_tenants_events(database_url: str) -> None:
    async def go() -> None:
        async with on_its_own(database_url) as at:
            ours, _ = await at.register(URL)
            theirs, _ = await at.register(URL, tenant="other")
            await at.post()
            await at.withdraw(await at.post(tenant="other"), tenant="other")
            await caught_up(at)
            assert [len(each) for each in await told(at, ours, theirs)] == [1, 2]
            mixed = await at.rows(
                "SELECT count(*) FROM webhooks.deliveries d JOIN log.events e USING (position)"
                " JOIN webhooks.endpoints w ON w.id = d.endpoint_id"
                " WHERE e.tenant <> d.tenant OR w.tenant <> d.tenant"
            )
            assert mixed == [(0,)]

    asyncio.run(go())


def test_an_event_meets_the_configuration_of_its_own_position(database_url: str) -> None:
    async def go() -> None:
        async with on_its_own(database_url) as at:
            await at.post()
            id, _ = await at.register(URL, events=["social.post.created"])
            post = await at.post()
            await at.patch(id, events=["social.post.withdrawn"])
            await at.post()
            await at.withdraw(post)
            await at.patch(id, status="disabled")
            await at.withdraw(await at.post())
            await at.patch(id, status="enabled")
            await at.withdraw(await at.post())
            await caught_up(at)  # all of it in one batch
            assert await at.deliveries(id) == [
                ("social.post.created", "failed", 0),
                ("social.post.withdrawn", "failed", 0),
                ("social.post.withdrawn", "pending", 0),
            ]

    asyncio.run(go())


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5])
def test_a_batch_that_broke_off_is_done_again_as_if_for_the_first_time(
    database_url: str, cut: int
) -> None:
    async def go() -> None:
        async with on_its_own(database_url) as at:
            id, _ = await at.register(URL, events=["social.post.created"])
            await at.post()
            await at.patch(id, events=["social.post.withdrawn"])
            await at.withdraw(await at.post())
            fan_out = FanOut()

            async def breaking(connection: Any, events: Sequence[Any]) -> None:
                await fan_out.handle(connection, events[:cut])
                raise Broken

            whole = fanout()
            for handle in (breaking, fan_out.handle):
                follower = Follower(whole.name, whole.topics, handle)
                async with await database.connect(at.url, "test") as connection:
                    await _own(connection, follower)
                    try:
                        while await Walk(connection, follower).read():
                            pass
                    except Broken:
                        continue
            assert await told(at, id) == [["social.post.created", "social.post.withdrawn"]]

    asyncio.run(go())


def test_a_batch_takes_as_many_statements_as_an_event(database_url: str) -> None:
    async def go() -> None:
        async with on_its_own(database_url) as at:
            for _ in range(3):
                await at.register(URL)
            await caught_up(at)
            counts = []
            for events in (1, 50):
                for _ in range(events):
                    await at.post()
                async with await database.connect(at.url, "test") as connection:
                    await _own(connection, fanout())
                    execute, count = connection.execute, 0

                    async def counted(*arguments: Any, **options: Any) -> Any:
                        nonlocal count
                        count += 1
                        return await execute(*arguments, **options)  # noqa: B023

                    connection.execute = counted  # type: ignore[method-assign]
                    await Walk(connection, fanout()).read()
                    counts.append(count)
            assert counts[0] == counts[1]
            assert await at.rows("SELECT count(*) FROM webhooks.deliveries") == [(153,)]

    asyncio.run(go())


def test_many_deliveries_are_put_in_by_several_batches(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanning, "MOST_DELIVERIES", 5)

    async def go() -> None:
        async with on_its_own(database_url) as at:
            endpoints = [(await at.register(URL))[0] for _ in range(2)]
            await caught_up(at)
            for _ in range(7):
                await at.post()
            follower, batches = fanout(), 1
            async with await database.connect(at.url, "test") as connection:
                await _own(connection, follower)
                while await Walk(connection, follower).read():
                    batches += 1
            assert batches == 3  # of three posts, three, and the last
            assert await told(at, *endpoints) == [["social.post.created"] * 7] * 2

    asyncio.run(go())


def test_who_wants_one_network_is_told_only_of_what_is_about_it(database_url: str) -> None:
    async def go() -> None:
        async with on_its_own(database_url) as at:
            twitter, _ = await at.register(URL, events=["social.*@twitter"])
            facebook, _ = await at.register(URL, events=["social.*@facebook", "webhook.*"])
            some, _ = await at.register(URL, events=["social.*@facebook", "social.*@twitter"])
            everything, _ = await at.register(URL, events=["*", "social.*@facebook"])
            await at.withdraw(await at.post())
            created, withdrawn = "social.post.created", "social.post.withdrawn"
            post = await at.post(platforms=["facebook", "twitter"])
            await at.patch(some, events=["social.*@facebook"])
            await at.withdraw(post)
            await at.withdraw(await at.post(), tenant="demo")
            await caught_up(at)  # all of it in one batch
            assert await told(at, twitter, facebook, some, everything) == [
                [created, withdrawn] * 3,
                [created, withdrawn],
                [created, withdrawn, created, withdrawn],
                [created, withdrawn] * 3,
            ]

    asyncio.run(go())


def test_beginnings_are_looked_up_once_a_batch_and_only_for_who_wants_networks(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []

    async def counted(connection: Any, events: Any) -> Any:
        streams = list(events)
        looked.append(len(streams))
        return await beginnings(connection, streams)

    monkeypatch.setattr("infrastructure.webhooks.fanout.beginnings", counted)

    async def go() -> None:
        async with on_its_own(database_url) as at:
            await at.register(URL)
            limited, _ = await at.register(URL, events=["social.*@twitter"], tenant="other")
            await caught_up(at)
            looked.clear()
            for tenant in ("demo", "other"):
                for _ in range(5):
                    await at.withdraw(await at.post(tenant=tenant), tenant=tenant)
            await caught_up(at)
            assert looked == [10]  # of a post that is put off or taken back, not of a new one
            assert len(await at.deliveries(limited)) == 10

    asyncio.run(go())


def test_a_ping_goes_to_the_endpoint_that_is_tested_and_to_no_other(database_url: str) -> None:
    async def go() -> None:
        async with on_its_own(database_url) as at:
            tested, _ = await at.register(URL, events=["payment.*"])
            other, _ = await at.register(URL)
            await at.change(tested, TestEndpoint())
            await caught_up(at)
            assert await told(at, tested, other) == [["webhook.ping"], []]

    asyncio.run(go())


def test_what_says_nothing_in_public_is_no_delivery(database_url: str) -> None:
    async def go() -> None:
        async with on_its_own(database_url) as at:
            id, _ = await at.register(URL)
            await at.post(content="x" * 400)  # too long: it fails on creation, said once
            await caught_up(at)
            assert await told(at, id) == [["social.post.created"]]

    asyncio.run(go())


def test_a_disabled_endpoint_is_told_nothing_and_others_are_told_that(database_url: str) -> None:
    async def go() -> None:
        async with on_its_own(database_url) as at:
            id, _ = await at.register(URL)
            other, _ = await at.register(URL, events=["webhook.*"])
            await at.post()
            await caught_up(at)
            await at.change(id, DisableEndpoint(reason=DisabledBecause.FAILING))
            await at.post()
            await caught_up(at)
            assert await at.deliveries(id) == [("social.post.created", "failed", 0)]
            assert await told(at, other) == [["webhook.endpoint.disabled"]]
            assert await at.rows(
                "SELECT pending, failed FROM webhooks.queues WHERE endpoint_id = %s", id
            ) == [(0, 1)]

    asyncio.run(go())


def test_a_removed_endpoint_takes_its_secrets_with_it(database_url: str) -> None:
    async def go() -> None:
        async with on_its_own(database_url) as at:
            id, _ = await at.register(URL, headers={"authorization": "Bearer x"})
            other, _ = await at.register(URL)
            await at.rotate(id)
            await at.post()
            await caught_up(at)
            assert await at.rows("SELECT count(*) FROM webhooks.secrets") == [(4,)]
            await at.change(id, RemoveEndpoint())
            await at.post()
            await caught_up(at)
            assert await at.deliveries(id) == [("social.post.created", "failed", 0)]
            assert await at.rows("SELECT secret FROM webhooks.endpoints") == await at.rows(
                "SELECT id FROM webhooks.secrets"
            )
            assert await told(at, other) == [["social.post.created", "social.post.created"]]

    asyncio.run(go())


def test_no_secret_is_ever_in_an_event(database_url: str) -> None:
    async def go() -> None:
        async with on_its_own(database_url) as at:
            id, secret = await at.register(URL, headers={"authorization": "Bearer abcdef"})
            rotated = await at.rotate(id)
            states = b"".join(s for (s,) in await at.rows("SELECT state FROM log.events"))
            assert b"authorization" in states
            for hidden in ("Bearer", secret.text[6:30], rotated.text[6:30]):
                assert hidden.encode() not in states

    asyncio.run(go())


def test_only_the_first_of_an_aggregates_deliveries_may_be_attempted(database_url: str) -> None:
    async def go() -> None:
        async with on_its_own(database_url) as at:
            id, _ = await at.register(URL)
            posts = [await at.post() for _ in range(3)]
            await caught_up(at)
            for n in range(3):
                for post in posts:
                    await at.move(post, n)
            await caught_up(at)
            heads = await at.rows(
                "SELECT name FROM webhooks.deliveries WHERE due IS NOT NULL AND endpoint_id = %s",
                id,
            )
            assert heads == [("social.post.created",)] * 3

    asyncio.run(go())


def test_a_delivery_to_an_endpoint_that_is_not_there_is_left_out(database_url: str) -> None:
    async def go() -> None:
        async with on_its_own(database_url) as at:
            id, _ = await at.register(URL)
            await caught_up(at)
            put = (
                "SELECT webhooks.put(%s::uuid[], %s::uuid[], %s::uuid[], %s::bigint[], %s::text[])"
            )
            ids = [uuid4(), uuid4()]
            both = [id, uuid4()]
            assert await at.rows(put, ids, both, ids, [1, 1], ["a", "a"]) == [(1,)]
            assert await at.rows(put, ids, both, ids, [1, 1], ["a", "a"]) == [(0,)]

    asyncio.run(go())


def test_the_follower_wants_every_public_event_and_every_event_of_an_endpoint() -> None:
    assert {WebhookEndpoint.Removed.TOPIC, "social.post.drafted"} <= set(fanout().topics)
