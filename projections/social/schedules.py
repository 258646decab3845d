"""Schedules as people look at them, and what is taken in a tenant's calendar."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from application.social.lateness import LatePost
from domain.social.posts import PostStatus
from domain.social.schedules import Calendar, Schedule, Taken
from projections.kernel import DomainEvent, Query, ReadModel, Rows, Table
from projections.social.posts import Posts

SCHEDULES = Table(
    "schedules",
    {
        "author": str,
        "strategy": str,
        "frequency": str,
        "timezone": str,
        "starts_at": datetime,
        "ends_at": datetime,
        "posts": list[UUID],
        "is_cancelled": bool,
        "created_at": datetime,
        "updated_at": datetime,
    },
    of_stream=Schedule,
    indexes=[("created_at DESC", "id DESC")],
)

CALENDARS = Table("calendars", {}, of_stream=Calendar)


class Schedules(ReadModel):
    name = "schedules"
    version = 1
    tables = (SCHEDULES, CALENDARS)
    events = (Schedule.Planned, Schedule.Moved, Schedule.Cancelled, Calendar.Opened)

    def project(self, event: DomainEvent, rows: Rows) -> None:
        match event:
            case Calendar.Opened():
                rows(CALENDARS)[event.originator_id].insert()
            case Schedule.Planned():
                rows(SCHEDULES)[event.originator_id].insert(
                    author=event.actor,
                    strategy=event.strategy,
                    frequency=event.frequency,
                    timezone=event.timezone,
                    starts_at=event.starts_at,
                    ends_at=event.ends_at,
                    posts=[slot.post_id for slot in event.slots],
                    created_at=event.timestamp,
                    updated_at=event.timestamp,
                )
            case Schedule.Moved(starts_at=start, ends_at=end):
                rows(SCHEDULES)[event.originator_id].update(
                    starts_at=start, ends_at=end, updated_at=event.timestamp
                )
            case Schedule.Cancelled():
                rows(SCHEDULES)[event.originator_id].update(
                    is_cancelled=True, updated_at=event.timestamp
                )


def schedule_detail(id: UUID) -> Query[dict[str, Any]]:
    """One schedule with its posts, in the order in which they were asked for."""
    return Query(
        (Schedules, Posts),
        """
        SELECT s.*, (
          SELECT jsonb_agg(jsonb_build_object('id', p.id, 'platforms', p.networks,
            'scheduled_for', p.scheduled_for, 'status', p.status, 'error', p.error) ORDER BY n)
          FROM unnest(s.posts) WITH ORDINALITY AS o (id, n)
          JOIN read.posts p ON p.tenant = %(tenant)s AND p.id = o.id) AS entries
        FROM read.schedules s WHERE s.tenant = %(tenant)s AND s.id = %(id)s
        """,
        {"id": id},
    )


_HOLDING = [s.value for s in PostStatus if s not in ("draft", "failed", "withdrawn")]
"""Posts in these states have their instant."""


def taken(since: datetime, until: datetime, but: Sequence[UUID] = ()) -> Query[Taken]:
    """The instants from `since` to `until` that posts have, all posts but those."""
    return Query(
        Posts,
        """
        SELECT network, p.scheduled_for AS at FROM read.posts p, unnest(p.networks) AS network
        WHERE p.tenant = %(tenant)s AND p.status = ANY (%(holding)s)
          AND p.scheduled_for BETWEEN %(since)s AND %(until)s AND p.id <> ALL (%(but)s::uuid[])
        """,
        {"holding": _HOLDING, "since": since, "until": until, "but": list(but)},
        into=Taken,
    )


def calendar_seen() -> Query[dict[str, Any]]:
    """Which version of the tenant's calendar is known here, and at which position of the log."""
    return Query(
        Schedules,
        """
        SELECT coalesce((SELECT version FROM read.calendars WHERE tenant = %(tenant)s), 0)
                 AS version, position
        FROM read.models WHERE name = 'schedules'
        """,
    )


def late(before: datetime, most: int) -> Query[LatePost]:
    """Posts that were planned for an instant before that one and have not been begun. Those that
    were meant for at once (their last event came after their instant) only wait for their turn."""
    return Query(
        Posts,
        """
        SELECT p.id, p.networks, p.scheduled_for AS due FROM read.posts p
        WHERE p.tenant = %(tenant)s AND p.status = 'scheduled' AND p.scheduled_for < %(before)s
          AND p.scheduled_for > p.updated_at
        ORDER BY p.scheduled_for, p.id LIMIT %(most)s
        """,
        {"before": before, "most": most},
        into=LatePost,
    )
