"""Which networks something is about."""

from collections.abc import Collection
from typing import Annotated

from application.webhooks.public import like
from domain.social.campaigns import Campaign
from domain.social.connections import Connection
from domain.social.mentions import Mention
from domain.social.posts import Post
from domain.social.responses import Response
from domain.social.trends import Trend

Platform = Annotated[str, like("linkedin")]

Platforms = Annotated[list[str], like(["twitter", "linkedin"])]


def network_of(
    event: Connection.Connected | Connection.Disconnected | Mention.Detected | Response.Posted,
) -> Collection[str]:
    return (event.network,)


def networks_of(
    event: Post.Drafted | Post.Published | Campaign.SetUp | Trend.Detected,
) -> Collection[str]:
    return event.networks
