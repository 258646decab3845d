"""What is said in public of accounts on networks."""

from typing import Annotated

from application.kernel import public_id
from application.social.webhooks.networks import Platform, network_of
from application.webhooks.public import (
    INTERNAL,
    SOME_ID,
    Emission,
    Emissions,
    Instant,
    Payload,
    Webhook,
    like,
)
from domain.social.connections import Connection

ConnectionId = Annotated[str, like(f"conn_{SOME_ID}")]


class PlatformConnected(Payload):
    """A network account has been linked."""

    platform: Platform
    connection_id: ConnectionId


class PlatformDisconnected(Payload):
    """A network account has been unlinked."""

    platform: Platform
    connection_id: ConnectionId
    data_deleted: Annotated[bool, like(False)]
    tokens_revoked: Annotated[bool, like(True)]
    disconnected_at: Instant


PLATFORM_CONNECTED = Webhook("social.platform.connected", PlatformConnected)

PLATFORM_DISCONNECTED = Webhook("social.platform.disconnected", PlatformDisconnected)


def _connected(event: Connection.Connected) -> PlatformConnected:
    return PlatformConnected(
        platform=event.network, connection_id=public_id("conn", event.link.connection_id)
    )


def _disconnected(event: Connection.Disconnected) -> PlatformDisconnected:
    return PlatformDisconnected(
        platform=event.network,
        connection_id=public_id("conn", event.connection_id),
        data_deleted=event.data_deleted,
        tokens_revoked=event.tokens_revoked,
        disconnected_at=event.timestamp,
    )


WEBHOOKS = (
    PLATFORM_CONNECTED,
    PLATFORM_DISCONNECTED,
)

EMISSIONS: Emissions = {
    Connection.Opened: INTERNAL,
    Connection.Requested: INTERNAL,
    Connection.Connected: [Emission(PLATFORM_CONNECTED, _connected, about=network_of)],
    Connection.Refused: INTERNAL,
    Connection.Refreshed: INTERNAL,
    Connection.Expired: INTERNAL,
    Connection.Disconnected: [Emission(PLATFORM_DISCONNECTED, _disconnected, about=network_of)],
    Connection.DataErased: INTERNAL,
}
