"""`given` what has happened, `when` somebody asks, then these events: no database needed.

Events compare by what they say; who said it, where and when is left out.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from domain.kernel import Acting, Aggregate, acting_as

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
ENVELOPE = {
    "originator_id",
    "originator_version",
    "originator_topic",
    "timestamp",
    "tenant",
    "actor",
    "correlation_id",
    "causation_id",
}


@contextmanager
def at(instant: datetime = NOW, *, tenant: str = "demo", actor: str = "ann") -> Iterator[None]:
    """Decide at an instant, as somebody."""
    with acting_as(Acting(tenant, actor, "request-1", instant)):
        yield


@dataclass(frozen=True)
class Said:
    """What an event says: its class and its own fields."""

    kind: type
    says: dict[str, Any]


def said(kind: type, **says: Any) -> Said:
    return Said(kind, says)


def given(create: Any, *changes: Any, instant: datetime = NOW) -> Any:
    """The aggregate that these commands have led to."""
    with at(instant):
        aggregate = create.handle()
        for command in changes:
            command.handle(aggregate)
    aggregate.collect_events()
    return aggregate


def when(aggregate: Aggregate, *commands: Any, instant: datetime = NOW) -> list[Said]:
    """The events that these commands yield, without their envelope."""
    with at(instant):
        for command in commands:
            command.handle(aggregate)
    return heard(aggregate)


def heard(aggregate: Aggregate) -> list[Said]:
    """The events that an aggregate has decided and not yet handed over."""
    return [
        Said(
            type(event),
            {
                field.name: getattr(event, field.name)
                for field in fields(event)  # type: ignore[arg-type]
                if field.name not in ENVELOPE
            },
        )
        for event in aggregate.collect_events()
    ]
