"""Endpoints 5 and 6 of the engagement contract: accounts of social networks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import Depends, Request
from pydantic import BaseModel

from api.kernel import ADMINS, AtDesk, AtReads, Router
from api.paths import in_path
from api.requests import house
from application.kernel import Answer, public_id
from application.social.accounts import Identity, NotAccepted, NotAnswered
from application.social.connecting import Connecting, Outcome
from application.social.connections import ConnectPlatform
from domain.kernel import Invalid
from domain.social.connections import Connection
from domain.social.networks import Network
from projections.social.connections import connections

router = Router(prefix="/api/v1/social/platforms", tags=["Social platforms"])

PATH = "/api/v1/social/platforms/"


def _network(text: str) -> Network:
    try:
        return Network(text.lower())
    except ValueError:
        known = ", ".join(Network)
        raise Invalid(f"There is no such network; known are {known}.", field="platform") from None


Platform = Annotated[Network, in_path("platform", _network, Network)]


async def _connecting(request: Request) -> Connecting:
    return house(request).connecting


AtConnecting = Annotated[Connecting, Depends(_connecting)]


class SocialPlatformConnectResponse(BaseModel):
    """What became of a request to connect. `pending`: the network has not answered yet, and is
    asked again; `failed`: it does not take the credentials, and nothing was kept."""

    success: bool
    platform: Network
    connection_id: str
    account_info: dict[str, Any]
    permissions_granted: list[str]
    status: Literal["active", "pending", "failed"]
    connected_at: datetime
    expires_at: datetime | None
    error_message: str | None

    @classmethod
    def of(cls, network: Network, outcome: Outcome) -> Self:
        match outcome.found:
            case Identity() as found:
                info = {"id": found.account_id, "name": found.name, **found.facts}
                return cls._made(network, outcome, "active", info, None)
            case NotAnswered(message=message):
                return cls._made(network, outcome, "pending", {}, message)
            case NotAccepted(message=message):
                return cls._made(network, outcome, "failed", {}, message)

    @classmethod
    def _made(
        cls,
        network: Network,
        outcome: Outcome,
        status: Literal["active", "pending", "failed"],
        info: Mapping[str, Any],
        error: str | None,
    ) -> Self:
        return cls(
            success=status != "failed",
            platform=network,
            connection_id=public_id("conn", outcome.connection_id),
            account_info={"provider": outcome.provider, **info},
            permissions_granted=list(outcome.permissions) if status == "active" else [],
            status=status,
            connected_at=outcome.at,
            expires_at=outcome.expires_at,
            error_message=error,
        )


class SocialPlatformDisconnectResponse(BaseModel):
    """`tokens_revoked`: the network has confirmed it for every account."""

    success: bool
    platform: Network
    data_deleted: bool
    tokens_revoked: bool
    disconnected_at: datetime


class ConnectedAccount(BaseModel):
    """One account, and where it stands."""

    connection_id: str
    platform: Network
    provider: str
    account_id: str | None
    account_name: str | None
    permissions: list[str]
    webhook_url: str | None
    status: Literal["active", "pending", "expired"]
    error_message: str | None
    connected_by: str
    connected_at: datetime
    expires_at: datetime | None
    updated_at: datetime

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            connection_id=public_id("conn", row["connection_id"]),
            error_message=row["error"],
            connected_by=row["user_id"],
            connected_at=row["created_at"],
            **{name: row[name] for name in cls.model_fields if name in row and name not in _OTHER},
        )


_OTHER = frozenset({"connection_id", "error_message", "connected_by", "connected_at"})


class ConnectedAccounts(BaseModel):
    """Every account of the tenant."""

    accounts: list[ConnectedAccount]


@router.get("", id="social.platforms.list", roles=ADMINS, limit="300/hour")
async def list_platforms(reads: AtReads, platform: Network | None = None) -> ConnectedAccounts:
    """The connected accounts, of one network or of all."""
    rows = await reads.all(connections(platform))
    return ConnectedAccounts(accounts=[ConnectedAccount.of(row) for row in rows])


@router.post("/{platform}/connect", id="social.platforms.connect", roles=ADMINS, limit="20/hour")
async def connect_platform(
    platform: Platform, command: ConnectPlatform, desk: AtDesk, connecting: AtConnecting
) -> Answer[SocialPlatformConnectResponse]:
    """Link an account of a network, after asking the network whose the credentials are.

    The credentials are encrypted before they are stored, and never shown again. The same account
    again replaces the older link. Without registration with the network the sandbox stands in.
    `webhook_url` becomes a webhook endpoint that is told what is about the network; its secret is
    had by `rotate-secret`. Connecting again without one, or disconnecting, removes it.
    """
    if command.platform is not platform:
        message = f"The path says {platform}, the body {command.platform}."
        raise Invalid(message, field="platform", code="platform_mismatch")
    return await connecting.connect(
        desk, command, lambda outcome: SocialPlatformConnectResponse.of(platform, outcome)
    )


@router.delete("/{platform}", id="social.platforms.disconnect", roles=ADMINS, limit="20/hour")
async def disconnect_platform(
    platform: Platform,
    desk: AtDesk,
    connecting: AtConnecting,
    delete_data: bool = False,
    revoke_tokens: bool = True,
) -> Answer[SocialPlatformDisconnectResponse]:
    """Cut every account of a network, and forget its credentials."""

    def answer(connection: Connection, revoked: bool) -> SocialPlatformDisconnectResponse:
        return SocialPlatformDisconnectResponse(
            success=True,
            platform=platform,
            data_deleted=delete_data,
            tokens_revoked=revoked,
            disconnected_at=connection.modified_on,
        )

    return await connecting.disconnect(
        desk, platform, answer, delete_data=delete_data, revoke_tokens=revoke_tokens
    )
