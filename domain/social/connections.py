"""A tenant's accounts on a social network: connected, refreshed, expired, disconnected.

One stream holds all accounts that a tenant has on one network, so that an account cannot be
connected twice and a disconnect cuts all of them in one decision. Secrets are never part of it;
they are kept elsewhere under the connection's id.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

from domain.kernel import Aggregate, NotFound, acting, event
from domain.social.networks import Network


class ConnectionStatus(StrEnum):
    """Where one account stands. `PENDING`: the network could not be asked yet."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"


class DisconnectedBecause(StrEnum):
    """Why an account was cut."""

    ASKED = "asked"
    REPLACED = "replaced"


@dataclass(frozen=True)
class Link:
    """What an account was linked with. `provider` is who serves it: the network by its name, or
    the sandbox; `at` is when the link was asked for, `expires_at` when its tokens end."""

    connection_id: UUID
    provider: str
    permissions: tuple[str, ...]
    webhook_url: str | None
    at: datetime
    expires_at: datetime | None


@dataclass(frozen=True)
class Account:
    """One account and where it stands."""

    link: Link
    status: ConnectionStatus
    account_id: str | None
    account_name: str | None = None


class Connection(Aggregate, topic="social.connection"):
    """What ties a tenant to one network."""

    class Opened(Aggregate.Created):
        TOPIC = "social.connection.opened"
        network: Network

    class Requested(Aggregate.Event):
        TOPIC = "social.connection.requested"
        network: Network
        link: Link
        account_id: str | None

    class Connected(Aggregate.Event):
        TOPIC = "social.connection.connected"
        network: Network
        link: Link
        account_id: str
        account_name: str

    class Refused(Aggregate.Event):
        TOPIC = "social.connection.refused"
        network: Network
        connection_id: UUID
        provider: str
        account_id: str | None
        code: str
        message: str

    class Refreshed(Aggregate.Event):
        TOPIC = "social.connection.refreshed"
        network: Network
        connection_id: UUID
        expires_at: datetime | None

    class Expired(Aggregate.Event):
        TOPIC = "social.connection.expired"
        network: Network
        connection_id: UUID
        reason: str

    class Disconnected(Aggregate.Event):
        TOPIC = "social.connection.disconnected"
        network: Network
        connection_id: UUID
        because: DisconnectedBecause
        data_deleted: bool
        tokens_revoked: bool

    class DataErased(Aggregate.Event):
        TOPIC = "social.connection.data_erased"
        network: Network

    @staticmethod
    def create_id(network: Network, tenant: str | None = None) -> UUID:
        """One stream per network and tenant, by default the one that is acting."""
        whose = tenant or acting.get().tenant
        return uuid5(NAMESPACE_URL, f"tidings:connection:{whose}:{network}")

    @event(Opened)
    def __init__(self, network: Network) -> None:
        self.network = network
        self.accounts: dict[UUID, Account] = {}
        self.brought: dict[UUID, str] = {}
        """Every address to be called that there ever was, by the connection that brought it."""

    @property
    def callbacks(self) -> frozenset[str]:
        """The addresses to be called on events of the network."""
        confirmed = [
            each for each in self.accounts.values() if each.status is not ConnectionStatus.PENDING
        ]
        return frozenset(each.link.webhook_url for each in confirmed if each.link.webhook_url)

    @property
    def current(self) -> Account | None:
        """The account that speaks for the tenant: the active one linked last, else the last."""
        accounts = sorted(self.accounts.values(), key=lambda each: each.link.at)
        active = [each for each in accounts if each.status is ConnectionStatus.ACTIVE]
        return next(reversed(active or accounts), None)

    def request(self, link: Link, account_id: str | None) -> None:
        """Take an account on while the network cannot be asked about it."""
        if link.connection_id not in self.accounts:
            self._requested(self.network, link, account_id)

    def connect(self, link: Link, account_id: str, account_name: str) -> None:
        """Link an account that the network knows; an older link to the same account is cut."""
        known = self.accounts.get(link.connection_id)
        if known is not None and known.status is not ConnectionStatus.PENDING:
            return
        for id, older in list(self.accounts.items()):
            if older.account_id == account_id and id != link.connection_id:
                self._disconnected(self.network, id, DisconnectedBecause.REPLACED, False, False)
        self._connected(self.network, link, account_id, account_name)

    def refuse(
        self, connection_id: UUID, provider: str, account_id: str | None, code: str, message: str
    ) -> None:
        """Note that the network does not accept the credentials; other links are untouched."""
        known = self.accounts.get(connection_id)
        if known is None or known.status is ConnectionStatus.PENDING:
            self._refused(self.network, connection_id, provider, account_id, code, message)

    def refresh(self, connection_id: UUID, expires_at: datetime | None) -> None:
        """Note new tokens; several processes may tell of the same ones."""
        known = self.accounts.get(connection_id)
        if known is None or (
            known.status is ConnectionStatus.ACTIVE
            and expires_at is not None
            and known.link.expires_at == expires_at
        ):
            return
        self._refreshed(self.network, connection_id, expires_at)

    def expire(self, connection_id: UUID, reason: str) -> None:
        """Note that the network takes these credentials no more, and new ones cannot be had."""
        known = self.accounts.get(connection_id)
        if known is not None and known.status is not ConnectionStatus.EXPIRED:
            self._expired(self.network, connection_id, reason)

    def disconnect(self, revoked: Mapping[UUID, bool], *, delete_data: bool) -> None:
        """Cut every account. `revoked` tells whose tokens the network has taken back."""
        if not self.accounts:
            raise NotFound(f"No account on {self.network} is connected.")
        for id in list(self.accounts):
            self._disconnected(
                self.network,
                id,
                DisconnectedBecause.ASKED,
                delete_data,
                revoked.get(id, False),
            )
        if delete_data:
            self._data_erased(self.network)

    @event(Requested)
    def _requested(self, network: Network, link: Link, account_id: str | None) -> None:
        pending = Account(link, ConnectionStatus.PENDING, account_id)
        self.accounts[link.connection_id] = pending

    @event(Connected)
    def _connected(self, network: Network, link: Link, account_id: str, account_name: str) -> None:
        active = Account(link, ConnectionStatus.ACTIVE, account_id, account_name)
        self.accounts[link.connection_id] = active
        if link.webhook_url is not None:
            self.brought[link.connection_id] = link.webhook_url

    @event(Refused)
    def _refused(
        self,
        network: Network,
        connection_id: UUID,
        provider: str,
        account_id: str | None,
        code: str,
        message: str,
    ) -> None:
        self.accounts.pop(connection_id, None)

    @event(Refreshed)
    def _refreshed(
        self, network: Network, connection_id: UUID, expires_at: datetime | None
    ) -> None:
        known = self.accounts[connection_id]
        revived = known.status is ConnectionStatus.EXPIRED
        self.accounts[connection_id] = replace(
            known,
            status=ConnectionStatus.ACTIVE if revived else known.status,
            link=replace(known.link, expires_at=expires_at),
        )

    @event(Expired)
    def _expired(self, network: Network, connection_id: UUID, reason: str) -> None:
        known = self.accounts[connection_id]
        self.accounts[connection_id] = replace(known, status=ConnectionStatus.EXPIRED)

    @event(Disconnected)
    def _disconnected(
        self,
        network: Network,
        connection_id: UUID,
        because: DisconnectedBecause,
        data_deleted: bool,
        tokens_revoked: bool,
    ) -> None:
        self.accounts.pop(connection_id, None)

    @event(DataErased)
    def _data_erased(self, network: Network) -> None:
        """What was counted and heard on that network is gone from the views."""
