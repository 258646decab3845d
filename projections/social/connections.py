"""Connected accounts as people look at them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from domain.social.connections import Connection, ConnectionStatus
from domain.social.networks import Network
from projections.kernel import DomainEvent, Query, ReadModel, Rows, Table

CONNECTIONS = Table(
    "social_connections",
    {
        "user_id": str,
        "platform": str,
        "provider": str,
        "account_id": str | None,
        "account_name": str | None,
        "permissions": list[str],
        "webhook_url": str | None,
        "status": str,
        "error": str | None,
        "expires_at": datetime | None,
        "created_at": datetime,
        "updated_at": datetime,
    },
    key={"connection_id": UUID},
    indexes=[("platform", "status")],
)

HOLDERS = Table(
    "network_account_holders",
    {"network": str, "account_id": str},
    key={"connection_id": UUID},
    indexes=["(network, account_id)"],
    walled=False,
)
"""Whose the accounts are that a real network has confirmed. Apart from the rest and outside the
wall, since a network tells of an account, and not of tenants."""


class Connections(ReadModel):
    """One row for each account that is connected, waits for its network, or has expired."""

    name = "social_connections"
    version = 2
    tables = (CONNECTIONS, HOLDERS)
    events = (
        Connection.Requested,
        Connection.Connected,
        Connection.Refused,
        Connection.Refreshed,
        Connection.Expired,
        Connection.Disconnected,
    )

    def project(self, event: DomainEvent, rows: Rows) -> None:
        row, at = rows(CONNECTIONS), event.timestamp
        match event:
            case Connection.Requested(link=link):
                row[link.connection_id].put(**_linked(event, ConnectionStatus.PENDING))
            case Connection.Connected(link=link, account_id=account_id, account_name=name):
                linked = _linked(event, ConnectionStatus.ACTIVE)
                row[link.connection_id].put(**linked, account_name=name)
                if link.provider == event.network:
                    holder = rows(HOLDERS)[link.connection_id]
                    holder.put(network=event.network, account_id=account_id)
            case Connection.Refreshed(connection_id=id, expires_at=expires_at):
                row[id].update(
                    status=ConnectionStatus.ACTIVE, error=None, expires_at=expires_at, updated_at=at
                )
            case Connection.Expired(connection_id=id, reason=reason):
                row[id].update(status=ConnectionStatus.EXPIRED, error=reason, updated_at=at)
            case Connection.Refused(connection_id=id) | Connection.Disconnected(connection_id=id):
                row[id].delete()
                rows(HOLDERS)[id].delete()


def _linked(
    event: Connection.Requested | Connection.Connected, status: ConnectionStatus
) -> dict[str, Any]:
    link = event.link
    return {
        "user_id": event.actor,
        "platform": event.network,
        "provider": link.provider,
        "account_id": event.account_id,
        "permissions": list(link.permissions),
        "webhook_url": link.webhook_url,
        "status": status,
        "expires_at": link.expires_at,
        "created_at": link.at,
        "updated_at": event.timestamp,
    }


def connections(network: Network | None = None) -> Query[dict[str, Any]]:
    """The tenant's accounts, by network and age; few enough to be listed whole."""
    return Query(
        Connections,
        """
        SELECT * FROM read.social_connections c
        WHERE c.tenant = %(tenant)s AND (%(network)s::text IS NULL OR c.platform = %(network)s)
        ORDER BY c.platform, c.created_at, c.connection_id
        """,
        {"network": network},
    )
