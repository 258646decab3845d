"""What follows from the events of the social context."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from application.kernel import Job, Policy
from application.social.connecting import VERIFY_AGAIN, renew_at, renewal, verification
from application.social.publishing import PUBLISHER, measure
from domain.kernel import DomainEvent
from domain.social.connections import Connection
from domain.social.posts import Post


def publish_when_due(event: Post.Scheduled | Post.Rescheduled) -> Iterable[Job]:
    """The clock, not the caller, publishes; an instant of the past is due at once."""
    yield Job(
        "social.publish_post",
        {
            "tenant": event.tenant,
            "post_id": event.originator_id.hex,
            "due": event.at.isoformat(),
            "planned": int(event.at > event.timestamp),
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


def ask_about_account(event: Connection.Requested) -> Iterable[Job]:
    """The network did not answer when the account was connected."""
    at = event.timestamp + timedelta(seconds=VERIFY_AGAIN[0])
    yield verification(event.tenant, event.network, event.link.connection_id, 1, at=at)


def renew_in_time(event: Connection.Connected | Connection.Refreshed) -> Iterable[Job]:
    """Tokens are renewed before they end."""
    match event:
        case Connection.Connected(link=link):
            id, end = link.connection_id, link.expires_at
        case Connection.Refreshed(connection_id=id, expires_at=end):
            pass
    if end is not None:
        at = renew_at(event.timestamp, end)
        yield renewal(event.tenant, event.network, id, end, at=at)


def forget_secrets(
    event: Connection.Disconnected | Connection.Refused | Connection.Expired,
) -> Iterable[Job]:
    """What is of no use any more is not kept; the request may have died before it could see to
    that."""
    yield Job(
        "social.forget_credentials",
        {
            "tenant": event.tenant,
            "network": event.network.value,
            "connection_id": event.connection_id.hex,
        },
    )


def erase_network_data(event: Connection.DataErased) -> Iterable[Job]:
    """Read models fold the event; what lies beside the log follows here."""
    yield Job("social.erase_network_data", {"tenant": event.tenant, "network": event.network.value})


POLICIES: Mapping[type[DomainEvent], Policy] = {
    Post.Scheduled: publish_when_due,
    Post.Rescheduled: publish_when_due,
    Post.PublicationStarted: try_again,
    Post.Published: watch_engagement,
    Connection.Requested: ask_about_account,
    Connection.Connected: renew_in_time,
    Connection.Refreshed: renew_in_time,
    Connection.Disconnected: forget_secrets,
    Connection.Refused: forget_secrets,
    Connection.Expired: forget_secrets,
    Connection.DataErased: erase_network_data,
}
