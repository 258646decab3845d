"""Rate limits without Redis: bounded, and never in a request's way."""

import asyncio
import signal
import tempfile
import time

import pytest
from redis.asyncio import Redis
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.testing import capture_logs

from infrastructure import rate_limits
from infrastructure.embedded import EmbeddedValkey
from infrastructure.limits import Limit
from infrastructure.rate_limits import RateLimiter
from tests.infrastructure.rate_limit_rooms import (
    HOURLY,
    NOBODY,
    Clock,
    kill,
    new_key,
    passes,
    until,
    with_limiter,
)


def test_a_flushed_server_begins_fresh_windows(valkey: EmbeddedValkey):
    async def scenario(limiter: RateLimiter) -> None:
        for _ in range(2):
            assert await passes(limiter, "key", HOURLY, 150) == 100
            await limiter._redis.flushall()
            await limiter._redis.script_flush()

    with capture_logs() as logged:
        with_limiter(valkey.url(), scenario)
    assert not logged


def test_a_restarted_server_is_used_at_once(valkey: EmbeddedValkey):
    async def scenario(limiter: RateLimiter) -> None:
        assert await passes(limiter, "key", HOURLY, 150) == 100
        kill(valkey)
        valkey.start()
        assert await passes(limiter, "key", HOURLY, 150) == 100
        assert await limiter._redis.exists("window:key")

    with capture_logs() as logged:
        with_limiter(valkey.url(), scenario)
    assert not logged


def test_a_killed_server_leaves_one_local_allowance(valkey: EmbeddedValkey):
    async def scenario(limiter: RateLimiter) -> None:
        assert await passes(limiter, "key", HOURLY, 60) == 60
        kill(valkey)
        assert await passes(limiter, "key", HOURLY, 150) == 100
        for _ in range(5):
            await asyncio.sleep(0.03)
            assert await passes(limiter, "key", HOURLY, 150) == 0
        valkey.start()

        async def counted_there() -> bool:
            await limiter.take("other", HOURLY)
            return bool(await limiter._redis.exists("window:other"))

        await until(counted_there)
        assert (await limiter.take("new", HOURLY)).remaining == 99
        assert await limiter._redis.exists("window:new")

    with capture_logs() as logged:
        with_limiter(valkey.url(), scenario, pause=0.02)
    assert [entry["event"] for entry in logged] == [
        "rate_limits.redis_lost",
        "rate_limits.redis_back",
    ]
    assert "sock" not in str(logged)


def test_outages_on_and_off_give_no_further_allowance(valkey: EmbeddedValkey):
    async def scenario(limiter: RateLimiter) -> None:
        local = 0
        for _ in range(3):
            kill(valkey)
            local += await passes(limiter, "key", HOURLY, 60)
            valkey.start()

            async def counted_there() -> bool:
                await limiter.take("other", HOURLY)
                return limiter._lost_since is None

            await until(counted_there)
        assert local == 100

    with_limiter(valkey.url(), scenario, pause=0.02)


def test_a_hanging_server_holds_nobody_up_for_long(valkey: EmbeddedValkey):
    async def scenario(limiter: RateLimiter) -> None:
        assert await passes(limiter, "key", HOURLY, 60) == 60
        limiter._patience = 0.25
        valkey.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        assert await passes(limiter, "key", HOURLY, 500) == 100
        assert 0.2 <= time.monotonic() - began < 2
        began = time.monotonic()
        for _ in range(20):
            assert not (await limiter.take("key", HOURLY)).allowed
            await asyncio.sleep(0.02)
        assert time.monotonic() - began < 2
        valkey.process.send_signal(signal.SIGCONT)

        async def is_back() -> bool:
            await limiter.take("other", HOURLY)
            return limiter._lost_since is None

        await until(is_back)
        limiter._patience = 30
        assert (await limiter.take("new", HOURLY)).remaining == 99
        assert await limiter._redis.exists("window:new")
        assert sum(count for count, _ in limiter._redis.connection_pool.get_connection_count()) <= 3

    with capture_logs() as logged:
        with_limiter(valkey.url(), scenario, pause=0.1)
    assert [entry["event"] for entry in logged] == [
        "rate_limits.redis_lost",
        "rate_limits.redis_back",
    ]


def test_a_process_that_was_held_up_does_not_blame_the_server(redis_url: str):
    async def scenario(limiter: RateLimiter) -> None:
        key = new_key()
        await limiter.take(key, HOURLY)
        asyncio.get_running_loop().call_later(0.0005, time.sleep, 1.1)
        for _ in range(20):
            await limiter.take(key, HOURLY)
        assert (await limiter.take(key, HOURLY)).remaining == 78

    with_limiter(redis_url, scenario, patience=1)


@pytest.mark.parametrize(
    "answer",
    [
        b"+OK\r\n",
        b":1\r\n",
        b"$-1\r\n",
        b"*1\r\n:5\r\n",
        b"*3\r\n:1\r\n+x\r\n:1\r\n",
        b"-READONLY a replica\r\n",
        b"-OOM full\r\n",
        b"nonsense\r\n",
        b"",
    ],
)
def test_a_lying_server_is_a_lost_one(answer: bytes):
    async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(65_536):
            greeting = b"EVAL" not in request
            writer.write(b"+OK\r\n" * request.count(b"*") if greeting else answer)
            if not greeting and not answer:
                break
        writer.close()

    async def scenario() -> None:
        async with await asyncio.start_unix_server(lie, path=f"{folder}/s"):
            redis = Redis(unix_socket_path=f"{folder}/s", protocol=2, retry=None)
            limiter = RateLimiter(redis, patience=5)
            assert (await limiter.take("key", HOURLY)).remaining == 99
            assert await passes(limiter, "key", HOURLY, 150) == 99
            await redis.aclose()

    with tempfile.TemporaryDirectory(prefix="tidings-") as folder, capture_logs() as logged:
        asyncio.run(scenario())
    assert [entry["event"] for entry in logged] == ["rate_limits.redis_lost"]


def test_local_windows_are_bounded_in_number():
    clock = Clock()

    async def scenario(limiter: RateLimiter) -> None:
        for user in range(30):
            await limiter.take(f"user {user}", Limit(1, 3600))
        assert not (await limiter.take("user 29", Limit(1, 3600))).allowed
        assert (await limiter.take("user 0", Limit(1, 3600))).allowed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rate_limits, "LOCAL_WINDOWS", 10)
        with_limiter(NOBODY, scenario, clock=clock)


def test_what_an_outage_logs_belongs_to_no_request():
    async def scenario(limiter: RateLimiter) -> None:
        with bound_contextvars(request_id="the unlucky one"):
            await limiter.take("key", HOURLY)

    with capture_logs(processors=[merge_contextvars]) as logged:
        with_limiter(NOBODY, scenario)
    assert len(logged) == 1
    assert "request_id" not in logged[0]
