"""A limiter for tests, and a clock to set."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from infrastructure.embedded import EmbeddedValkey
from infrastructure.limits import Limit, limit_key
from infrastructure.rate_limits import RateLimiter, connect

HOURLY = Limit(100, 3600)


NOBODY = "unix:///nonexistent/redis.sock"


FUTURE = 4_102_444_800
"""A simulated clock begins in 2100, so that the server's own clock expires nothing meanwhile."""


def kill(server: EmbeddedValkey) -> None:
    server.process.kill()
    server.process.wait()


class Clock:
    def __init__(self) -> None:
        self.now: float = FUTURE

    def __call__(self) -> float:
        return self.now


def with_limiter(
    url: str, scenario: Callable[[RateLimiter], Awaitable[Any]], **options: Any
) -> Any:
    """Run `scenario`; unless it says otherwise, the machine may be as busy as it likes."""

    async def run() -> Any:
        async with asyncio.timeout(90), connect(url) as redis:
            return await scenario(RateLimiter(redis, **{"patience": 30, **options}))

    return asyncio.run(run())


def new_key() -> str:
    return limit_key("demo", str(uuid4()), "social.posts.create")


async def passes(limiter: RateLimiter, key: str, limit: Limit, attempts: int) -> int:
    """How many of `attempts` at the same moment are let through."""
    taken = await asyncio.gather(*(limiter.take(key, limit) for _ in range(attempts)))
    return sum(allowance.allowed for allowance in taken)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.02)
