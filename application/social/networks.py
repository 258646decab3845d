"""The port to social networks, and what may come of a call."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.social.engagement import Comment, Figures
from domain.social.networks import Network


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
class Receipt:
    """Where the network keeps the post."""

    network_post_id: str
    url: str
    at: datetime


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

    async def engagement(
        self, publication: Publication, network_post_id: str
    ) -> tuple[Figures, Sequence[Comment]]:
        """Present totals and recent comments."""
        ...


class SocialNetworks(Protocol):
    """Which adapter serves a tenant on a network: its own account, else the sandbox."""

    async def of(self, tenant: str, network: Network) -> SocialNetwork: ...
