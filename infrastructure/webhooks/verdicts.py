"""What an attempt means for its delivery and for its endpoint, by Standard Webhooks 1.0."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from infrastructure.http_fields import parse_retry_after
from infrastructure.webhooks.posting import Reply

MINUTE, HOUR = 60, 3600
DELAYS = (
    5,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
)
"""Seconds between attempts, as the specification proposes: ten of them over 75.6 hours."""
JITTER = 0.1
"""By how much of itself each delay varies, so that a crowd does not come back as one."""

LONGEST_PAUSE = 24 * HOUR
"""Most seconds of a `Retry-After` that are honoured."""

GIVE_UP_ON_ENDPOINT = timedelta(days=5)
"""An endpoint that has answered nothing well for so long is disabled."""

THROTTLING = frozenset({429, 502, 503, 504})
"""The receiver has too much to do: it is left alone, not only this delivery."""
GONE = 410

PROBED_AFTER = 5
LONGEST_PROBE = 60
"""After so many failures in a row an endpoint is tried ever less often, down to once in so many
seconds: the dead should cost the living nothing."""


class State(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`due` is the next attempt, None when there is none. `error` says what went wrong."""

    state: State
    due: datetime | None = None
    error: str | None = None
    pause: float = 0.0
    """Seconds that the receiver wants to be left alone."""


def judge(
    answer: Reply | str, failures: int, now: datetime, chance: random.Random | None = None
) -> Verdict:
    """The verdict on an attempt that ended `now`, behind `failures` earlier ones.

    `answer` is the reply, or the reason why there was none. Any 2xx is success; redirects are
    not followed and hence failures.
    """
    if isinstance(answer, str):
        return _failure(answer, failures, now, 0.0, 0.0, chance)
    if 200 <= answer.status < 300:
        return Verdict(State.DELIVERED)
    error = f"The receiver answered {answer.status}."
    if answer.status == GONE:
        return Verdict(State.FAILED, error=error)
    asked = min(parse_retry_after(answer.retry_after, now) or 0.0, LONGEST_PAUSE)
    pause = (asked or 1.0) if answer.status in THROTTLING else 0.0
    return _failure(error, failures, now, asked, pause, chance)


def _failure(
    error: str,
    failures: int,
    now: datetime,
    asked: float,
    pause: float,
    chance: random.Random | None,
) -> Verdict:
    if failures >= len(DELAYS):
        return Verdict(State.FAILED, error=error, pause=pause)
    varied = DELAYS[failures] * (chance or random).uniform(1 - JITTER, 1 + JITTER)
    due = now + timedelta(seconds=max(varied, asked))
    return Verdict(State.PENDING, due, error, pause)


def probe_pause(failures_in_a_row: int) -> float:
    """Seconds until an endpoint is tried again that has failed so often in a row."""
    beyond = failures_in_a_row - PROBED_AFTER
    return 0.0 if beyond < 0 else float(min(2 ** min(beyond, 10), LONGEST_PROBE))


def utc_now() -> datetime:
    """The clock of attempts."""
    return datetime.now(UTC)
