"""Deliveries to real receivers: once, in order, at their pace, and never given up lightly."""

import asyncio
import json
from collections import defaultdict
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from application.webhooks.endpoints import RetryDelivery
from infrastructure.webhooks.lanes import CONCURRENCY
from infrastructure.webhooks.messages import message_id
from tests.webhooks.house import House, Received, house, receiver, until

CREATED = "social.post.created"


def run(database_url: str, test: Any, **options: Any) -> None:
    """The test with a house on this database and one receiver."""

    async def go() -> None:
        async with house(database_url, **options) as at, receiver() as hook:
            await test(at, hook)

    asyncio.run(go())


def done(at: House, id: Any, n: int, status: str = "delivered") -> Any:
    """Whether so many deliveries of an endpoint stand so."""

    async def look() -> bool:
        return sum(each[1] == status for each in await at.deliveries(id)) == n

    return look


def test_an_event_reaches_its_endpoint_signed_and_once(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        id, secret = await at.register(
            f"{hook.url}/hook?shop=1",
            events=["social.*"],
            headers={"Authorization": "Bearer their own"},
        )
        post = await at.post()
        await until(done(at, id, 1))
        (received,) = hook.received
        received.verify(secret.text)
        ((position,),) = await at.rows(
            "SELECT position FROM log.events WHERE topic = 'social.post.drafted'"
        )
        assert received.id == message_id(position, CREATED)
        assert received.path == "/hook?shop=1"
        assert received.headers["content-type"] == "application/json"
        assert received.headers["authorization"] == "Bearer their own"
        message = received.message
        happened = message.pop("timestamp")
        assert happened.endswith("Z")
        assert message == {
            "type": CREATED,
            "event": CREATED,
            "tenant": "demo",
            "user_id": "ann",
            "data": {
                "post_id": f"post_{post.hex}",
                "platforms": ["twitter"],
                "status": "scheduled",
                "created_at": happened,
            },
        }

    run(database_url, go)


def test_a_failure_is_tried_again_later_with_the_same_id(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        answers = iter([500, 404, 302, 200])
        hook.answer = lambda _: next(answers)
        id, secret = await at.register(hook.url)
        await at.post()
        for attempt in range(1, 4):
            await until(lambda n=attempt: attempts(at, id, n))
            ((due,),) = await at.rows(
                "SELECT due - (SELECT max(at) FROM webhooks.attempts) FROM webhooks.deliveries"
            )
            assert due > timedelta(seconds=(4, 260, 1600)[attempt - 1])
            await at.make_due()
        await until(done(at, id, 1))
        assert len(set(hook.ids())) == 1
        assert len({each.body for each in hook.received}) == 1
        for each in hook.received:
            each.verify(secret.text)
        assert await at.rows("SELECT status FROM webhooks.attempts ORDER BY at") == [
            (500,),
            (404,),
            (302,),
            (200,),
        ]

    run(database_url, go)


async def attempts(at: House, id: Any, n: int) -> bool:
    return [each[2] for each in await at.deliveries(id)] == [n]


def test_after_ten_attempts_it_has_failed(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        hook.answer = lambda _: 500
        id, _ = await at.register(hook.url)
        await at.post()
        for n in range(1, 10):
            await until(lambda n=n: attempts(at, id, n))
            await at.make_due()
            await at.patch(id, rate_limit=n)  # a change ends the pause between probes
        await until(done(at, id, 1, "failed"))
        assert await at.rows(
            "SELECT attempts, error, due, finished_at IS NULL FROM webhooks.deliveries"
        ) == [(10, "The receiver answered 500.", None, False)]
        assert await at.rows("SELECT pending, delivered, failed FROM webhooks.queues") == [
            (0, 0, 1)
        ]

    run(database_url, go)


def test_events_of_an_aggregate_arrive_in_order_whatever_fails(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        stuck = await at.post()
        failing = True

        def answer(received: Received) -> int:
            return 500 if failing and stuck.hex in received.message["data"]["post_id"] else 200

        hook.answer = answer
        id, _ = await at.register(hook.url)
        other = await at.post()
        for n in range(5):
            await at.move(stuck, n)
            await at.move(other, n)
        await until(done(at, id, 6))
        assert sum(stuck.hex in each.message["data"]["post_id"] for each in hook.received) == 1
        failing = False
        await at.make_due()
        await until(done(at, id, 11))
        for post in (stuck, other):
            arrived = [
                each.message["data"].get("scheduled_for", "")
                for each in hook.received
                if post.hex in each.message["data"]["post_id"]
            ]
            assert arrived == sorted(arrived)

    run(database_url, go)


def test_410_disables_the_endpoint_and_tells_the_others(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        hook.answer = lambda received: 410 if received.path == "/gone" else 200
        id, _ = await at.register(f"{hook.url}/gone")
        other, _ = await at.register(f"{hook.url}/other", events=["webhook.*"])
        await at.post()
        await until(done(at, other, 1))
        ((told),) = [each.message for each in hook.at("/other")]
        assert told["type"] == "webhook.endpoint.disabled"
        assert told["data"]["endpoint_id"] == f"endpoint_{id.hex}"
        assert told["data"]["reason"] == "gone"
        assert told["user_id"] is None
        await at.post()
        await asyncio.sleep(0.3)
        assert len(hook.at("/gone")) == 1
        await at.patch(id, status="enabled")
        hook.answer = lambda _: 200
        await at.post()
        await until(lambda: len(hook.at("/gone")) == 2)

    run(database_url, go)


def test_five_days_of_failure_disable_the_endpoint(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        hook.answer = lambda _: 500
        id, _ = await at.register(hook.url)
        await at.post()
        await until(lambda: attempts(at, id, 1))
        await at.rows(
            "UPDATE webhooks.queues SET failing_since = failing_since - interval '4 days 23 hours'"
            " RETURNING 1"
        )
        await at.make_due()
        await until(lambda: attempts(at, id, 2))
        assert await at.rows("SELECT enabled FROM webhooks.endpoints") == [(True,)]
        await at.rows(
            "UPDATE webhooks.queues SET failing_since = failing_since - interval '1 hour'"
            " RETURNING 1"
        )
        await at.make_due()
        await until(done(at, id, 1, "failed"))
        ((state,),) = await at.rows(
            "SELECT state FROM log.events WHERE topic = 'webhooks.endpoint.disabled'"
        )
        assert json.loads(state)["reason"] == "failing"
        assert await at.rows("SELECT enabled FROM webhooks.endpoints") == [(False,)]

    run(database_url, go)


def test_one_good_answer_ends_a_time_of_failure(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        answers = iter([500, 200])
        hook.answer = lambda _: next(answers)
        id, _ = await at.register(hook.url)
        await at.post()
        await until(lambda: attempts(at, id, 1))
        assert await at.rows("SELECT failing_since IS NULL FROM webhooks.queues") == [(False,)]
        await at.make_due()
        await until(done(at, id, 1))
        assert await at.rows("SELECT failing_since FROM webhooks.queues") == [(None,)]

    run(database_url, go)


def test_retry_after_gives_the_whole_endpoint_a_rest(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        busy = b"HTTP/1.1 429 No\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n"
        answers = iter([busy])
        hook.answer = lambda _: next(answers, 200)
        id, _ = await at.register(hook.url)
        await at.post()
        await until(lambda: attempts(at, id, 1))
        await at.post()
        await until(done(at, id, 1), within=5)
        first, second = hook.received[:2]
        assert 1.9 <= second.at - first.at < 3.5

    run(database_url, go)


def test_rotation_loses_no_delivery(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        id, first = await at.register(hook.url)
        await at.post()
        await until(lambda: len(hook.received) == 1)
        second = await at.rotate(id)
        await until(lambda: has_secrets(at, 2))
        await at.post()
        await until(lambda: len(hook.received) == 2)
        hook.received[0].verify(first.text)
        with pytest.raises(WebhookVerificationError):
            hook.received[0].verify(second.text)
        for secret in (first, second):
            hook.received[1].verify(secret.text)
        await at.rows(
            "UPDATE webhooks.endpoints SET former = jsonb_set(former, '{0,until}',"
            " to_jsonb(clock_timestamp() - interval '1 second')) RETURNING 1"
        )
        await at.patch(id, rate_limit=100)
        await asyncio.sleep(0.2)
        await at.post()
        await until(lambda: len(hook.received) == 3)
        hook.received[2].verify(second.text)
        with pytest.raises(WebhookVerificationError):
            hook.received[2].verify(first.text)

    run(database_url, go)


async def has_secrets(at: House, n: int) -> bool:
    return await at.rows("SELECT jsonb_array_length(former) + 1 FROM webhooks.endpoints") == [(n,)]


def test_both_schemes_when_an_endpoint_asks_for_them(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        id, secret = await at.register(hook.url, asymmetric=True)
        await at.rotate(id)
        await until(lambda: has_secrets(at, 2))
        await at.post()
        await until(lambda: hook.received)
        hook.received[0].verify(secret.text)
        schemes = [
            each.split(",")[0] for each in hook.received[0].headers["webhook-signature"].split(" ")
        ]
        assert schemes == ["v1", "v1a", "v1", "v1a"]

    run(database_url, go)


def test_what_waits_follows_a_change_of_address(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        hook.answer = lambda received: 500 if received.path == "/old" else 200
        id, _ = await at.register(f"{hook.url}/old")
        await at.post()
        await until(lambda: attempts(at, id, 1))
        await at.patch(id, url=f"{hook.url}/new")
        await at.post()
        await until(lambda: len(hook.at("/new")) == 1)
        await at.make_due()
        await until(done(at, id, 2))
        assert len(hook.at("/old")) == 1

    run(database_url, go)


def test_so_many_at_once_and_no_more(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        async def slowly() -> int:
            await asyncio.sleep(0.1)
            return 200

        hook.answer = lambda _: slowly()
        id, _ = await at.register(hook.url)
        await asyncio.gather(*(at.post() for _ in range(64)))
        await until(done(at, id, 64))
        assert hook.most_at_once == CONCURRENCY
        assert hook.connections <= CONCURRENCY

    run(database_url, go)


def test_an_endpoint_has_its_own_rate(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        slow, _ = await at.register(f"{hook.url}/slow", rate_limit=20)
        fast, _ = await at.register(f"{hook.url}/fast")
        await asyncio.gather(*(at.post() for _ in range(40)))
        await until(done(at, fast, 40))
        assert len(hook.at("/slow")) < 40
        await until(done(at, slow, 40))
        times = [each.at for each in hook.at("/slow")]
        assert times[-1] - times[0] >= 39 / 20 - 0.25
        assert max(sum(t <= other < t + 1 for other in times) for t in times) <= 25

    run(database_url, go)


def test_a_dead_endpoint_holds_nobody_up(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        async def never() -> int:
            await asyncio.sleep(60)
            return 200

        hook.answer = lambda received: never() if received.path == "/dead" else 200
        dead, _ = await at.register(f"{hook.url}/dead")
        good = [(await at.register(f"{hook.url}/{n}"))[0] for n in range(20)]
        await asyncio.gather(*(at.post() for _ in range(50)))
        for id in good:
            await until(done(at, id, 50))
        assert len(hook.at("/dead")) == CONCURRENCY
        assert await at.deliveries(dead) == [(CREATED, "pending", 0)] * 50
        hook.hang_up()

    run(database_url, go)


def test_several_senders_share_the_work_and_lose_nothing(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        ids = [(await at.register(f"{hook.url}/{n}"))[0] for n in range(30)]
        owners: set[Any] = set()
        for _ in range(5):
            await asyncio.gather(*(at.post() for _ in range(20)))
            for id in ids:
                await until(done(at, id, 20 * (_ + 1)))
            owners |= set(await at.rows("SELECT DISTINCT owner FROM webhooks.queues"))
        # A sender that a busy machine holds up for a second loses its lease; what it had under way
        # is then sent again, with the same id.
        assert len({(each.path, each.id) for each in hook.received}) == 30 * 100
        assert len(owners - {(None,)}) > 1  # on a busy machine one may always come too late

    run(database_url, go, senders=3, lease=1.0)


@pytest.mark.parametrize("senders", [1, 3])
def test_order_holds_under_failures_and_with_several_senders(
    database_url: str, senders: int
) -> None:
    async def go(at: House, hook: Any) -> None:
        n = 0

        def answer(received: Received) -> int:
            nonlocal n
            n += 1
            return 500 if n % 7 == 0 else 200

        hook.answer = answer
        ids = [(await at.register(f"{hook.url}/{n}"))[0] for n in range(4)]
        posts = [await at.post() for _ in range(6)]
        for step in range(8):
            await asyncio.gather(*(at.move(post, step) for post in posts))

        async def all_done() -> bool:
            await at.make_due()
            (row,) = await at.rows(
                "SELECT sum(pending)::int, sum(delivered)::int FROM webhooks.queues"
            )
            return row == (0, len(ids) * len(posts) * 9)

        await until(all_done, within=20)
        arrived: dict[Any, list[str]] = defaultdict(list)
        good = {
            (endpoint, delivery)
            for endpoint, delivery in await at.rows(
                "SELECT endpoint_id, id FROM webhooks.deliveries"
            )
        }
        assert len(good) == len(ids) * len(posts) * 9
        for each in hook.received:
            data = each.message["data"]
            if each.id not in arrived[each.path, data["post_id"]]:
                arrived[each.path, data["post_id"]].append(each.id)
        for order in arrived.values():
            assert order == sorted(order, key=lambda id: int(id.split("_")[1], 16))

    run(database_url, go, senders=senders)


def test_an_endpoint_whose_secret_cannot_be_opened_says_so(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        id, _ = await at.register(hook.url)
        await at.rows(
            "UPDATE webhooks.secrets SET tenant = 'x', sealed = sealed || 'x' RETURNING 1"
        )
        await at.post()
        await until(lambda: attempts(at, id, 1))
        assert await at.rows("SELECT error FROM webhooks.attempts") == [
            ("The endpoint's secrets cannot be opened.",)
        ]
        assert not hook.received

    run(database_url, go)


def test_an_event_that_this_release_cannot_read_is_kept_for_one_that_can(
    database_url: str,
) -> None:
    async def go(at: House, hook: Any) -> None:
        id, _ = await at.register(hook.url, events=["social.post.withdrawn"])
        post = await at.post()
        await at.withdraw(post)
        await until(done(at, id, 1))
        await at.rows("UPDATE webhooks.deliveries SET name = 'social.post.sung' RETURNING 1")
        ((delivery,),) = await at.rows("SELECT id FROM webhooks.deliveries")
        await at.change(id, RetryDelivery(delivery))
        await until(lambda: attempts(at, id, 2))
        assert await at.rows("SELECT status, error FROM webhooks.deliveries") == [
            ("pending", "This release of the service cannot read the event.")
        ]

    run(database_url, go)


def test_an_address_that_has_become_forbidden_is_not_sent_to(database_url: str) -> None:
    async def go() -> None:
        async with receiver() as hook:
            async with house(database_url, senders=0) as at:
                id, _ = await at.register(hook.url)
                await at.post()
                await until(lambda: at.deliveries(id))
            async with house(database_url, networks="") as at:
                await until(lambda: attempts(at, id, 1))
                assert await at.rows("SELECT error FROM webhooks.deliveries") == [
                    ("The host is a loopback address.",)
                ]
            assert not hook.received

    asyncio.run(go())
