"""Connecting accounts of social networks, keeping them connected, and cutting them.

Secrets are put away before anything is decided; what is decided only names the connection they
are kept under. The network is asked first, so that the answer tells what is true. Jobs may be
carried out more than once, and may die at any line.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from eventsourcing.persistence import IntegrityError
from pydantic import BaseModel
from uuid_utils.compat import uuid7

from application.kernel import Answer, Desk, Job, Log
from application.social.accounts import (
    Accounts,
    Identity,
    NotAccepted,
    NotAnswered,
    NotRenewable,
    Renewed,
)
from application.social.connections import (
    ACTOR,
    ConnectPlatform,
    DisconnectPlatform,
    Note,
    NoteConnected,
    NoteExpired,
    NoteRefreshed,
    NoteRefused,
    NoteRequested,
    Opening,
    dated,
    expiry_of,
)
from domain.kernel import Refusal
from domain.social.connections import Account, Connection, ConnectionStatus, Link
from domain.social.networks import Network

M = TypeVar("M", bound=BaseModel)

VERIFY_AGAIN = (10, 30, 120, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
"""Seconds between questions about an account while its network does not answer."""

RENEW_AGAIN = timedelta(minutes=10)
LEAD, LEAD_SHARE = timedelta(days=7), 0.2
"""Tokens are renewed that long before they end, but not in the first 80 % of their time."""


@dataclass(frozen=True)
class Outcome:
    """What became of a request to connect, for the answer."""

    connection_id: UUID
    provider: str
    permissions: tuple[str, ...]
    at: datetime
    found: Identity | NotAccepted | NotAnswered
    expires_at: datetime | None


@dataclass(frozen=True)
class Connecting:
    """What commands and jobs about connections need."""

    log: Log
    accounts: Accounts

    async def connect(
        self, desk: Desk, request: ConnectPlatform, answer: Callable[[Outcome], M]
    ) -> Answer[M]:
        """Link an account. Raises `Invalid` for a callback address that may not be called."""
        network, id, at = request.platform, uuid7(), datetime.now(UTC)
        if request.webhook_url is not None:
            await self.accounts.check_callback(request.webhook_url)
        provider = self.accounts.provider(network)
        found = await self.accounts.identify(network, request.credentials, request.account_id)
        expires_at = expiry_of(request.credentials, at)
        kept: Mapping[str, str] = request.credentials
        if isinstance(found, Identity):
            expires_at, kept = found.expires_at or expires_at, found.credentials
        link = Link(id, provider, tuple(request.permissions), request.webhook_url, at, expires_at)
        outcome = Outcome(id, provider, link.permissions, at, found, expires_at)
        if not isinstance(found, NotAccepted):
            await self.accounts.keep(desk.tenant, network, id, dated(kept, expires_at))
        try:
            done = await self._note(
                desk, network, _noted(link, found, request.account_id), lambda _: answer(outcome)
            )
        except Refusal:
            await self.accounts.forget(desk.tenant, id)
            raise
        if done.replayed:
            await self.accounts.forget(desk.tenant, id)
        return done

    async def disconnect(
        self,
        desk: Desk,
        network: Network,
        answer: Callable[[Connection, bool], M],
        *,
        delete_data: bool,
        revoke_tokens: bool,
    ) -> Answer[M]:
        """Cut every account of the tenant on `network`. `answer` is told whether the network has
        taken back the tokens of each. Raises `NotFound` when there is none."""
        stream = Connection.create_id(network, desk.tenant)
        revoked = await self._revoked(desk, network) if revoke_tokens else {}
        command = DisconnectPlatform(revoked, delete_data)
        done = await desk.change(
            Connection, stream, command, lambda changed: answer(changed, command.all_revoked)
        )
        for id in command.cut:
            await self.accounts.forget(desk.tenant, id)
        return done

    async def _revoked(self, desk: Desk, network: Network) -> Mapping[UUID, bool]:
        """Whose tokens the network has taken back; none for a request that will cut nothing."""
        key = desk.idempotency
        if key and await self.log.answered(desk.tenant, key.key, key.request):
            return {}
        connection = await self.log.load(Connection, Connection.create_id(network, desk.tenant))
        if connection is None or desk.if_match not in (None, connection.version):
            return {}
        return {
            id: await self.accounts.revoke(desk.tenant, network, account)
            for id, account in connection.accounts.items()
        }

    async def verify(
        self, tenant: str, network: str, connection_id: str, asked: int
    ) -> Iterable[Job]:
        """Ask again about an account whose network did not answer (a job)."""
        on, id = Network(network), UUID(connection_id)
        account = await self._account(tenant, on, id)
        if account is None or account.status is not ConnectionStatus.PENDING:
            return []
        found: Identity | NotAccepted | NotAnswered
        credentials = await self.accounts.kept(tenant, on, id)
        if credentials is None:
            found = NotAccepted("no_credentials", "The credentials are gone; connect again.")
        else:
            found = await self.accounts.identify(on, credentials, account.account_id)
        if isinstance(found, NotAnswered):
            if asked < len(VERIFY_AGAIN):
                later = datetime.now(UTC) + timedelta(seconds=VERIFY_AGAIN[asked])
                return [verification(tenant, on, id, asked + 1, at=later)]
            found = NotAccepted("unreachable", found.message)
        link = account.link
        if isinstance(found, Identity):
            link = replace(link, expires_at=found.expires_at or link.expires_at)
            kept = dated(found.credentials, link.expires_at)
            await self.accounts.keep(tenant, on, id, kept)
        await self._note_by_house(tenant, on, _noted(link, found, account.account_id, awaited=True))
        return []

    async def renew(
        self, tenant: str, network: str, connection_id: str, expires_at: str
    ) -> Iterable[Job]:
        """Renew tokens before they end at `expires_at`, or note that they have ended (a job)."""
        on, id, end = Network(network), UUID(connection_id), datetime.fromisoformat(expires_at)
        account = await self._account(tenant, on, id)
        if account is None or account.link.expires_at != end:
            return []  # cut, or renewed meanwhile
        result = await self.accounts.renew(tenant, on, account)
        over = datetime.now(UTC) >= end
        match result:
            case Renewed(expires_at=later):
                await self._note_by_house(tenant, on, NoteRefreshed(id, later))
            case NotAccepted(message=message):
                await self._note_by_house(tenant, on, NoteExpired(id, message))
            case NotRenewable() | NotAnswered() if over:
                reason = "The tokens have ended; connect again."
                await self._note_by_house(tenant, on, NoteExpired(id, reason))
            case NotRenewable():
                return [renewal(tenant, on, id, end, at=end)]
            case NotAnswered():
                again = min(datetime.now(UTC) + RENEW_AGAIN, end)
                return [renewal(tenant, on, id, end, at=again)]
        return []

    async def forget(self, tenant: str, network: str, connection_id: str) -> Iterable[Job]:
        """Delete the secrets of a connection that is no more, and of those that never came to be
        (a job)."""
        on = Network(network)
        await self.accounts.forget(tenant, UUID(connection_id))
        connection = await self.log.load(Connection, Connection.create_id(on, tenant))
        await self.accounts.sweep(tenant, on, connection.accounts if connection else ())
        return []

    async def erase(self, tenant: str, network: str) -> Iterable[Job]:
        """Delete what is kept of a network beside the log (a job)."""
        await self.accounts.erase(tenant, Network(network))
        return []

    async def _account(self, tenant: str, network: Network, id: UUID) -> Account | None:
        connection = await self.log.load(Connection, Connection.create_id(network, tenant))
        return connection.accounts.get(id) if connection else None

    async def _note(
        self, desk: Desk, network: Network, note: Note, answer: Callable[[Connection], M]
    ) -> Answer[M]:
        stream = Connection.create_id(network, desk.tenant)
        if await self.log.load(Connection, stream) is None:
            try:
                return await desk.create(Opening(network, note), answer)
            except IntegrityError:
                pass  # another request has just opened it
        return await desk.change(Connection, stream, note, answer)

    async def _note_by_house(self, tenant: str, network: Network, note: Note) -> None:
        stream = Connection.create_id(network, tenant)
        desk = Desk(self.log, tenant, ACTOR, correlation_id=stream.hex, follows=False)
        await desk.carry_out(Connection, stream, note)


def _noted(
    link: Link,
    found: Identity | NotAccepted | NotAnswered,
    account_id: str | None,
    *,
    awaited: bool = False,
) -> Note:
    match found:
        case Identity():
            return NoteConnected(link, found.account_id, found.name, awaited)
        case NotAnswered():
            return NoteRequested(link, account_id)
        case NotAccepted():
            return NoteRefused(link.connection_id, link.provider, account_id, found)


def verification(
    tenant: str, network: Network, connection_id: UUID, asked: int, *, at: datetime
) -> Job:
    """The `asked`-th question about an account after the first, which went unanswered."""
    return Job(
        "social.verify_connection",
        {
            "tenant": tenant,
            "network": network.value,
            "connection_id": connection_id.hex,
            "asked": asked,
        },
        at=at,
    )


def renewal(
    tenant: str, network: Network, connection_id: UUID, expires_at: datetime, *, at: datetime
) -> Job:
    """A look at tokens that end at `expires_at`."""
    return Job(
        "social.renew_connection",
        {
            "tenant": tenant,
            "network": network.value,
            "connection_id": connection_id.hex,
            "expires_at": expires_at.isoformat(),
        },
        at=at,
    )


def renew_at(since: datetime, expires_at: datetime) -> datetime:
    """When tokens that were given at `since` should be renewed."""
    return expires_at - max(min(LEAD, (expires_at - since) * LEAD_SHARE), timedelta(0))
