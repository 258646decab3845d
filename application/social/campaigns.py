"""What may be asked of campaigns."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from application.instants import Instant
from application.kernel import Command, Desk
from application.screens import ScreenedText, SingleLine
from application.social.content_plan import (
    Brief,
    FreeForm,
    FreeKey,
    Hashtags,
    Plan,
    PlanEntry,
    Planned,
    planned,
    screened,
)
from application.social.placement import Occupied
from application.social.posts import Networks
from application.social.schedules import Surroundings, entered
from application.social.tracking import TrackedUrl
from domain.kernel import Aggregate, Invalid, now
from domain.money import minor_units
from domain.social.campaigns import Campaign, Objective
from domain.social.networks import Network
from domain.social.posts import Post, PostStatus

MOST_MONEY = 10**12
"""What an amount has to stay below: a JSON number is exact so far, decimals included."""


def _number(value: Any) -> Any:
    if isinstance(value, bool | str):
        raise ValueError("A number")
    return value


def _amount(value: Decimal) -> Decimal:
    if abs(value) >= MOST_MONEY:
        raise ValueError(f"An amount below {MOST_MONEY}")
    return value


def _said(name: str) -> str:
    if not name.strip():
        raise ValueError("It must not be blank")
    return screened(name)


Name = Annotated[SingleLine, Field(min_length=1, max_length=200), AfterValidator(_said)]
Money = Annotated[Decimal, BeforeValidator(_number), AfterValidator(_amount)]
Reaches = Mapping[Network, float]
"""What a post of the tenant typically reaches, by network; those without history are missing."""


class CampaignRequest(Command):
    """Set up a campaign, with its posts: all of them, or nothing.

    Naive times mean UTC. `budget` is in the currency of the installation. Entries of
    `content_plan` are `PlanEntry`s; without any `content` in them the campaign is a draft.
    """

    name: Name
    objective: Objective
    platforms: Networks
    content_plan: Plan
    target_audience: Annotated[dict[FreeKey, FreeForm], Field(max_length=100)]
    budget: (
        Annotated[
            Money,
            Field(gt=0),
            WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": MOST_MONEY}),
        ]
        | None
    ) = None
    start_date: Instant
    end_date: Instant
    hashtags: Hashtags = []
    tracking_urls: Annotated[dict[FreeKey, TrackedUrl], Field(max_length=50)] | None = None
    ai_optimization: bool = True

    @field_validator("end_date")
    @classmethod
    def _in_order(cls, end: datetime, info: ValidationInfo) -> datetime:
        start = info.data.get("start_date")
        if start is not None and end < start:
            raise ValueError("The end lies before the start")
        return end


class ExtendRequest(Command):
    """Put more entries into a campaign's content plan: all of them, or none."""

    content_plan: Annotated[Plan, Field(min_length=1)]


class CancelCampaignRequest(Command):
    """Give a campaign up, with what has not gone out."""

    reason: Annotated[ScreenedText, Field(max_length=500)] = ""


class RecordSpending(Command):
    """Note what was paid for promotion, in the campaign's currency; a negative amount corrects."""

    amount: Annotated[Money, WithJsonSchema({"type": "number"})]
    note: Annotated[ScreenedText, Field(max_length=500)] = ""

    def handle(self, campaign: Campaign) -> None:
        campaign.spend(_in_minor_units(self.amount, campaign.currency, "amount"), self.note)


@dataclass(frozen=True)
class CreateCampaign:
    """The request, with what was found around it; what comes of it begins with the campaign."""

    request: CampaignRequest
    around: Surroundings
    currency: str
    typical: Reaches

    def handle(self) -> Sequence[Aggregate]:
        asked, money = self.request, self.request.budget
        if asked.end_date < now():
            raise Invalid("The end has passed.", field="end_date", code="in_the_past")
        brief = Brief(
            asked.name,
            tuple(asked.platforms),
            tuple(asked.hashtags),
            asked.tracking_urls or {},
            asked.ai_optimization,
            asked.start_date,
            asked.end_date,
        )
        plan = _planned(brief, asked.content_plan, self.around)
        campaign = Campaign(
            name=brief.name,
            objective=asked.objective,
            networks=brief.networks,
            plan=tuple(plan.entries),
            target_audience=asked.target_audience,
            budget=None if money is None else _in_minor_units(money, self.currency, "budget"),
            currency=self.currency,
            starts_at=brief.starts_at,
            ends_at=brief.ends_at,
            hashtags=brief.hashtags,
            links=dict(brief.addresses),
            optimised=brief.optimised,
            estimated_reach=plan.reach(self.typical),
        )
        campaign.advance(now())
        return [campaign, *plan.posts, *entered(self.around.calendar, plan.posts)]


@dataclass(frozen=True)
class ExtendCampaign:
    """The request, with the campaign and what was found around it."""

    request: ExtendRequest
    campaign: Campaign
    around: Surroundings
    typical: Reaches

    def handle(self) -> Sequence[Aggregate]:
        campaign = self.campaign
        campaign.check_open()
        brief = Brief(
            campaign.name,
            campaign.networks,
            campaign.hashtags,
            campaign.links,
            campaign.optimised,
            campaign.starts_at,
            campaign.ends_at,
        )
        plan = _planned(brief, self.request.content_plan, self.around)
        campaign.extend(plan.entries, plan.reach(self.typical))
        campaign.advance(now())
        return [campaign, *plan.posts, *entered(self.around.calendar, plan.posts)]


@dataclass(frozen=True)
class CancelCampaign:
    """The request, with the campaign and those of its posts that may not have gone out."""

    request: CancelCampaignRequest
    campaign: Campaign
    posts: Sequence[Post]

    def handle(self) -> Sequence[Aggregate]:
        campaign = self.campaign
        scheduled = [post for post in self.posts if post.status is PostStatus.SCHEDULED]
        if campaign.is_over:
            scheduled = []
        for post in scheduled:
            post.withdraw(self.request.reason)
        campaign.cancel(self.request.reason, [post.id for post in scheduled])
        return [campaign, *scheduled]


class AdvanceCampaign(Command):
    """The clock has come to an instant."""

    at: datetime

    def handle(self, campaign: Campaign) -> None:
        campaign.advance(max(self.at, now()))


class SettlePost(Command):
    """What has become of one of the campaign's posts."""

    post_id: UUID
    status: PostStatus

    def handle(self, campaign: Campaign) -> None:
        campaign.settle(self.post_id, self.status)


async def waiting_posts(desk: Desk, campaign: Campaign) -> list[Post]:
    """The posts of a campaign that have not gone out, as far as it knows."""
    return await asyncio.gather(*(desk.get(Post, id) for id in campaign.waiting))


def _planned(brief: Brief, plan: Sequence[PlanEntry], around: Surroundings) -> Planned:
    return planned(brief, plan, now(), Occupied(around.taken), around.times)


def _in_minor_units(amount: Decimal, currency: str, field: str) -> Decimal:
    try:
        return minor_units(amount, currency)
    except ValueError as error:
        raise Invalid(str(error), field=field, code="too_many_decimals") from None
