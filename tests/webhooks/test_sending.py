"""Deliveries to real receivers."""

import asyncio

from tests.webhooks.house import house, receiver, until


def test_an_event_reaches_its_endpoint_signed_and_once(database_url: str) -> None:
    async def go() -> None:
        async with house(database_url) as at, receiver() as hook:
            id, secret = await at.register(f"{hook.url}/hook", events=["social.*"])
            post = await at.post()
            (received,) = await until(lambda: hook.received)
            received.verify(secret.text)
            message = received.message
            assert message["data"]["post_id"] == f"post_{post.hex}"
            await until(lambda: _is(at.deliveries(id), [("social.post.created", "delivered", 1)]))
            assert len(hook.received) == 1
            assert received.headers["content-type"] == "application/json"

    asyncio.run(go())


async def _is(looked, wanted) -> bool:
    return await looked == wanted
