"""Mentions that a network tells of by itself, and that cannot all be found by asking.

A notice names the account and what mentions it, by their ids. Whose account it is, and what is said
there, is found out afterwards, in jobs: a notice that has been kept comes to its mention whatever
dies meanwhile, and one that comes twice, or is found by listening too, is the same stream.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from application.kernel import Job
from application.social.mentions import Listener
from application.social.networks import OutcomeUnknown
from application.social.publishing import ASK_AGAIN
from domain.social.connections import Connection
from domain.social.mentions import Mention
from domain.social.networks import Network

JUST_CONNECTED = timedelta(seconds=15)
"""An account that nobody seems to hold is looked for again after so long."""


@dataclass(frozen=True)
class Notice:
    """That `account_id` is mentioned, and by what; the ids are the network's."""

    network: Network
    account_id: str
    mention_id: str

    def job(self) -> Job:
        """To be kept before the network is answered."""
        return Job("social.pass_on_notice", {**self.arguments(), "asked": 0})

    def arguments(self) -> dict[str, str | int]:
        return {
            "network": self.network.value,
            "account_id": self.account_id,
            "mention_id": self.mention_id,
        }


class Holders(Protocol):
    """The port to who holds an account of a network: several tenants may."""

    async def of(self, network: Network, account_id: str) -> Sequence[str]:
        """The tenants, as the network has confirmed them, up to a moment ago."""
        ...


@dataclass(frozen=True)
class Noticing:
    """What these jobs need."""

    listener: Listener
    holders: Holders

    async def subscribe(self, tenant: str, network: str, asked: int) -> Iterable[Job]:
        """Have the network tell of an account that has been connected (a job)."""
        gateway = await self.listener.networks.of(tenant, Network(network))
        try:
            await gateway.subscribe()
        except OutcomeUnknown:
            if asked < len(ASK_AGAIN):
                return [_subscription(tenant, network, asked + 1, at=_again(asked))]
        return []

    async def pass_on(
        self, network: str, account_id: str, mention_id: str, asked: int
    ) -> Iterable[Job]:
        """A notice goes to each tenant who holds the account; nobody else is told (a job)."""
        notice = Notice(Network(network), account_id, mention_id)
        tenants = await self.holders.of(notice.network, account_id)
        if not tenants and not asked:
            again = datetime.now(UTC) + JUST_CONNECTED
            return [Job("social.pass_on_notice", {**notice.arguments(), "asked": 1}, at=again)]
        return [_fetching(notice, tenant, 0) for tenant in tenants]

    async def fetch(
        self, tenant: str, network: str, account_id: str, mention_id: str, asked: int
    ) -> Iterable[Job]:
        """Ask the network what is said there, and write it down (a job)."""
        notice = Notice(Network(network), account_id, mention_id)
        if not await self._wanted(tenant, notice):
            return []
        gateway = await self.listener.networks.of(tenant, notice.network)
        try:
            heard = await gateway.mention(mention_id)
        except OutcomeUnknown:
            # What has been deleted is asked for in vain: networks do not tell it from what they
            # do not show yet, or not without a further permission.
            if asked < len(ASK_AGAIN):
                return [_fetching(notice, tenant, asked + 1, at=_again(asked))]
            return []
        if heard is not None:
            words = await self.listener.words(tenant, notice.network, gateway.provider)
            await self.listener.write_down(tenant, notice.network, words, [heard])
        return []

    async def _wanted(self, tenant: str, notice: Notice) -> bool:
        """Whether the tenant still speaks through this account, and has not heard of it yet."""
        log = self.listener.log
        connection = await log.load(Connection, Connection.create_id(notice.network, tenant))
        account = connection.current if connection else None
        if account is None or account.account_id != notice.account_id:
            return False
        stream = Mention.create_id(notice.network, notice.mention_id, tenant)
        return await log.load(Mention, stream) is None


def subscribe_connected(event: Connection.Connected) -> Iterable[Job]:
    """A network tells of those accounts alone that have asked it to."""
    if event.link.provider == event.network:
        yield _subscription(event.tenant, event.network, 0)


def _subscription(tenant: str, network: str, asked: int, *, at: datetime | None = None) -> Job:
    return Job(
        "social.subscribe_account",
        {"tenant": tenant, "network": str(network), "asked": asked},
        at=at,
    )


def _again(asked: int) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=ASK_AGAIN[asked])


def _fetching(notice: Notice, tenant: str, asked: int, *, at: datetime | None = None) -> Job:
    return Job(
        "social.fetch_mention", {"tenant": tenant, **notice.arguments(), "asked": asked}, at=at
    )
