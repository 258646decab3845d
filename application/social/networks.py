"""The port to social networks, and what may come of a call."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.social.engagement import Comment, Figures
from domain.social.networks import Network
from domain.social.posts import Outcome, OutcomeStatus
from domain.social.trends import Rising


@dataclass(frozen=True)
class Publication:
    """One post for one network. `key` is ours, and stays the same however often it is sent."""

    tenant: str
    post_id: UUID
    network: Network
    text: str
    media_urls: tuple[str, ...]
    location: str | None

    @property
    def key(self) -> str:
        return f"{self.post_id}:{self.network}"


@dataclass(frozen=True)
class MentionReply:
    """An answer to a mention, by the network's id of it. `key` is ours, one for each mention."""

    tenant: str
    response_id: UUID
    network: Network
    network_mention_id: str
    text: str

    @property
    def key(self) -> str:
        return f"reply:{self.response_id}"


Outgoing = Publication | MentionReply


@dataclass(frozen=True)
class Receipt:
    """Where the network keeps the post, or the reply."""

    network_post_id: str
    url: str
    at: datetime

    def outcome(self, provider: str) -> Outcome:
        """What `provider` has made of it: it is out."""
        return Outcome(
            OutcomeStatus.PUBLISHED,
            provider,
            network_post_id=self.network_post_id,
            url=self.url,
            at=self.at,
        )


@dataclass(frozen=True)
class Watch:
    """What a network is asked to listen for: the tenant's account, and `words` of the brand where
    a network lets them be searched for. `since` is where listening began, `cursor` what the
    network said last time, None at first; it is told everything after that."""

    tenant: str
    network: Network
    words: tuple[str, ...]
    since: datetime
    cursor: str | None = None


@dataclass(frozen=True)
class Overheard:
    """One mention as a network shows it. What it does not show is "" or 0, and the language
    None."""

    id: str
    text: str
    at: datetime
    author: str = ""
    handle: str = ""
    followers: int = 0
    url: str | None = None
    language: str | None = None
    likes: int = 0
    shares: int = 0
    comments: int = 0


@dataclass(frozen=True)
class Heard:
    """What a network has told, and where to go on from. The same mention may be told again.

    `offered` is False where the network has no way to tell who mentions an account.
    """

    mentions: Sequence[Overheard]
    cursor: str | None
    offered: bool = True


class RefusedByNetwork(Exception):
    """The network said no, for certain: nothing was published.

    `retry_after` (seconds) is set when the same may be taken later: the network wants a pause.
    """

    def __init__(self, code: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.retry_after = code, message, retry_after


class OutcomeUnknown(Exception):
    """The network was asked and has not answered: it may have published."""


class SocialNetwork(Protocol):
    """One network as the application knows it; each call may raise `OutcomeUnknown`."""

    @property
    def provider(self) -> str:
        """Who answers: the network's name, or `sandbox`."""
        ...

    async def publish(self, publication: Publication) -> Receipt:
        """Publish once per key. Raises `RefusedByNetwork` when it certainly did not."""
        ...

    async def find(self, publication: Publication) -> Receipt | None:
        """What became of an earlier `publish`; None when the network certainly has not got it."""
        ...

    async def reply(self, reply: MentionReply) -> Receipt:
        """Reply once per key. Raises `RefusedByNetwork` when it certainly did not."""
        ...

    async def find_reply(self, reply: MentionReply) -> Receipt | None:
        """What became of an earlier `reply`; None when the network certainly has not got it."""
        ...

    async def engagement(
        self, publication: Publication, network_post_id: str
    ) -> tuple[Figures, Sequence[Comment]]:
        """Present totals and recent comments."""
        ...

    async def mentions(self, watch: Watch) -> Heard:
        """What others have said since the last time; at most the thousand newest."""
        ...

    async def subscribe(self) -> bool:
        """Have the network tell of the account's mentions by itself; False where it does not, or
        this installation is not set up for it. Asking again changes nothing."""
        ...

    async def mention(self, mention_id: str) -> Overheard | None:
        """One mention of the account that the network has told of by its id; None when it is none
        (the account's own words, or nothing that this network tells of)."""
        ...

    async def rising(self, place: str) -> Sequence[Rising] | None:
        """What the network lists as rising in a place of `application.social.places`; None when it
        offers no such list."""
        ...


class SocialNetworks(Protocol):
    """Which adapter serves a tenant on a network: its own account, else the sandbox."""

    async def of(self, tenant: str, network: Network) -> SocialNetwork: ...
