"""What may be asked of schedules."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from eventsourcing.persistence import IntegrityError
from pydantic import AfterValidator, BaseModel, Field, ValidationInfo, field_validator

from application.instants import Instant
from application.kernel import ATTEMPTS, Answer, Command, Desk
from application.screens import ScreenedText
from application.social.best_times import BestTimes
from application.social.placement import Frame, Occupied, Place, Wish, place
from application.social.posts import CreatePost
from domain.kernel import Aggregate, Conflict, Invalid, now
from domain.social.posts import Post, PostStatus
from domain.social.schedules import Calendar, Frequency, Schedule, Slot, Strategy, Taken

M = TypeVar("M", bound=BaseModel)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _known(name: str) -> str:
    if name not in _zones():
        raise ValueError("A name of the IANA time zone database, such as Europe/Berlin")
    return name


TimeZone = Annotated[str, AfterValidator(_known)]


class ScheduleRequest(Command):
    """Place several posts on the publishing calendar: all of them, or none.

    `timezone` is where hours and days are reckoned: a local hour stays when clocks change. A post
    with a `scheduled_for` of its own keeps it whatever the strategy.
    """

    posts: Annotated[list[CreatePost], Field(min_length=1, max_length=50)]
    optimization_strategy: Strategy = Strategy.AI_OPTIMAL
    timezone: TimeZone = "UTC"
    date_range_start: Instant
    date_range_end: Instant
    frequency: Frequency = Frequency.DAILY

    @field_validator("date_range_end")
    @classmethod
    def _in_order(cls, end: datetime, info: ValidationInfo) -> datetime:
        start = info.data.get("date_range_start")
        if start is not None and end < start:
            raise ValueError("The end lies before the start")
        return end


class MoveRequest(Command):
    """Have a schedule begin at another instant; what has not gone out moves with it, by as much on
    the clocks of its time zone."""

    date_range_start: Instant


class CancelRequest(Command):
    """Take back what has not gone out."""

    reason: Annotated[ScreenedText, Field(max_length=500)] = ""


@dataclass(frozen=True)
class Surroundings:
    """What a plan has to know: the instants that are taken, what has been learned, and the
    calendar that the plan is entered in (None when it is the tenant's first)."""

    taken: Sequence[Taken]
    times: BestTimes
    calendar: Calendar | None


@dataclass(frozen=True)
class CreateSchedule:
    """The request, with what was found around it."""

    request: ScheduleRequest
    around: Surroundings

    def handle(self) -> Sequence[Aggregate]:
        asked = self.request
        frame = Frame(
            asked.optimization_strategy,
            asked.frequency,
            ZoneInfo(asked.timezone),
            asked.date_range_start,
            asked.date_range_end,
        )
        occupied = Occupied(self.around.taken)
        wishes = [Wish(tuple(post.platforms), post.scheduled_for) for post in asked.posts]
        places = place(wishes, frame, now(), occupied, self.around.times)
        posts = [
            post.model_copy(update={"scheduled_for": found.at}).handle()
            for post, found in zip(asked.posts, places, strict=True)
        ]
        schedule = Schedule(
            strategy=asked.optimization_strategy,
            frequency=asked.frequency,
            timezone=asked.timezone,
            starts_at=asked.date_range_start,
            ends_at=asked.date_range_end,
            slots=tuple(
                _slot(post, found)
                for post, found in zip(posts, places, strict=True)
                if post.status is PostStatus.SCHEDULED
            ),
            conflicts=occupied.conflicts,
        )
        return [schedule, *posts, *entered(self.around.calendar, posts)]


@dataclass(frozen=True)
class MoveSchedule:
    """The request, with the schedule, its posts, and what was found around them."""

    request: MoveRequest
    schedule: Schedule
    posts: Sequence[Post]
    around: Surroundings

    def handle(self) -> Sequence[Aggregate]:
        schedule, start = self.schedule, self.request.date_range_start
        zone = ZoneInfo(schedule.timezone)
        shift = _wall(start, zone) - _wall(schedule.starts_at, zone)
        moving = [post for post in self.posts if post.status is PostStatus.SCHEDULED]
        occupied = Occupied(self.around.taken)
        times: dict[UUID, datetime] = {}
        for post in moving:
            assert post.scheduled_for is not None
            at = _shifted(post.scheduled_for, shift, zone)
            if at < now():
                raise Invalid(
                    "A post would come to lie in the past.",
                    field="date_range_start",
                    code="in_the_past",
                )
            if not occupied.free(post.networks, at):
                raise Invalid(
                    "A post would come too close to another one on the same network.",
                    field="date_range_start",
                    code="too_close",
                )
            times[post.id] = at
        schedule.move(start, _shifted(schedule.ends_at, shift, zone), times)
        for post in moving:
            post.schedule(times[post.id])
        if not schedule.pending_events:
            return [schedule]
        return [schedule, *moving, *entered(self.around.calendar, moving)]


@dataclass(frozen=True)
class CancelSchedule:
    """The request, with the schedule and its posts."""

    request: CancelRequest
    schedule: Schedule
    posts: Sequence[Post]

    def handle(self) -> Sequence[Aggregate]:
        if self.schedule.is_cancelled:
            return [self.schedule]
        waiting = [post for post in self.posts if post.status is PostStatus.SCHEDULED]
        for post in waiting:
            post.withdraw(self.request.reason)
        self.schedule.cancel(self.request.reason, [post.id for post in waiting])
        return [self.schedule, *waiting]


async def in_turn(
    desk: Desk, decide: Callable[[Calendar | None], Awaitable[Answer[M]]]
) -> Answer[M]:
    """Decide with the tenant's calendar as it is, and again when another plan was quicker."""
    id = Calendar.create_id(desk.tenant)
    async with desk.log.alone(id):
        for _ in range(ATTEMPTS):
            try:
                return await decide(await desk.log.load(Calendar, id))
            except IntegrityError:
                continue
    raise Conflict("The calendar is being changed too quickly; try again.", code="busy")


async def with_posts(desk: Desk, id: UUID) -> tuple[Schedule, list[Post]]:
    """A schedule and its posts. Raises `NotFound`."""
    schedule = await desk.get(Schedule, id)
    posts = await asyncio.gather(*(desk.get(Post, each) for each in schedule.slots))
    return schedule, posts


def _slot(post: Post, found: Place) -> Slot:
    score = found.score
    return Slot(
        post.id,
        found.at,
        post.networks,
        found.reason,
        score=round(score.value, 4) if score else None,
        confidence=round(score.confidence, 4) if score else 0.0,
        n=score.n if score else 0,
    )


def entered(calendar: Calendar | None, posts: Sequence[Post]) -> Sequence[Calendar]:
    """The tenant's calendar with the moments of `posts`; nothing when they have none."""
    taken = [
        Taken(network, post.scheduled_for)
        for post in posts
        if post.scheduled_for is not None
        for network in post.networks
    ]
    if not taken:
        return []
    calendar = calendar or Calendar()
    calendar.fill(taken)
    return [calendar]


def _wall(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


def _shifted(instant: datetime, shift: timedelta, zone: ZoneInfo) -> datetime:
    return (_wall(instant, zone) + shift).replace(tzinfo=zone).astimezone(UTC)
