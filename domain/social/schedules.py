"""A calendar of posts: several posts placed together, moved together, cancelled together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

from domain.kernel import Aggregate, Conflict, acting, event
from domain.social.networks import Network

DISTANCE = timedelta(minutes=10)
"""Posts of one tenant on the same network keep this distance, also when they catch up."""


class Strategy(StrEnum):
    """How the moments of a schedule are chosen."""

    AI_OPTIMAL = "ai_optimal"
    MANUAL = "manual"
    PEAK_HOURS = "peak_hours"
    CONSISTENT = "consistent"


class Frequency(StrEnum):
    """How often a schedule publishes."""

    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"


@dataclass(frozen=True)
class Slot:
    """One post's place. `score` is the engagement expected there relative to the account's
    average (1), from `n` posts, which count as much as `confidence` (0 to 1) says; a moment that
    nobody scored has None."""

    post_id: UUID
    at: datetime
    networks: tuple[Network, ...]
    reason: str
    score: float | None = None
    confidence: float = 0.0
    n: int = 0


@dataclass(frozen=True)
class Move:
    """A post's new place."""

    post_id: UUID
    at: datetime


class Schedule(Aggregate, topic="social.schedule"):
    """What was planned for a number of posts. The posts themselves decide what becomes of them.

    `conflicts` counts moments that were passed over because another post was too close.
    """

    class Planned(Aggregate.Created):
        TOPIC = "social.schedule.planned"
        strategy: Strategy
        frequency: Frequency
        timezone: str
        starts_at: datetime
        ends_at: datetime
        slots: tuple[Slot, ...]
        conflicts: int

    class Moved(Aggregate.Event):
        TOPIC = "social.schedule.moved"
        starts_at: datetime
        ends_at: datetime
        moves: tuple[Move, ...]

    class Cancelled(Aggregate.Event):
        TOPIC = "social.schedule.cancelled"
        reason: str
        withdrawn: tuple[UUID, ...]

    @event(Planned)
    def __init__(
        self,
        strategy: Strategy,
        frequency: Frequency,
        timezone: str,
        starts_at: datetime,
        ends_at: datetime,
        slots: tuple[Slot, ...],
        conflicts: int,
    ) -> None:
        self.conflicts = conflicts
        self.strategy, self.frequency, self.timezone = strategy, frequency, timezone
        self.starts_at, self.ends_at = starts_at, ends_at
        self.slots = {slot.post_id: slot for slot in slots}
        self.is_cancelled = False

    def move(self, starts_at: datetime, ends_at: datetime, times: Mapping[UUID, datetime]) -> None:
        """Have these of its posts at other instants."""
        if self.is_cancelled:
            raise Conflict("A cancelled schedule cannot be moved.", status="cancelled")
        moves = tuple(Move(id, at) for id, at in times.items() if self.slots[id].at != at)
        if moves or (starts_at, ends_at) != (self.starts_at, self.ends_at):
            self._moved(starts_at, ends_at, moves)

    def cancel(self, reason: str, withdrawn: Sequence[UUID]) -> None:
        """Take back those of its posts that have not gone out."""
        if not self.is_cancelled:
            self._cancelled(reason, tuple(withdrawn))

    @event(Moved)
    def _moved(self, starts_at: datetime, ends_at: datetime, moves: tuple[Move, ...]) -> None:
        self.starts_at, self.ends_at = starts_at, ends_at
        for move in moves:
            self.slots[move.post_id] = replace(self.slots[move.post_id], at=move.at)

    @event(Cancelled)
    def _cancelled(self, reason: str, withdrawn: tuple[UUID, ...]) -> None:
        self.is_cancelled = True


@dataclass(frozen=True)
class Taken:
    """An instant that a post has on a network."""

    network: Network
    at: datetime


class Calendar(Aggregate, topic="social.calendar"):
    """What has been planned for a tenant, plan by plan. Each plan takes the next version, so of
    two that are made at once one is made again, and sees the other."""

    class Opened(Aggregate.Created):
        TOPIC = "social.calendar.opened"

    class Filled(Aggregate.Event):
        TOPIC = "social.calendar.filled"
        taken: tuple[Taken, ...]

    @staticmethod
    def create_id(tenant: str | None = None) -> UUID:
        """One stream per tenant, by default the one that is acting."""
        return uuid5(NAMESPACE_URL, f"tidings:calendar:{tenant or acting.get().tenant}")

    @event(Opened)
    def __init__(self) -> None:
        self.plans: list[tuple[Taken, ...]] = []

    def fill(self, taken: Iterable[Taken]) -> None:
        """Note the instants of one more plan."""
        self._filled(tuple(taken))

    def since(self, version: int) -> list[Taken]:
        """What the plans took that came after `version` of this aggregate."""
        return [each for plan in self.plans[max(version - 1, 0) :] for each in plan]

    @event(Filled)
    def _filled(self, taken: tuple[Taken, ...]) -> None:
        self.plans.append(taken)
