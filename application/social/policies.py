"""What follows from the events of the social context."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from application.kernel import Job, Policy
from application.social.callbacks import follow_callbacks
from application.social.campaigning import keep_to_dates, tell_campaign
from application.social.connecting import VERIFY_AGAIN, renew_at, renewal, verification
from application.social.mentions import LOOK_BACK, beginning
from application.social.notices import subscribe_connected
from application.social.publishing import PUBLISHER, measure
from application.social.responding import post_draft
from application.social.trend_watching import look_again, look_at_once, want_trends
from domain.kernel import DomainEvent
from domain.social.campaigns import Campaign
from domain.social.connections import Connection
from domain.social.posts import Post
from domain.social.responses import Response
from domain.social.trends import TrendDay, TrendWatch


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


def follow_published(event: Post.Published) -> Iterable[Job]:
    """People answer most in the first minutes, and who posts is spoken of: the networks are
    listened to from then on."""
    yield measure(event.tenant, event.originator_id, event.timestamp, 0)
    yield from tell_campaign(event)
    for network in event.networks:
        yield beginning(event.tenant, network, event.at)


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


def follow_connected(event: Connection.Connected) -> Iterable[Job]:
    """An account is kept connected, and listened to: also what was said in the days before."""
    yield from renew_in_time(event)
    yield from subscribe_connected(event)
    yield from follow_callbacks(event)
    yield beginning(event.tenant, event.network, event.timestamp - LOOK_BACK, anew=True)


def follow_disconnected(event: Connection.Disconnected) -> Iterable[Job]:
    """Its secrets go, and with the last account the listening."""
    yield from forget_secrets(event)
    yield from follow_callbacks(event)
    yield Job("social.stop_listening", {"tenant": event.tenant, "network": event.network.value})


def erase_network_data(event: Connection.DataErased) -> Iterable[Job]:
    """Read models fold the event; what lies beside the log follows here."""
    yield Job("social.erase_network_data", {"tenant": event.tenant, "network": event.network.value})


POLICIES: Mapping[type[DomainEvent], Policy] = {
    Post.Scheduled: publish_when_due,
    Post.Rescheduled: publish_when_due,
    Post.PublicationStarted: try_again,
    Post.Published: follow_published,
    Post.Withdrawn: tell_campaign,
    Campaign.SetUp: keep_to_dates,
    Campaign.Extended: keep_to_dates,
    Response.Drafted: post_draft,
    Response.Redrafted: post_draft,
    Post.PublishedOn: want_trends,
    TrendWatch.Began: look_at_once,
    TrendWatch.Wanted: look_at_once,
    TrendWatch.PlaceAdded: look_at_once,
    TrendDay.Observed: look_again,
    Connection.Requested: ask_about_account,
    Connection.Connected: follow_connected,
    Connection.Refreshed: renew_in_time,
    Connection.Disconnected: follow_disconnected,
    Connection.Refused: forget_secrets,
    Connection.Expired: forget_secrets,
    Connection.DataErased: erase_network_data,
}
