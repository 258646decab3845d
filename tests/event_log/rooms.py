"""A small aggregate of the tests' own, so that the log is tested apart from any room."""

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain.kernel import Acting, Aggregate, acting_as, event


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Counter(Aggregate, topic="log_test.counter"):
    """Counts."""

    class Opened(Aggregate.Created):
        TOPIC = "log_test.counter.opened"
        name: str

    class Increased(Aggregate.Event):
        TOPIC = "log_test.counter.increased"
        by: int

    class Noted(Aggregate.Event):
        TOPIC = "log_test.counter.noted"
        number: Decimal
        instant: datetime
        day: date
        id: UUID
        colour: Colour
        colours: dict[Colour, tuple[int, ...]]
        anything: dict[str, Any]
        text: str | None

    @event(Opened)
    def __init__(self, name: str) -> None:
        self.name, self.count, self.notes = name, 0, 0

    def increase(self, by: int = 1) -> None:
        self._increased(by)

    @event(Increased)
    def _increased(self, by: int) -> None:
        self.count += by

    @event(Noted)
    def _noted(
        self,
        number: Decimal,
        instant: datetime,
        day: date,
        id: UUID,
        colour: Colour,
        colours: dict[Colour, tuple[int, ...]],
        anything: dict[str, Any],
        text: str | None,
    ) -> None:
        self.notes += 1


def somebody(tenant: str = "demo", actor: str = "ann", request: str = "request-1") -> Any:
    """A context in which things can be decided."""
    return acting_as(Acting(tenant, actor, request, datetime.now(UTC)))


def counter(name: str = "visits", tenant: str = "demo") -> Counter:
    with somebody(tenant):
        return Counter(name)
