"""What becomes of posts whose moment has passed while nothing was published.

They go out in the order in which they were due, from now on, and on each network no closer to one
another and to what is planned anyway than `DISTANCE`. What is later than `TOO_LATE` is not
published: it is reported as failed, and can be scheduled again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from application.kernel import NO_ANSWER, Command, Desk
from application.social.placement import Occupied
from domain.social.networks import Network
from domain.social.posts import Post, PostStatus
from domain.social.schedules import DISTANCE, Taken

LATE = timedelta(minutes=2)
"""A planned post this late has waited for a service that was down, not for its turn."""
TOO_LATE = timedelta(hours=24)
"""Beyond this, what a post says may not be true any more: a person decides."""

AT_ONCE = 500
"""Late posts that are looked at in one go."""


@dataclass(frozen=True)
class LatePost:
    """A planned post that nobody has published."""

    id: UUID
    networks: list[Network]
    due: datetime


class Plans(Protocol):
    """The port to what is planned, as of now: never behind the log."""

    async def late(self, tenant: str, before: datetime, most: int) -> Sequence[LatePost]:
        """Planned posts due before an instant and not begun, in the order of their instants."""
        ...

    async def taken(self, tenant: str, since: datetime, but: Sequence[UUID]) -> Sequence[Taken]:
        """The instants from `since` on that posts have, all posts but those."""
        ...


class CatchUp(Command):
    """Give a late post another instant, None for none at all, unless it has one meanwhile."""

    due: datetime
    at: datetime | None

    def handle(self, post: Post) -> None:
        if post.status is not PostStatus.SCHEDULED or post.scheduled_for != self.due:
            return
        if self.at is not None:
            post.schedule(self.at)
            return
        hours = TOO_LATE // timedelta(hours=1)
        message = f"Missed: nothing was published for more than {hours} hours. Schedule it again."
        post.miss(self.due, message)


def is_late(due: datetime) -> bool:
    """Whether `due` lies further back than what a busy queue explains."""
    return datetime.now(UTC) - due > LATE


async def catch_up(plans: Plans, desk: Desk) -> bool:
    """Find places for the late posts of the desk's tenant; True when there may be more of them.

    Dying at any line is harmless: what has a new instant is not late any more.
    """
    now = datetime.now(UTC)
    late = await plans.late(desk.tenant, now - LATE, AT_ONCE)
    taken = await plans.taken(desk.tenant, now - DISTANCE, [post.id for post in late])
    for post, at in new_places(late, taken, now):
        await desk.change(Post, post.id, CatchUp(due=post.due, at=at), lambda _: NO_ANSWER)
    return len(late) == AT_ONCE


def new_places(
    late: Sequence[LatePost], taken: Sequence[Taken], now: datetime
) -> list[tuple[LatePost, datetime | None]]:
    """Each late post with its new instant, None for those that come too late. Pure."""
    occupied = Occupied(taken)
    last: dict[Network, datetime] = {}
    places: list[tuple[LatePost, datetime | None]] = []
    for post in late:
        if now - post.due > TOO_LATE:
            places.append((post, None))
            continue
        # Not into a gap before one that was due earlier: the order is part of the promise.
        earliest = max([now, *(last[n] for n in post.networks if n in last)])
        at = occupied.next_free(post.networks, earliest)
        occupied.take(post.networks, at)
        last |= dict.fromkeys(post.networks, at)
        places.append((post, at))
    return places
