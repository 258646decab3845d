"""What is said in public of posts."""

from typing import Annotated

from application.kernel import public_id
from application.social.webhooks.networks import Platforms, networks_of
from application.webhooks.public import (
    AS_BEGUN,
    INTERNAL,
    SOME_ID,
    Emission,
    Emissions,
    Instant,
    Payload,
    Webhook,
    like,
)
from domain.social.engagement import Engagement
from domain.social.posts import Post, PostStatus

PostId = Annotated[str, like(f"post_{SOME_ID}")]


class PostCreated(Payload):
    """A post has been accepted. `status` is `scheduled`, or `failed` when no network allows it."""

    post_id: PostId
    platforms: Platforms
    status: Annotated[str, like("scheduled")]
    created_at: Instant


class PostRescheduled(Payload):
    """A post has been moved to another instant."""

    post_id: PostId
    scheduled_for: Instant


class AnalyticsLink(Payload):
    """Where the post's figures are found; they grow from its publication on."""

    url: Annotated[str, like(f"/api/v1/social/posts/post_{SOME_ID}?include_analytics=true")]


class PostPublished(Payload):
    """A post is out on at least one of its networks."""

    post_id: PostId
    platforms: Platforms
    analytics: Annotated[AnalyticsLink, like(AnalyticsLink.example())]
    published_at: Instant


class PostFailed(Payload):
    """A post that had been scheduled is out on no network."""

    post_id: PostId
    error_message: Annotated[str, like("twitter: The account is suspended.")]
    failed_at: Instant


class PostWithdrawn(Payload):
    """A post has been taken back before it went out."""

    post_id: PostId
    reason: Annotated[str, like("The offer has ended.")]
    withdrawn_at: Instant


POST_CREATED = Webhook("social.post.created", PostCreated)

POST_RESCHEDULED = Webhook("social.post.rescheduled", PostRescheduled)

POST_PUBLISHED = Webhook("social.post.published", PostPublished)

POST_FAILED = Webhook("social.post.failed", PostFailed)

POST_WITHDRAWN = Webhook("social.post.withdrawn", PostWithdrawn)


def _id(event: Post.Event) -> str:
    return public_id("post", event.originator_id)


def _created(event: Post.Drafted) -> PostCreated:
    """Making a post schedules it in the same commit, or fails it when every network's rules
    refuse it: which of the two, the draft knows already."""
    sendable = any(not event.problems.get(network) for network in event.networks)
    return PostCreated(
        post_id=_id(event),
        platforms=list(event.networks),
        status=PostStatus.SCHEDULED if sendable else PostStatus.FAILED,
        created_at=event.timestamp,
    )


def _rescheduled(event: Post.Rescheduled | Post.Scheduled) -> PostRescheduled:
    return PostRescheduled(post_id=_id(event), scheduled_for=event.at)


def _published(event: Post.Published) -> PostPublished:
    link = AnalyticsLink(url=f"/api/v1/social/posts/{_id(event)}?include_analytics=true")
    return PostPublished(
        post_id=_id(event),
        platforms=list(event.networks),
        analytics=link,
        published_at=event.at,
    )


def _failed(event: Post.Failed) -> PostFailed:
    return PostFailed(post_id=_id(event), error_message=event.message, failed_at=event.timestamp)


def _not_on_creation(event: Post.Event) -> bool:
    """What becomes of a post on its creation has been said by its status there."""
    return event.originator_version > 2


def _withdrawn(event: Post.Withdrawn) -> PostWithdrawn:
    return PostWithdrawn(post_id=_id(event), reason=event.reason, withdrawn_at=event.timestamp)


WEBHOOKS = (
    POST_CREATED,
    POST_RESCHEDULED,
    POST_PUBLISHED,
    POST_FAILED,
    POST_WITHDRAWN,
)

EMISSIONS: Emissions = {
    Post.Drafted: [Emission(POST_CREATED, _created, about=networks_of)],
    Post.Scheduled: [
        Emission(POST_RESCHEDULED, _rescheduled, when=_not_on_creation, about=AS_BEGUN)
    ],
    Post.Rescheduled: [Emission(POST_RESCHEDULED, _rescheduled, about=AS_BEGUN)],
    Post.Withdrawn: [Emission(POST_WITHDRAWN, _withdrawn, about=AS_BEGUN)],
    Post.PublicationStarted: INTERNAL,
    Post.PublishedOn: INTERNAL,
    Post.RefusedBy: INTERNAL,
    Post.LeftUnconfirmed: INTERNAL,
    Post.Published: [Emission(POST_PUBLISHED, _published, about=networks_of)],
    Post.Failed: [Emission(POST_FAILED, _failed, when=_not_on_creation, about=AS_BEGUN)],
    Engagement.Began: INTERNAL,
    Engagement.Grew: INTERNAL,
    Engagement.CommentReceived: INTERNAL,
}
