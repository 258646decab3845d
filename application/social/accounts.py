"""The port to accounts of social networks and their secrets, and what may come of asking."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.social.connections import Account
from domain.social.networks import Network

SANDBOX = "sandbox"
"""The provider that stands in for a network without configuration."""


@dataclass(frozen=True)
class Identity:
    """Who the network says that the account is, and the credentials to keep for it."""

    account_id: str
    name: str
    credentials: Mapping[str, str] = field(repr=False)
    expires_at: datetime | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NotAccepted:
    """The network does not take the credentials, or they belong to another account."""

    code: str
    message: str


@dataclass(frozen=True)
class NotAnswered:
    """The network has not answered; nothing is known."""

    message: str


@dataclass(frozen=True)
class Renewed:
    """There are new tokens, and they have been put away."""

    expires_at: datetime | None


@dataclass(frozen=True)
class NotRenewable:
    """This kind of credentials cannot be renewed; they last as long as they last."""


class Accounts(Protocol):
    """The port to the accounts themselves: their networks and their secrets."""

    def provider(self, network: Network) -> str:
        """Who serves new connections: the network's name, or `sandbox`."""
        ...

    async def check_callback(self, url: str) -> None:
        """Raises `Invalid`, naming `webhook_url`, for an address that may not be called."""
        ...

    async def identify(
        self, network: Network, credentials: Mapping[str, str], account_id: str | None
    ) -> Identity | NotAccepted | NotAnswered:
        """Ask the network whose the credentials are."""
        ...

    async def keep(
        self, tenant: str, network: Network, connection_id: UUID, credentials: Mapping[str, str]
    ) -> None:
        """Encrypt and store."""
        ...

    async def kept(
        self, tenant: str, network: Network, connection_id: UUID
    ) -> Mapping[str, str] | None:
        """What was put away; None when nothing is kept, or nothing that can be opened."""
        ...

    async def forget(self, tenant: str, connection_id: UUID) -> None:
        """Delete what was put away."""
        ...

    async def sweep(self, tenant: str, network: Network, but: Collection[UUID]) -> None:
        """Delete what was put away by requests that died, and belongs to no connection."""
        ...

    async def renew(
        self, tenant: str, network: Network, account: Account
    ) -> Renewed | NotRenewable | NotAccepted | NotAnswered:
        """Get new tokens, once for all processes that want them."""
        ...

    async def revoke(self, tenant: str, network: Network, account: Account) -> bool:
        """Ask the network to take the tokens back; whether it has."""
        ...

    async def erase(self, tenant: str, network: Network) -> None:
        """Delete what the house keeps of a network beside the log."""
        ...
