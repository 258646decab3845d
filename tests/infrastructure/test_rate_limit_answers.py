"""What a limit is, and what a caller is told of it."""

import re
import time

import pytest
from structlog.testing import capture_logs

from domain.identity import Role
from infrastructure.limits import UNLIMITED, Allowance, Limit, limit_key
from infrastructure.rate_limits import RateLimiter, connect
from tests.infrastructure.rate_limit_rooms import HOURLY, NOBODY, with_limiter


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
