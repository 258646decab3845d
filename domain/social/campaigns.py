"""A campaign: posts on several networks that belong together, from its start to its end.

Its posts are posts like any others and decide themselves what becomes of them; the campaign
notes it. It is a draft as long as its plan holds nothing that can be published. The clock starts
and ends it; it ends sooner when no post of it is left to go out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain.kernel import Aggregate, Conflict, Invalid, event, now
from domain.social.networks import Network
from domain.social.posts import PostStatus


class Objective(StrEnum):
    """What a campaign is for."""

    AWARENESS = "awareness"
    ENGAGEMENT = "engagement"
    CONVERSION = "conversion"
    TRAFFIC = "traffic"
    BRAND_BUILDING = "brand_building"


class CampaignStatus(StrEnum):
    """Where a campaign stands."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class Ending(StrEnum):
    """Why a campaign is completed."""

    END_REACHED = "end_reached"
    ALL_POSTS_OUT = "all_posts_out"


@dataclass(frozen=True)
class Entry:
    """One entry of a content plan, as it was given (JSON).

    `post_id` is the post that came of it, None for a note; `is_sendable` tells whether any
    network's rules allow that post.
    """

    given: dict[str, Any]
    post_id: UUID | None = None
    is_sendable: bool = False


def first_status(plan: Sequence[Entry], starts_at: datetime, at: datetime) -> CampaignStatus:
    """Where a campaign stands that was set up with `plan` at an instant."""
    started = at >= starts_at and _before_start(plan) is CampaignStatus.SCHEDULED
    return CampaignStatus.ACTIVE if started else _before_start(plan)


def _before_start(plan: Sequence[Entry]) -> CampaignStatus:
    sendable = any(entry.is_sendable for entry in plan)
    return CampaignStatus.SCHEDULED if sendable else CampaignStatus.DRAFT


class Campaign(Aggregate, topic="social.campaign"):
    """Amounts are in minor units of `currency`. `links` are the addresses to be tracked, by name.

    `posts` are those that can go out, each with the last that was heard of it.
    """

    class SetUp(Aggregate.Created):
        TOPIC = "social.campaign.set_up"
        name: str
        objective: Objective
        networks: tuple[Network, ...]
        plan: tuple[Entry, ...]
        target_audience: dict[str, Any]
        budget: Decimal | None
        currency: str
        starts_at: datetime
        ends_at: datetime
        hashtags: tuple[str, ...]
        links: dict[str, str]
        optimised: bool
        estimated_reach: int | None

    class Extended(Aggregate.Event):
        """`first` is the place of the first of these in the whole plan. What was a draft may have
        to be started and ended from now on: hence status and instants."""

        TOPIC = "social.campaign.extended"
        first: int
        plan: tuple[Entry, ...]
        estimated_reach: int | None
        status: CampaignStatus
        starts_at: datetime
        ends_at: datetime

    class Started(Aggregate.Event):
        TOPIC = "social.campaign.started"
        name: str

    class PostSettled(Aggregate.Event):
        TOPIC = "social.campaign.post_settled"
        post_id: UUID
        status: PostStatus

    class Spent(Aggregate.Event):
        TOPIC = "social.campaign.spent"
        amount: Decimal
        note: str

    class Completed(Aggregate.Event):
        TOPIC = "social.campaign.completed"
        name: str
        total_posts: int
        because: Ending

    class Cancelled(Aggregate.Event):
        TOPIC = "social.campaign.cancelled"
        reason: str
        withdrawn: tuple[UUID, ...]

    @event(SetUp)
    def __init__(
        self,
        name: str,
        objective: Objective,
        networks: tuple[Network, ...],
        plan: tuple[Entry, ...],
        target_audience: dict[str, Any],
        budget: Decimal | None,
        currency: str,
        starts_at: datetime,
        ends_at: datetime,
        hashtags: tuple[str, ...],
        links: dict[str, str],
        optimised: bool,
        estimated_reach: int | None,
    ) -> None:
        self.name, self.networks, self.hashtags = name, networks, hashtags
        self.links, self.optimised, self.currency = links, optimised, currency
        self.starts_at, self.ends_at = starts_at, ends_at
        self.estimated_reach = estimated_reach
        self.status = _before_start(plan)
        self.spent = Decimal(0)
        self.entries = self.total_posts = 0
        self.posts: dict[UUID, PostStatus] = {}
        self._add(plan)

    @property
    def is_over(self) -> bool:
        return self.status in (CampaignStatus.COMPLETED, CampaignStatus.CANCELLED)

    @property
    def waiting(self) -> list[UUID]:
        """Its posts that have neither gone out nor been taken back, as far as it knows."""
        return [id for id, status in self.posts.items() if status not in _SETTLED]

    def extend(self, plan: Sequence[Entry], estimated_reach: int | None) -> None:
        """Put more entries at the end of the plan; the first that can go out make a draft one
        that will start. `estimated_reach` is that of their posts."""
        self.check_open()
        together = [each for each in (self.estimated_reach, estimated_reach) if each is not None]
        reach = sum(together) if together else None
        status = _before_start(plan) if self.status is CampaignStatus.DRAFT else self.status
        self._extended(self.entries, tuple(plan), reach, status, self.starts_at, self.ends_at)

    def check_open(self) -> None:
        """Raises `Conflict` when nothing can be added to the plan any more."""
        if self.is_over or self.ends_at < now():
            state = self.status if self.is_over else "past its end"
            raise Conflict(f"A campaign that is {state} takes no more posts.", status=self.status)

    def advance(self, at: datetime) -> None:
        """Bring it to where it has to be at an instant, also when that comes late."""
        if self.status is CampaignStatus.SCHEDULED and at >= self.starts_at:
            self._started(self.name)
        if self.status is CampaignStatus.ACTIVE and at >= self.ends_at:
            self._complete(Ending.END_REACHED)

    def settle(self, post_id: UUID, status: PostStatus) -> None:
        """Note what has become of one of its posts. With that it may have reached its end: when
        each of its posts is out or has been taken back. One that has failed can be tried again,
        so it keeps the campaign going until its last day."""
        if self.posts.get(post_id, status) is status:
            return
        self._post_settled(post_id, status)
        left = set(self.posts.values())
        if not self.is_over and PostStatus.PUBLISHED in left <= _SETTLED:
            if self.status is CampaignStatus.SCHEDULED:
                self._started(self.name)
            self._complete(Ending.ALL_POSTS_OUT)

    def spend(self, amount: Decimal, note: str) -> None:
        """Note what was paid for promotion; a negative amount corrects an earlier one."""
        if self.spent + amount < 0:
            message = "No more can be taken back than has been spent."
            raise Invalid(message, field="amount", code="below_zero")
        self._spent(amount, note)

    def cancel(self, reason: str, withdrawn: Sequence[UUID]) -> None:
        """Give it up, with those of its posts that have not gone out."""
        if self.status is CampaignStatus.COMPLETED:
            raise Conflict("A completed campaign cannot be cancelled.", status=self.status)
        if self.status is not CampaignStatus.CANCELLED:
            self._cancelled(reason, tuple(withdrawn))

    def _complete(self, because: Ending) -> None:
        self._completed(self.name, self.total_posts, because)

    def _add(self, plan: Sequence[Entry]) -> None:
        self.entries += len(plan)
        self.total_posts += sum(entry.post_id is not None for entry in plan)
        for entry in plan:
            if entry.post_id is not None and entry.is_sendable:
                self.posts[entry.post_id] = PostStatus.SCHEDULED

    @event(Extended)
    def _extended(
        self,
        first: int,
        plan: tuple[Entry, ...],
        estimated_reach: int | None,
        status: CampaignStatus,
        starts_at: datetime,
        ends_at: datetime,
    ) -> None:
        self.estimated_reach, self.status = estimated_reach, status
        self._add(plan)

    @event(Started)
    def _started(self, name: str) -> None:
        self.status = CampaignStatus.ACTIVE

    @event(PostSettled)
    def _post_settled(self, post_id: UUID, status: PostStatus) -> None:
        self.posts[post_id] = status

    @event(Spent)
    def _spent(self, amount: Decimal, note: str) -> None:
        self.spent += amount

    @event(Completed)
    def _completed(self, name: str, total_posts: int, because: Ending) -> None:
        self.status = CampaignStatus.COMPLETED

    @event(Cancelled)
    def _cancelled(self, reason: str, withdrawn: tuple[UUID, ...]) -> None:
        self.status = CampaignStatus.CANCELLED


_SETTLED = {PostStatus.PUBLISHED, PostStatus.WITHDRAWN}
