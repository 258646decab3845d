"""Dry runs: what a changed rule would have made of what was asked in the past.

A `Rule` looks at one past event after the other and tells what was decided then and what it would
decide now. Nothing is written. Rules may remember what they have seen (limits do), so a run begins
with a rule of its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from domain.kernel import DomainEvent


@dataclass(frozen=True, slots=True)
class Past:
    """One event as it was decided: `at` is when the log recorded it."""

    position: int
    at: datetime
    event: DomainEvent


@dataclass(frozen=True, slots=True)
class Change:
    """One decision that would be another now. `what` names the part that it is about."""

    what: str
    then: str
    now: str


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a rule would decide otherwise, and how."""

    position: int
    at: datetime
    tenant: str
    actor: str
    action: str
    resource: str
    what: str
    then: str
    now: str


class Rule(ABC):
    """One rule as this release has it. `events` are those that tell what was asked."""

    name: ClassVar[str]
    events: ClassVar[tuple[type[DomainEvent], ...]]

    @abstractmethod
    def changes(self, past: Past) -> Iterable[Change]:
        """What it would decide otherwise about one of its events."""


def dry_run(rule: Rule, history: Iterable[Past]) -> Iterator[Difference]:
    """Every difference, in the order of the log. `history` may hold events of other kinds."""
    for past in history:
        if not isinstance(past.event, rule.events):
            continue
        for change in rule.changes(past):
            yield Difference(
                position=past.position,
                at=past.at,
                tenant=past.event.tenant,
                actor=past.event.actor,
                action=past.event.TOPIC,
                resource=str(past.event.originator_id),
                what=change.what,
                then=change.then,
                now=change.now,
            )
