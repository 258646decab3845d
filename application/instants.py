"""Instants as callers write them."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from domain.kernel import utc

EARLIEST = datetime(1000, 1, 1, tzinfo=UTC)


def _written_out(given: object) -> object:
    # A number would pass for seconds or milliseconds since 1970, whichever it looks like.
    text = given.strip().lstrip("+-").replace(".", "") if isinstance(given, str) else ""
    if isinstance(given, int | float) or text.isdecimal():
        raise ValueError("A time such as 2026-03-02T12:00:00Z")
    return given


def _in_utc(instant: datetime) -> datetime:
    try:
        return utc(instant)
    except OverflowError:
        raise ValueError("A time that has a place in the calendar of UTC") from None


def _within_reach(instant: datetime) -> datetime:
    if not EARLIEST.year <= instant.year <= 9000:
        raise ValueError("A year from 1000 to 9000")
    return utc(instant)


AnyInstant = Annotated[datetime, BeforeValidator(_written_out), AfterValidator(_in_utc)]
"""ISO 8601 in, UTC out; a naive time means UTC. To be compared with."""

Instant = Annotated[datetime, BeforeValidator(_written_out), AfterValidator(_within_reach)]
"""The same, far enough from the ends of the calendar to reckon with."""


def preceding(since: datetime, until: datetime) -> datetime:
    """Where the period of the same length before this one begins, as far as there is room."""
    return since - max(timedelta(0), min(until - since, since - EARLIEST))
