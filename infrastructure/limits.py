"""What a limit is, and what its caller is told of it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from math import ceil

UNLIMITED = 999_999_999_999_999
"""The largest integer of a structured field (RFC 9651, 3.3.1) stands for no limit at all."""

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}

PROFILES = ("default", "strict", "off")


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests (`count`) in so many seconds (`window`)."""

    count: int
    window: int

    def __post_init__(self) -> None:
        if self.count < 1 or self.window < 1:
            raise ValueError(f"a limit needs a count and a window of at least 1, not {self}")

    @classmethod
    def parse(cls, text: str) -> Limit:
        """The limit written as `100/hour`; the unit is second, minute, hour or day."""
        written = re.fullmatch(r"([1-9][0-9]{0,8})/(second|minute|hour|day)", text)
        if not written:
            raise ValueError(f"limit {text!r} is not of the form 100/hour (or second, minute, day)")
        return cls(int(written[1]), SECONDS[written[2]])


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a caller may still do on one endpoint, as of one request.

    `limit` and `remaining` count requests, `window` and `reset_after` (until the whole limit is
    back) are in seconds; `window_end` identifies the window to `RateLimiter.give_back`.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_after: float
    window: int
    window_end: int

    @property
    def retry_after(self) -> float:
        """Seconds until a request can pass again; 0 when this one did."""
        return 0.0 if self.allowed else self.reset_after

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The answer's header fields, in ASGI's form; none when there is no limit.

        `RateLimit` and `RateLimit-Policy` as in draft-ietf-httpapi-ratelimit-headers (08 on);
        `X-RateLimit-Reset` is a Unix time in seconds, as clients know it from GitHub and X;
        `Retry-After` (RFC 9110, 10.2.3) in seconds.
        """
        if self.limit >= UNLIMITED:
            return []
        seconds = ceil(self.reset_after)
        fields = [
            (b"ratelimit-policy", _policy(self.limit, self.window)),
            (b"ratelimit", b'"default";r=%d;t=%d' % (self.remaining, seconds)),
            (b"x-ratelimit-limit", b"%d" % self.limit),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % ceil(time.time() + self.reset_after)),
        ]
        if not self.allowed:
            fields.append((b"retry-after", b"%d" % max(1, seconds)))
        return fields


@lru_cache(maxsize=1024)
def _policy(count: int, window: int) -> bytes:
    return b'"default";q=%d;w=%d' % (count, window)


def limit_key(tenant: str, user: str, endpoint: str) -> str:
    """The key under which one caller's requests to one endpoint are counted.

    A user's name may be an address: it is hashed, so that Redis holds nobody's personal data.
    """
    who = f"{tenant}\0{user}".encode(errors="surrogatepass")
    return f"{endpoint}:{blake2b(who, digest_size=16).hexdigest()}"
