"""Endpoint 3 of the engagement contract, and what one can do to a schedule afterwards."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, PrivateAttr

from api.kernel import EVERYONE, WRITERS, AtDesk, AtReads, Reader, Router
from api.paths import path_id
from api.social.posts import shown
from application.kernel import Answer, Desk, public_id
from application.social.insights import insights
from application.social.schedules import (
    CancelRequest,
    CancelSchedule,
    CreateSchedule,
    MoveRequest,
    MoveSchedule,
    ScheduleRequest,
    Surroundings,
    in_turn,
    with_posts,
)
from domain.kernel import Aggregate
from domain.social.posts import Post, PostStatus
from domain.social.schedules import Calendar, Schedule
from infrastructure.calendar import FOR_EVER, surroundings
from projections.social.schedules import schedule_detail

router = Router(prefix="/api/v1/social/schedule", tags=["Social schedules"])

ScheduleId = Annotated[UUID, path_id("schedule")]

PREVIEW = 10


class SocialScheduleResponse(BaseModel):
    """A calendar as it was stored. `schedule_preview` shows the first ten posts in the order of
    their moments; `expected` is the engagement expected there, 1 being the account's average.
    Posts that no network's rules allow are not scheduled, and named among the insights."""

    success: bool
    schedule_id: str
    total_posts_scheduled: int
    schedule_preview: list[dict[str, Any]]
    optimization_insights: dict[str, Any]
    created_at: datetime

    @classmethod
    def of(cls, schedule: Schedule, posts: Sequence[Post], around: Surroundings) -> Self:
        scheduled = [(n, post) for n, post in enumerate(posts) if post.id in schedule.slots]
        refused = [(n, post) for n, post in enumerate(posts) if post.id not in schedule.slots]
        return cls(
            success=bool(scheduled),
            schedule_id=public_id("schedule", schedule.id),
            total_posts_scheduled=len(scheduled),
            schedule_preview=_preview(schedule, scheduled),
            optimization_insights={
                **insights(schedule, around.times),
                "not_scheduled": [
                    {"post_index": n, "post_id": public_id("post", p.id), "error": p.error}
                    for n, p in refused
                ],
            },
            created_at=schedule.created_on,
        )


class ScheduleDetail(BaseModel):
    """A schedule as it stands, with all of its posts."""

    schedule_id: str
    status: str
    optimization_strategy: str
    frequency: str
    timezone: str
    date_range_start: datetime
    date_range_end: datetime
    posts: list[dict[str, Any]]
    created_at: datetime
    updated_at: datetime

    _version: int = PrivateAttr()

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        detail = cls(
            schedule_id=public_id("schedule", row["id"]),
            status="cancelled" if row["is_cancelled"] else "active",
            optimization_strategy=row["strategy"],
            frequency=row["frequency"],
            timezone=row["timezone"],
            date_range_start=row["starts_at"],
            date_range_end=row["ends_at"],
            posts=[_entry(each) for each in row["entries"] or ()],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
        )
        detail._version = row["version"]
        return detail


class ScheduleChanged(BaseModel):
    """What a change to a schedule has come to: the posts that it touched and those that had gone
    out, or failed, before."""

    success: bool = True
    schedule_id: str
    status: str
    posts_changed: int
    posts_left: int
    date_range_start: datetime
    date_range_end: datetime


@router.post("", id="social.schedule.create", roles=WRITERS, limit="50/hour")
async def create_schedule(
    command: ScheduleRequest, desk: AtDesk, reads: AtReads
) -> Answer[SocialScheduleResponse]:
    """Place up to 50 posts on the publishing calendar, all of them or none.

    Posts on one network keep a distance of ten minutes, also from what is planned already. Hours
    and days are those of `timezone`; a naive time means UTC.
    """

    async def decide(calendar: Calendar | None) -> Answer[SocialScheduleResponse]:
        around = await _around(reads, calendar, command.date_range_start, command.date_range_end)

        def answer(made: Sequence[Aggregate]) -> SocialScheduleResponse:
            schedule, *rest = made
            assert isinstance(schedule, Schedule)
            posts = [each for each in rest if isinstance(each, Post)]
            return SocialScheduleResponse.of(schedule, posts, around)

        return await desk.create_all(CreateSchedule(command, around), answer)

    return await in_turn(desk, decide)


@router.get("/{schedule_id}", id="social.schedule.read", roles=EVERYONE, limit="300/hour")
async def read_schedule(id: ScheduleId, reads: AtReads) -> ScheduleDetail:
    """One schedule and where its posts stand."""
    return ScheduleDetail.of(await reads.one(schedule_detail(id), "schedule"))


@router.post("/{schedule_id}/move", id="social.schedule.move", roles=WRITERS, limit="50/hour")
async def move_schedule(
    id: ScheduleId, command: MoveRequest, desk: AtDesk, reads: AtReads
) -> Answer[ScheduleChanged]:
    """Have a schedule begin at another instant; local hours stay when it moves by whole days."""

    async def decide(calendar: Calendar | None) -> Answer[ScheduleChanged]:
        schedule, posts = await with_posts(desk, id)
        own = list(schedule.slots)
        around = await _around(reads, calendar, command.date_range_start, FOR_EVER, own)
        return await _change(desk, MoveSchedule(command, schedule, posts, around), posts)

    return await in_turn(desk, decide)


@router.post("/{schedule_id}/cancel", id="social.schedule.cancel", roles=WRITERS, limit="50/hour")
async def cancel_schedule(
    id: ScheduleId, command: CancelRequest, desk: AtDesk
) -> Answer[ScheduleChanged]:
    """Take back what has not gone out."""

    async def decide(_: Calendar | None) -> Answer[ScheduleChanged]:
        schedule, posts = await with_posts(desk, id)
        return await _change(desk, CancelSchedule(command, schedule, posts), posts)

    return await in_turn(desk, decide)


async def _around(
    reads: Reader,
    calendar: Calendar | None,
    since: datetime,
    until: datetime,
    but: Sequence[UUID] = (),
) -> Surroundings:
    caller = reads.caller
    return await surroundings(reads.reads, caller.tenant, caller.user, calendar, since, until, but)


async def _change(
    desk: Desk, command: MoveSchedule | CancelSchedule, posts: Sequence[Post]
) -> Answer[ScheduleChanged]:
    def answer(changed: Sequence[Aggregate]) -> ScheduleChanged:
        schedule = command.schedule
        touched = sum(isinstance(each, Post) for each in changed)
        return ScheduleChanged(
            schedule_id=public_id("schedule", schedule.id),
            status="cancelled" if schedule.is_cancelled else "active",
            posts_changed=touched,
            posts_left=len(posts) - touched,
            date_range_start=schedule.starts_at,
            date_range_end=schedule.ends_at,
        )

    return await desk.create_all(command, answer, changing=command.schedule)


def _preview(schedule: Schedule, posts: Sequence[tuple[int, Post]]) -> list[dict[str, Any]]:
    zone = ZoneInfo(schedule.timezone)
    order = sorted(posts, key=lambda each: schedule.slots[each[1].id].at)
    preview = []
    for n, post in order[:PREVIEW]:
        slot = schedule.slots[post.id]
        preview.append(
            {
                "post_index": n,
                "post_id": public_id("post", post.id),
                "scheduled_for": slot.at,
                "local_time": slot.at.astimezone(zone).isoformat(),
                "platforms": list(slot.networks),
                "status": shown(post.status),
                "reason": slot.reason,
                "expected": slot.score,
                "confidence": slot.confidence,
                "n": slot.n,
            }
        )
    return preview


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "post_id": public_id("post", UUID(entry["id"])),
        "platforms": entry["platforms"],
        "scheduled_for": entry["scheduled_for"] and datetime.fromisoformat(entry["scheduled_for"]),
        "status": shown(PostStatus(entry["status"])),
        "error": entry["error"],
    }
