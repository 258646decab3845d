"""Connecting accounts of social networks, keeping them connected, and cutting them.

Secrets are put away before anything is decided; what is decided only names the connection they
are kept under. The network is asked first, so that the answer tells what is true.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar
from uuid import UUID

from eventsourcing.persistence import IntegrityError
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, field_validator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo
from uuid_utils.compat import uuid7

from application.kernel import Answer, Command, Creates, Desk, Job, Log
from application.screens import SingleLine
from application.social.accounts import (
    Accounts,
    Identity,
    NotAccepted,
    NotAnswered,
    NotRenewable,
    Renewed,
)
from domain.kernel import Refusal, utc
from domain.social.connections import Account, Connection, ConnectionStatus, Link
from domain.social.networks import Network

M = TypeVar("M", bound=BaseModel)

ACTOR = "tidings:connections"
"""The actor on what the house does to connections."""

VERIFY_AGAIN = (10, 30, 120, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
"""Seconds between questions about an account while its network does not answer."""

RENEW_AGAIN = timedelta(minutes=10)
LEAD, LEAD_SHARE = timedelta(days=7), 0.2
"""Tokens are renewed that long before they end, but not in the first 80 % of their time."""

MOST_EXTRA = 20
LONGEST_SECRET = 8192
NEEDED: Mapping[Network, tuple[str, ...]] = {
    network: ("access_token", "token_secret") if network is Network.TWITTER else ("access_token",)
    for network in Network
}
"""X signs with OAuth 1.0a, which has two secrets (RFC 5849); the others take a bearer token."""


def _printable(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("Only printable ASCII without spaces")
    return text


Secret = Annotated[str, Field(min_length=1, max_length=LONGEST_SECRET), AfterValidator(_printable)]
Platform = Annotated[Network, BeforeValidator(lambda v: v.lower() if isinstance(v, str) else v)]
AccountId = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9@][A-Za-z0-9_.:@-]*$")]


class ConnectPlatform(Command):
    """Link an account of a network. `credentials` are encrypted before they are stored."""

    platform: Platform
    credentials: Annotated[dict[str, Secret], Field(max_length=MOST_EXTRA, repr=False)]
    account_id: AccountId | None = None
    permissions: Annotated[
        list[Annotated[SingleLine, Field(min_length=1, max_length=200)]], Field(max_length=50)
    ] = ["read", "write"]
    webhook_url: Annotated[str, Field(max_length=2048)] | None = None

    @field_validator("credentials")
    @classmethod
    def _complete(cls, given: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        platform: Network | None = info.data.get("platform")
        needed = NEEDED[platform] if platform else ()
        if any(name not in given for name in needed):
            raise PydanticCustomError(
                "missing_credentials",
                "{platform} needs {names}",
                {"platform": platform, "names": " and ".join(needed)},
            )
        expiry_of(given, datetime.now(UTC))
        return given


def expiry_of(credentials: Mapping[str, str], at: datetime) -> datetime | None:
    """When the tokens end: `expires_at` (ISO 8601), or `expires_in` seconds from `at` (RFC 6749,
    section 5.1). Raises `ValueError` naming the one that cannot be read."""
    if stated := credentials.get("expires_at"):
        try:
            return utc(datetime.fromisoformat(stated))
        except ValueError:
            raise ValueError("expires_at must be an instant in ISO 8601") from None
    if seconds := credentials.get("expires_in"):
        if not seconds.isdigit() or len(seconds) > 10:
            raise ValueError("expires_in must be a number of seconds")
        return at + timedelta(seconds=int(seconds))
    return None


@dataclass(frozen=True)
class NoteRequested:
    """The account is taken on; its network has not answered yet."""

    link: Link
    account_id: str | None

    def handle(self, connection: Connection) -> None:
        connection.request(self.link, self.account_id)


@dataclass(frozen=True)
class NoteConnected:
    """The network knows the account. `awaited`: only if it is still waited for."""

    link: Link
    account_id: str
    account_name: str
    awaited: bool = False

    def handle(self, connection: Connection) -> None:
        if not self.awaited or self.link.connection_id in connection.accounts:
            connection.connect(self.link, self.account_id, self.account_name)


@dataclass(frozen=True)
class NoteRefused:
    """The network does not take the credentials."""

    connection_id: UUID
    provider: str
    account_id: str | None
    why: NotAccepted

    def handle(self, connection: Connection) -> None:
        connection.refuse(
            self.connection_id, self.provider, self.account_id, self.why.code, self.why.message
        )


@dataclass(frozen=True)
class NoteRefreshed:
    """There are new tokens."""

    connection_id: UUID
    expires_at: datetime | None

    def handle(self, connection: Connection) -> None:
        connection.refresh(self.connection_id, self.expires_at)


@dataclass(frozen=True)
class NoteExpired:
    """The tokens are of no use any more."""

    connection_id: UUID
    reason: str

    def handle(self, connection: Connection) -> None:
        connection.expire(self.connection_id, self.reason)


@dataclass(frozen=True)
class DisconnectPlatform:
    """Cut every account on a network; `revoked` tells whose tokens the network took back."""

    revoked: Mapping[UUID, bool]
    delete_data: bool

    def handle(self, connection: Connection) -> None:
        connection.disconnect(self.revoked, delete_data=self.delete_data)


Note = NoteRequested | NoteConnected | NoteRefused | NoteRefreshed | NoteExpired
"""What is noted in the stream of a network."""


@dataclass(frozen=True)
class Opening(Creates[Connection]):
    """The first note opens the stream."""

    network: Network
    note: Note

    def handle(self) -> Connection:
        connection = Connection(network=self.network)
        self.note.handle(connection)
        return connection


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
            self.accounts.check_callback(request.webhook_url)
        provider = self.accounts.provider(network)
        found = await self.accounts.identify(network, request.credentials, request.account_id)
        expires_at = expiry_of(request.credentials, at)
        kept = request.credentials
        if isinstance(found, Identity):
            expires_at, kept = found.expires_at or expires_at, {**found.credentials}
        link = Link(id, provider, tuple(request.permissions), request.webhook_url, at, expires_at)
        outcome = Outcome(id, provider, link.permissions, at, found, expires_at)
        if not isinstance(found, NotAccepted):
            await self.accounts.keep(desk.tenant, network, id, kept)
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
        answer: Callable[[Connection, Mapping[UUID, bool]], M],
        *,
        delete_data: bool,
        revoke_tokens: bool,
    ) -> Answer[M]:
        """Cut every account of the tenant on `network`. Raises `NotFound` when there is none."""
        stream = Connection.create_id(network, desk.tenant)
        connection = await self.log.load(Connection, stream)
        accounts = list(connection.accounts.values()) if connection else []
        revoked = {
            each.link.connection_id: await self.accounts.revoke(desk.tenant, network, each)
            for each in accounts
            if revoke_tokens
        }
        command = DisconnectPlatform(revoked, delete_data)
        done = await desk.change(
            Connection, stream, command, lambda changed: answer(changed, revoked)
        )
        if not done.replayed:
            for each in accounts:
                await self.accounts.forget(desk.tenant, each.link.connection_id)
        return done

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
            await self.accounts.keep(tenant, on, id, found.credentials)
            link = replace(link, expires_at=found.expires_at or link.expires_at)
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

    async def forget(self, tenant: str, connection_id: str) -> Iterable[Job]:
        """Delete the secrets of a connection that is no more (a job)."""
        await self.accounts.forget(tenant, UUID(connection_id))
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
