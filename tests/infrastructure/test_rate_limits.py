"""Rate limits: exact with Redis, bounded without, and never in a request's way."""

import asyncio
import multiprocessing
import re
import signal
import struct
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.testing import capture_logs

from domain.identity import Role
from infrastructure import rate_limits
from infrastructure.embedded import EmbeddedValkey
from infrastructure.limits import UNLIMITED, Allowance, Limit, limit_key
from infrastructure.rate_limits import RateLimiter, connect

HOURLY = Limit(100, 3600)
NOBODY = "unix:///nonexistent/redis.sock"
FUTURE = 4_102_444_800
"""A simulated clock begins in 2100, so that the server's own clock expires nothing meanwhile."""


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A server of one test's own, to be killed, stopped and emptied."""
    server = EmbeddedValkey(tmp_path / "valkey")
    server.start()
    yield server
    kill(server)
    server.stop()


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


# What a limit is


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("100/hour", Limit(100, 3600)),
        ("6/minute", Limit(6, 60)),
        ("1/second", Limit(1, 1)),
        ("5000/day", Limit(5000, 86_400)),
    ],
)
def test_a_limit_is_read(text: str, limit: Limit):
    assert Limit.parse(text) == limit


@pytest.mark.parametrize(
    "text", ["", "100", "100/week", "0/hour", "-1/hour", "1.5/hour", "100/hour\n", "١/hour"]
)
def test_a_limit_that_is_none_is_refused(text: str):
    with pytest.raises(ValueError, match=f"^limit {re.escape(repr(text))} is not of the form"):
        Limit.parse(text)


@pytest.mark.parametrize(("count", "window"), [(0, 1), (1, 0), (-5, 3600)])
def test_a_limit_lets_something_through(count: int, window: int):
    with pytest.raises(ValueError, match="at least 1"):
        Limit(count, window)


@pytest.mark.parametrize(
    ("profile", "counts"),
    [("default", [500, 300, 200, 100, 50]), ("strict", [100] * 5), ("off", [UNLIMITED] * 5)],
)
def test_roles_and_profile_make_the_effective_limit(profile: str, counts: list[int]):
    limiter = RateLimiter(connect(NOBODY), profile)
    assert [limiter.effective(HOURLY, role) for role in Role] == [Limit(n, 3600) for n in counts]


def test_the_narrowest_limit_still_lets_one_through():
    limiter = RateLimiter(connect(NOBODY))
    assert limiter.effective(Limit(1, 60), Role.READ_ONLY) == Limit(1, 60)
    assert limiter.effective(Limit(25, 60), Role.READ_ONLY) == Limit(12, 60)


def test_an_unknown_profile_is_refused_by_name():
    with pytest.raises(ValueError, match="RATE_LIMIT_PROFILE must be one of default"):
        RateLimiter(connect(NOBODY), "lax")


def test_tenants_users_and_endpoints_are_counted_apart():
    keys = {
        limit_key("demo", "ada", "posts.create"),
        limit_key("demo", "ada", "posts.read"),
        limit_key("demo", "bob", "posts.create"),
        limit_key("other", "ada", "posts.create"),
        limit_key("demo", "\ud800", "posts.create"),
    }
    assert len(keys) == 5
    assert not any("ada" in key for key in keys)


# What a caller is told


def test_the_header_fields_of_a_passed_request():
    allowance = Allowance(True, 100, 50, 29.2, 3600, 1)
    fields = dict(allowance.headers())
    assert fields.pop(b"x-ratelimit-reset") in {
        b"%d" % (time.time() + ahead) for ahead in (29, 30, 31)
    }
    assert fields == {
        b"ratelimit-policy": b'"default";q=100;w=3600',
        b"ratelimit": b'"default";r=50;t=30',
        b"x-ratelimit-limit": b"100",
        b"x-ratelimit-remaining": b"50",
    }
    assert allowance.retry_after == 0


@pytest.mark.parametrize(
    ("reset_after", "seconds"), [(29.2, b"30"), (0.0, b"1"), (3600.0, b"3600")]
)
def test_a_refused_request_is_told_when_to_return(reset_after: float, seconds: bytes):
    refused = Allowance(False, 100, 0, reset_after, 3600, 1)
    assert dict(refused.headers())[b"retry-after"] == seconds
    assert refused.retry_after == reset_after


def test_without_limits_nobody_is_asked_and_nothing_is_told():
    async def scenario(limiter: RateLimiter) -> None:
        unlimited = limiter.effective(HOURLY, Role.API_USER)
        taken = [await limiter.take("key", unlimited) for _ in range(300)]
        await limiter.give_back("key", taken[0])
        assert all(allowance.allowed and not allowance.headers() for allowance in taken)

    with capture_logs() as logged:
        with_limiter(NOBODY, scenario, profile="off")
    assert not logged


# With Redis


def test_a_hundred_of_105_pass(redis_url: str):
    async def scenario(limiter: RateLimiter) -> None:
        key, limit = new_key(), limiter.effective(HOURLY, Role.SUPER_ADMIN)
        taken = [await limiter.take(key, limit) for _ in range(105)]
        assert [allowance.allowed for allowance in taken] == [True] * 100 + [False] * 5
        assert [allowance.remaining for allowance in taken] == [*range(99, -1, -1)] + [0] * 5
        assert all(3500 < allowance.reset_after <= 3600 for allowance in taken)
        assert (await limiter.take(new_key(), limit)).allowed

    with_limiter(redis_url, scenario, profile="strict")


def test_a_steady_caller_gets_a_fresh_allowance(redis_url: str):
    """One request a second for three hours: the first hundred of every hour pass."""
    clock = Clock()

    async def scenario(limiter: RateLimiter) -> None:
        key = new_key()
        for hour in range(3):
            for second in (*range(110), *range(110, 3600, 349)):
                clock.now = FUTURE + 3600 * hour + second
                allowance = await limiter.take(key, HOURLY)
                assert allowance.allowed is (second < 100)
                assert allowance.reset_after == 3600 - second

    with_limiter(redis_url, scenario, clock=clock)


def test_the_servers_clock_ends_a_window(redis_url: str):
    async def scenario(limiter: RateLimiter) -> None:
        key, limit = new_key(), Limit(2, 1)
        first = await limiter.take(key, limit)
        assert await limiter._redis.pttl(f"window:{key}") <= 1000
        assert await passes(limiter, key, limit, 3) == 1
        await asyncio.sleep(first.reset_after + 0.05)
        assert not await limiter._redis.exists(f"window:{key}")
        assert await passes(limiter, key, limit, 3) == 2

    with_limiter(redis_url, scenario)


def test_a_clock_set_back_never_lengthens_a_window(redis_url: str):
    async def scenario(limiter: RateLimiter) -> None:
        key, limit = new_key(), Limit(1, 60)
        await limiter.take(key, limit)
        clock.now -= 7200
        assert (await limiter.take(key, limit)).reset_after == 60
        clock.now += 59
        assert (await limiter.take(key, limit)).reset_after == 1
        clock.now += 1
        assert (await limiter.take(key, limit)).allowed

    for url in (redis_url, NOBODY):
        clock = Clock()
        with_limiter(url, scenario, clock=clock)


def test_many_at_once_share_calls_and_the_count_is_exact(valkey: EmbeddedValkey):
    async def scenario(limiter: RateLimiter) -> None:
        await limiter.take("warm-up", HOURLY)
        await limiter._redis.config_resetstat()
        assert await passes(limiter, "key", HOURLY, 600) == 100
        calls = (await limiter._redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
        assert calls == 3

    with_limiter(valkey.url(), scenario)


def _take_in_a_process(url: str, key: str, start: Any, counts: Any) -> None:
    async def scenario(limiter: RateLimiter) -> int:
        await limiter.take("warm-up", HOURLY)
        start.wait()
        return sum([await passes(limiter, key, Limit(120, 3600), 10) for _ in range(10)])

    counts.put(with_limiter(url, scenario))


def test_the_count_is_exact_over_processes(redis_url: str):
    spawn = multiprocessing.get_context("spawn")
    start, counts, key = spawn.Barrier(3), spawn.Queue(), new_key()
    arguments = (redis_url, key, start, counts)
    processes = [spawn.Process(target=_take_in_a_process, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    passed = [counts.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sum(passed) == 120


def test_a_caller_who_goes_away_disturbs_nobody(redis_url: str):
    async def scenario(limiter: RateLimiter) -> None:
        key = new_key()
        leaving = asyncio.create_task(limiter.take(key, HOURLY))
        staying = asyncio.create_task(limiter.take(key, HOURLY))
        await asyncio.sleep(0)
        leaving.cancel()
        assert (await staying).remaining == 98

    with_limiter(redis_url, scenario)


@pytest.mark.parametrize(
    "found",
    ["garbage", "16 of some other", struct.pack(">dd", -1, 2e12), struct.pack(">dd", 0.5, 2e12)],
)
def test_a_counter_that_is_none_begins_afresh(redis_url: str, found: str | bytes):
    async def scenario(limiter: RateLimiter) -> None:
        key = new_key()
        await limiter._redis.set(f"window:{key}", found)
        assert (await limiter.take(key, HOURLY)).remaining == 99

    with_limiter(redis_url, scenario)


# Giving back


def test_what_was_given_back_can_be_taken_again(redis_url: str):
    async def scenario(limiter: RateLimiter) -> None:
        key, limit = new_key(), Limit(2, 3600)
        first, second, third = [await limiter.take(key, limit) for _ in range(3)]
        assert (first.allowed, second.allowed, third.allowed) == (True, True, False)
        await limiter.give_back(key, third)
        assert not (await limiter.take(key, limit)).allowed
        await limiter.give_back(key, second)
        assert await passes(limiter, key, limit, 5) == 1

    for url in (redis_url, NOBODY):
        with_limiter(url, scenario)


def test_nothing_is_given_back_into_another_window(redis_url: str):
    async def scenario(limiter: RateLimiter) -> None:
        key, limit = new_key(), Limit(2, 60)
        old = await limiter.take(key, limit)
        clock.now += 60
        assert await passes(limiter, key, limit, 2) == 2
        await limiter.give_back(key, old)
        assert await passes(limiter, key, limit, 2) == 0

    for url in (redis_url, NOBODY):
        clock = Clock()
        with_limiter(url, scenario, clock=clock)


KEYS = st.sampled_from(["a", "b"])
STEPS = st.lists(
    st.tuples(st.just("take"), KEYS)
    | st.tuples(st.just("give back"), st.integers(0, 30))
    | st.tuples(st.just("wait"), st.integers(1, 12)),
    max_size=60,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, count=st.integers(1, 4))
@pytest.mark.parametrize("with_redis", [True, False])
def test_the_accounting(valkey_server: str, with_redis: bool, steps: list[Any], count: int):
    """Any history, with the server's script and with the process's own windows."""
    clock, limit, prefix = Clock(), Limit(count, 10), new_key()
    ends: dict[str, float] = {}
    used: dict[str, list[Allowance]] = {}
    given: list[tuple[str, Allowance]] = []

    async def scenario(limiter: RateLimiter) -> None:
        for what, which in steps:
            if what == "wait":
                clock.now += which
            elif what == "give back" and which < len(given):
                key, allowance = given.pop(which)  # once per allowance
                await limiter.give_back(prefix + key, allowance)
                if allowance in used[key]:
                    used[key].remove(allowance)
            elif what == "take":
                key = which
                if clock.now >= ends.get(key, 0) or not used[key]:
                    used[key], ends[key] = [], clock.now + 10
                allowance = await limiter.take(prefix + key, limit)
                assert allowance.allowed is (len(used[key]) < count)
                assert allowance.reset_after == ends[key] - clock.now
                if allowance.allowed:
                    used[key].append(allowance)
                    given.append((key, allowance))
                assert allowance.remaining == count - len(used[key])

    with_limiter(valkey_server if with_redis else NOBODY, scenario, clock=clock)


# Without Redis


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
