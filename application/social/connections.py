"""What may be asked of connections to social networks, and what is noted about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, field_validator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from application.kernel import Command, Creates
from application.screens import SingleLine
from application.social.accounts import NotAccepted
from domain.kernel import utc
from domain.social.connections import Connection, Link
from domain.social.networks import Network

ACTOR = "tidings:connections"
"""The actor on what the house does to connections."""

MOST_SECRETS = 20
LONGEST_SECRET = 8192
NEEDED: Mapping[Network, tuple[str, ...]] = {
    network: ("access_token", "token_secret") if network is Network.TWITTER else ("access_token",)
    for network in Network
}
"""X signs with OAuth 1.0a, which has two secrets (RFC 5849); the others take a bearer token."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("Only printable characters")
    return text


Secret = Annotated[str, Field(min_length=1, max_length=LONGEST_SECRET), AfterValidator(_printable)]
Platform = Annotated[Network, BeforeValidator(lambda v: v.lower() if isinstance(v, str) else v)]
AccountId = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9@][A-Za-z0-9_.:@-]*$")]


class ConnectPlatform(Command):
    """Link an account of a network. `credentials` are encrypted before they are stored."""

    platform: Platform
    credentials: Annotated[dict[str, Secret], Field(max_length=MOST_SECRETS, repr=False)]
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
        for name, secret in given.items():
            # They go into headers, where nothing else can stand (RFC 9110, section 5.5).
            if name.endswith(("token", "secret")) and (not secret.isascii() or " " in secret):
                raise ValueError(f"{name} must be ASCII without spaces")
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


def dated(credentials: Mapping[str, str], expires_at: datetime | None) -> dict[str, str]:
    """The credentials with the instant of their end in place of the time they had left."""
    lasting = {n: v for n, v in credentials.items() if n not in ("expires_in", "expires_at")}
    return {**lasting, "expires_at": expires_at.isoformat()} if expires_at else lasting


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


@dataclass
class DisconnectPlatform:
    """Cut every account on a network; `revoked` tells whose tokens the network took back.

    `cut` are the accounts that it met, which may be more than were there a moment before.
    """

    revoked: Mapping[UUID, bool]
    delete_data: bool
    cut: tuple[UUID, ...] = ()

    @property
    def all_revoked(self) -> bool:
        """Whether no tokens are left."""
        return bool(self.cut) and all(self.revoked.get(id, False) for id in self.cut)

    def handle(self, connection: Connection) -> None:
        self.cut = tuple(connection.accounts)
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
