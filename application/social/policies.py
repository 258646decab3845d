"""What follows from the events of the social context."""

from collections.abc import Iterable, Mapping

from application.kernel import Job, Policy
from application.social.publishing import PUBLISHER, measure
from domain.kernel import DomainEvent
from domain.social.posts import Post


def publish_when_due(event: Post.Scheduled | Post.Rescheduled) -> Iterable[Job]:
    """The clock, not the caller, publishes; an instant of the past is due at once."""
    yield Job(
        "social.publish_post",
        {
            "tenant": event.tenant,
            "post_id": event.originator_id.hex,
            "due": event.at.isoformat(),
        },
        at=event.at,
        lock=f"post:{event.originator_id}",
    )


def try_again(event: Post.PublicationStarted) -> Iterable[Job]:
    """A caller had the refusing networks tried again; they are asked first what they hold."""
    if event.actor != PUBLISHER:
        yield Job(
            "social.settle_post",
            {"tenant": event.tenant, "post_id": event.originator_id.hex, "asked": 0},
            lock=f"post:{event.originator_id}",
        )


def watch_engagement(event: Post.Published) -> Iterable[Job]:
    """People answer most in the first minutes."""
    yield measure(event.tenant, event.originator_id, event.timestamp, 0)


POLICIES: Mapping[type[DomainEvent], Policy] = {
    Post.Scheduled: publish_when_due,
    Post.Rescheduled: publish_when_due,
    Post.PublicationStarted: try_again,
    Post.Published: watch_engagement,
}
