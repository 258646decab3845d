"""Rate limits with Redis: exact, whatever the number of callers and processes."""

import asyncio
import multiprocessing
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.identity import Role
from infrastructure.embedded import EmbeddedValkey
from infrastructure.limits import Allowance, Limit
from infrastructure.rate_limits import RateLimiter
from tests.infrastructure.rate_limit_rooms import (
    FUTURE,
    HOURLY,
    NOBODY,
    Clock,
    new_key,
    passes,
    with_limiter,
)


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
