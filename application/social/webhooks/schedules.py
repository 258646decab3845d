"""What is said in public of schedules."""

from collections.abc import Collection
from typing import Annotated

from application.kernel import public_id
from application.webhooks.public import (
    INTERNAL,
    SOME_ID,
    Emission,
    Emissions,
    Instant,
    Payload,
    Webhook,
    like,
)
from domain.social.schedules import Calendar, Schedule


class ScheduleCreated(Payload):
    """A calendar of posts has been stored."""

    schedule_id: Annotated[str, like(f"schedule_{SOME_ID}")]
    total_posts_scheduled: Annotated[int, like(12)]
    date_range_start: Instant
    date_range_end: Instant
    created_at: Instant


SCHEDULE_CREATED = Webhook("social.schedule.created", ScheduleCreated)


def _planned(event: Schedule.Planned) -> ScheduleCreated:
    return ScheduleCreated(
        schedule_id=public_id("schedule", event.originator_id),
        total_posts_scheduled=len(event.slots),
        date_range_start=event.starts_at,
        date_range_end=event.ends_at,
        created_at=event.timestamp,
    )


def _of_slots(event: Schedule.Planned) -> Collection[str]:
    return {network for slot in event.slots for network in slot.networks}


WEBHOOKS = (SCHEDULE_CREATED,)

EMISSIONS: Emissions = {
    Schedule.Planned: [Emission(SCHEDULE_CREATED, _planned, about=_of_slots)],
    Schedule.Moved: INTERNAL,
    Schedule.Cancelled: INTERNAL,
    Calendar.Opened: INTERNAL,
    Calendar.Filled: INTERNAL,
}
