"""A campaign's dashboard as it goes over the wire."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, PrivateAttr

from api.social.posts import Status, shown
from application.kernel import public_id
from application.social.figures import rate
from application.social.tracking import by_network
from application.webhooks.public import Number
from domain.money import amount_of
from domain.social.campaigns import CampaignStatus, Ending, Objective
from domain.social.networks import Network, preflight
from domain.social.posts import OutcomeStatus, PostStatus

FIGURES = ("impressions", "reach", "views", "likes", "shares", "comments")


class CampaignProgress(BaseModel):
    """How many posts stand where. `share_out` (0 to 1) is how many of those are out that have not
    been taken back."""

    total_posts: int
    scheduled: int
    published: int
    unconfirmed: int
    failed: int
    withdrawn: int
    share_out: float

    @classmethod
    def of(cls, posts: Iterable[Mapping[str, Any]]) -> Self:
        stand = Counter(shown(PostStatus(post["status"])) for post in posts)
        left = stand.total() - stand["withdrawn"]
        return cls(
            total_posts=stand.total(),
            scheduled=stand["scheduled"],
            published=stand["published"],
            unconfirmed=stand["unconfirmed"],
            failed=stand["failed"],
            withdrawn=stand["withdrawn"],
            share_out=round(stand["published"] / left, 4) if left else 0.0,
        )


class CampaignFigures(BaseModel):
    """What the posts that are out have brought; the rate is engagement per impression."""

    posts_out: int
    impressions: int
    reach: int
    views: int
    likes: int
    shares: int
    comments: int
    engagement_rate: float

    @classmethod
    def of(cls, posts_out: int, sums: Mapping[str, int]) -> Self:
        figures = {name: int(sums.get(name, 0)) for name in FIGURES}
        engagement = figures["likes"] + figures["shares"] + figures["comments"]
        return cls(
            posts_out=posts_out,
            engagement_rate=rate(engagement, figures["impressions"]),
            **figures,
        )


class CampaignMoney(BaseModel):
    """What was set aside for promotion and what has been spent, also in minor units."""

    currency: str
    budget: Number | None
    budget_minor: int | None
    spent: Number
    spent_minor: int
    remaining: Number | None

    @classmethod
    def of(cls, currency: str, budget: Decimal | None, spent: Decimal) -> Self:
        left = None if budget is None else budget - spent
        return cls(
            currency=currency,
            budget=None if budget is None else amount_of(budget, currency),
            budget_minor=None if budget is None else int(budget),
            spent=amount_of(spent, currency),
            spent_minor=int(spent),
            remaining=None if left is None else amount_of(left, currency),
        )


class PlannedPost(BaseModel):
    """The post that came of an entry of the plan. `problems` says, for each network that will not
    take it, what its rules are against."""

    post_id: str
    status: Status
    platforms: list[Network]
    texts: dict[Network, str]
    scheduled_for: datetime | None
    published_at: datetime | None
    platform_results: dict[Network, dict[str, Any]]
    problems: dict[Network, list[dict[str, str]]]
    error_message: str | None

    @classmethod
    def of(cls, post: Mapping[str, Any]) -> Self:
        return cls(
            post_id=public_id("post", UUID(post["id"])),
            status=shown(PostStatus(post["status"])),
            platforms=post["platforms"],
            texts=post["texts"],
            scheduled_for=post["scheduled_for"],
            published_at=post["published_at"],
            platform_results=post["outcomes"],
            problems=_problems(post),
            error_message=post["error"],
        )


class PlannedEntry(BaseModel):
    """An entry of the plan as it was given, and its post; a note has none."""

    entry: dict[str, Any]
    post: PlannedPost | None


class CampaignDetail(BaseModel):
    """A campaign as it stands. `tracking_links` holds each tracked address as it is used on each
    network, by the names of `tracking_urls`."""

    campaign_id: str
    name: str
    objective: Objective
    status: CampaignStatus
    platforms: list[Network]
    start_date: datetime
    end_date: datetime
    started_at: datetime | None
    completed_at: datetime | None
    completed_because: Ending | None
    progress: CampaignProgress
    figures: CampaignFigures
    platform_breakdown: dict[Network, CampaignFigures]
    estimated_reach: int | None
    money: CampaignMoney
    tracking_links: dict[str, dict[Network, str]]
    hashtags: list[str]
    target_audience: dict[str, Any]
    ai_optimization: bool
    content_plan: list[PlannedEntry]
    created_at: datetime
    updated_at: datetime

    _version: int = PrivateAttr()

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        networks, sums = [Network(each) for each in row["networks"]], row["engagement"]
        posts = {post["entry"]: post for post in row["posts"]}
        detail = cls(
            campaign_id=public_id("camp", row["id"]),
            name=row["name"],
            objective=row["objective"],
            status=row["status"],
            platforms=networks,
            start_date=row["starts_at"],
            end_date=row["ends_at"],
            started_at=row["started_at"],
            completed_at=row["completed_at"],
            completed_because=row["ended_because"],
            progress=CampaignProgress.of(posts.values()),
            figures=CampaignFigures.of(
                sum(post["published_at"] is not None for post in posts.values()),
                {name: sum(each[name] for each in sums.values()) for name in FIGURES},
            ),
            platform_breakdown={
                network: CampaignFigures.of(
                    sum(_is_out(post, network) for post in posts.values()), sums.get(network, {})
                )
                for network in networks
            },
            estimated_reach=row["estimated_reach"],
            money=CampaignMoney.of(row["currency"], row["budget"], row["spent"]),
            tracking_links=by_network(row["tracking_urls"], networks, row["name"]),
            hashtags=row["hashtags"],
            target_audience=row["target_audience"],
            ai_optimization=row["optimised"],
            content_plan=[
                PlannedEntry(entry=given, post=PlannedPost.of(posts[n]) if n in posts else None)
                for n, given in enumerate(row["content_plan"])
            ],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
        )
        detail._version = row["version"]
        return detail


def _problems(post: Mapping[str, Any]) -> dict[Network, list[dict[str, str]]]:
    beside = post["media_urls"], post["hashtags"], post["mentions"]
    found = {n: preflight(Network(n), text, *beside) for n, text in post["texts"].items()}
    return {
        Network(n): [{"code": each.code, "message": each.message} for each in problems]
        for n, problems in found.items()
        if problems
    }


def _is_out(post: Mapping[str, Any], network: Network) -> bool:
    outcome = post["outcomes"].get(network, {})
    return bool(outcome.get("status") == OutcomeStatus.PUBLISHED)
