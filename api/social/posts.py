"""Endpoints 1 and 2 of the engagement contract, and what one can do to a post afterwards."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self, cast
from uuid import UUID

from pydantic import BaseModel, PrivateAttr

from api.kernel import EVERYONE, WRITERS, AtDesk, AtReads, Router
from api.paths import path_id
from api.waiting import WithPatience
from application.kernel import Answer, public_id
from application.social.posts import CreatePost, RetryPost, SchedulePost, WithdrawPost
from domain.social.networks import Network
from domain.social.posts import Outcome, Post, PostStatus
from projections.social.posts import post_detail

router = Router(prefix="/api/v1/social/posts", tags=["Social posts"])

PostId = Annotated[UUID, path_id("post")]
Status = Literal["draft", "scheduled", "published", "failed", "unconfirmed", "withdrawn"]


class SocialPostCreateResponse(BaseModel):
    """A post as it stands after the call; `platform_results` tells each network's part."""

    success: bool
    post_id: str
    status: Status
    platform_results: dict[Network, dict[str, Any]]
    scheduled_for: datetime | None
    ai_optimizations: dict[Network, str] | None
    analytics_url: str | None
    created_at: datetime
    error_message: str | None

    @classmethod
    def of(cls, post: Post) -> "SocialPostCreateResponse":
        outside = public_id("post", post.id)
        return cls.model_construct(
            success=post.status is not PostStatus.FAILED,
            post_id=outside,
            status=shown(post.status),
            platform_results={n: _result(post, n, o) for n, o in post.outcomes.items()},
            scheduled_for=post.scheduled_for,
            ai_optimizations=post.texts if post.optimised else None,
            analytics_url=f"/api/v1/social/posts/{outside}?include_analytics=true",
            created_at=post.created_on,
            error_message=post.error,
        )


class SocialPostAnalytics(BaseModel):
    """Engagement of one post over all its networks."""

    total_views: int = 0
    total_likes: int = 0
    total_shares: int = 0
    total_comments: int = 0
    engagement_rate: float = 0.0
    platform_breakdown: dict[str, dict[str, int]]
    best_performing_platform: str | None = None
    sentiment_score: float | None = None

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        per_network: dict[str, dict[str, int]] = row["engagement"] or {}
        total = {
            name: sum(figures[name] for figures in per_network.values())
            for name in ("views", "likes", "shares", "comments")
        }
        reactions = {n: f["likes"] + f["shares"] + f["comments"] for n, f in per_network.items()}
        views = total["views"]
        return cls(
            total_views=views,
            total_likes=total["likes"],
            total_shares=total["shares"],
            total_comments=total["comments"],
            engagement_rate=round(sum(reactions.values()) / views, 4) if views else 0.0,
            platform_breakdown=per_network,
            best_performing_platform=max(reactions, key=reactions.__getitem__, default=None),
            sentiment_score=row["sentiment"],
        )


class SocialPostDetailResponse(BaseModel):
    """One post, with its figures and a sample of comments when asked for."""

    post_id: str
    content: str
    platforms: list[Network]
    media_urls: list[str]
    status: Status
    published_at: datetime | None
    scheduled_for: datetime | None
    analytics: SocialPostAnalytics | None = None
    comments_preview: list[dict[str, Any]] | None = None
    created_at: datetime
    updated_at: datetime

    _version: int = PrivateAttr()

    @classmethod
    def of(cls, row: dict[str, Any], *, analytics: bool) -> Self:
        detail = cls(
            post_id=public_id("post", row["id"]),
            content=row["content"],
            platforms=row["networks"],
            media_urls=row["media_urls"],
            status=shown(PostStatus(row["status"])),
            published_at=row["published_at"],
            scheduled_for=row["scheduled_for"],
            analytics=SocialPostAnalytics.of(row) if analytics else None,
            comments_preview=row["comments_preview"],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
        )
        detail._version = row["version"]
        return detail


@router.post("", id="social.posts.create", roles=WRITERS, limit="100/hour")
async def create_post(
    command: CreatePost, desk: AtDesk, patience: WithPatience
) -> Answer[SocialPostCreateResponse]:
    """Write a post and publish it on several networks, now or later.

    The post is accepted at once; the answer waits up to a second for the networks' outcomes
    (`Prefer: respond-async` or `wait=` change that), and shows `scheduled` until they are known.
    """
    answer = await desk.create(command, SocialPostCreateResponse.of)
    if command.scheduled_for is not None:
        return answer
    return await patience.for_outcome(
        desk, Post, answer, lambda post: post.settled, SocialPostCreateResponse.of
    )


@router.get("/{post_id}", id="social.posts.read", roles=EVERYONE, limit="300/hour")
async def read_post(
    id: PostId, reads: AtReads, include_analytics: bool = True, include_comments: bool = False
) -> SocialPostDetailResponse:
    """One post with its engagement figures."""
    row = await reads.one(post_detail(id, include_comments), "post")
    return SocialPostDetailResponse.of(row, analytics=include_analytics)


@router.post("/{post_id}/schedule", id="social.posts.schedule", roles=WRITERS, limit="100/hour")
async def schedule_post(
    id: PostId, command: SchedulePost, desk: AtDesk
) -> Answer[SocialPostCreateResponse]:
    """Move a post that has not gone out to another instant."""
    return await desk.change(Post, id, command, SocialPostCreateResponse.of)


@router.post("/{post_id}/withdraw", id="social.posts.withdraw", roles=WRITERS, limit="100/hour")
async def withdraw_post(
    id: PostId, command: WithdrawPost, desk: AtDesk
) -> Answer[SocialPostCreateResponse]:
    """Take a post back before it goes out."""
    return await desk.change(Post, id, command, SocialPostCreateResponse.of)


@router.post("/{post_id}/retry", id="social.posts.retry", roles=WRITERS, limit="100/hour")
async def retry_post(
    id: PostId, command: RetryPost, desk: AtDesk
) -> Answer[SocialPostCreateResponse]:
    """Publish again, to those networks alone that refused it."""
    return await desk.change(Post, id, command, SocialPostCreateResponse.of)


def shown(status: PostStatus) -> Status:
    """The contract's word for it: a post on its way is still scheduled."""
    return "scheduled" if status is PostStatus.PUBLISHING else cast(Status, status.value)


def _result(post: Post, network: Network, outcome: Outcome) -> dict[str, Any]:
    result: dict[str, Any] = {
        "status": outcome.status,
        "provider": outcome.provider,
        "post_id": outcome.network_post_id,
        "url": outcome.url,
        "published_at": outcome.at,
        "error": {"code": outcome.code, "message": outcome.message} if outcome.message else None,
    }
    if problems := post.problems.get(network):
        result["problems"] = [{"code": p.code, "message": p.message} for p in problems]
    return result
