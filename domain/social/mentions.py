"""What others say about the brand on the networks: heard, weighed, answered.

Each mention is a stream of its own, named after the network's id of it, so that hearing of it
twice is a conflict and never a second mention.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import NAMESPACE_URL, UUID, uuid5

from domain.kernel import Aggregate, Conflict, acting, event
from domain.personal import Personal
from domain.social.networks import Network


class Tone(StrEnum):
    """How a text sounds."""

    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"


class Priority(StrEnum):
    """How soon somebody should look at a mention."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


NOTICEABLE = 0.05
"""A sentiment beyond this, either way, is a tone: the thresholds that VADER's authors give."""

HOSTILE = -0.6
"""A sentiment at which a complaint is one that others repeat."""

INFLUENTIAL = {
    Network.FACEBOOK: 10_000,
    Network.INSTAGRAM: 10_000,
    Network.TWITTER: 10_000,
    Network.LINKEDIN: 5_000,
    Network.TIKTOK: 50_000,
    Network.PINTEREST: 5_000,
}
"""Followers from which an author counts as influential. About where the trade begins to speak of
micro-influencers; TikTok hands out large audiences, LinkedIn and Pinterest small ones."""


@dataclass(frozen=True)
class Reading:
    """What a text says about itself: its sentiment (-1 to 1), whether it asks something, and
    whether it speaks of harm, fraud, the law or an emergency."""

    sentiment: float
    asks: bool = False
    urgent: bool = False

    @property
    def tone(self) -> Tone:
        if self.sentiment >= NOTICEABLE:
            return Tone.POSITIVE
        return Tone.NEGATIVE if self.sentiment <= -NOTICEABLE else Tone.NEUTRAL

    @property
    def wants_answer(self) -> bool:
        """Complaints, questions and emergencies do; praise may be left alone."""
        return self.tone is Tone.NEGATIVE or self.asks or self.urgent


def is_influential(network: Network, followers: int) -> bool:
    """Whether an author reaches enough people there to be looked after in particular."""
    return followers >= INFLUENTIAL[network]


def priority_of(reading: Reading, network: Network, followers: int) -> Priority:
    """How soon somebody should look.

    High: an emergency that is not told with joy, and a complaint that is hostile, asks for an
    answer, or has a large audience. Medium: every other complaint, question, emergency, and
    whatever an influential author says. Low: the rest.
    """
    audience = is_influential(network, followers)
    complaint = reading.tone is Tone.NEGATIVE
    if reading.urgent and reading.tone is not Tone.POSITIVE:
        return Priority.HIGH
    if complaint and (audience or reading.asks or reading.sentiment <= HOSTILE):
        return Priority.HIGH
    return Priority.MEDIUM if audience or reading.wants_answer else Priority.LOW


def mentioner(event: "Mention.Detected") -> str:
    """Whose words they are: the author as their network knows them, such as `twitter:amira`.

    Where a network keeps its authors to itself, each mention has one of its own.
    """
    return f"{event.network}:{event.author_handle or event.network_mention_id}"


class Mention(Aggregate, topic="social.mention"):
    """One post, comment or picture of somebody else that speaks of the brand."""

    class Detected(Aggregate.Created):
        TOPIC = "social.mention.detected"
        network: Network
        network_mention_id: str
        url: Annotated[str | None, Personal(of=mentioner)]
        author: Annotated[str, Personal(of=mentioner)]
        author_handle: Annotated[str, Personal(of=mentioner)]
        followers: int
        text: Annotated[str, Personal(of=mentioner)]
        written_at: datetime
        language: str
        sentiment: float
        tone: Tone
        priority: Priority
        likes: int
        shares: int
        comments: int
        requires_response: bool
        keywords: tuple[str, ...]
        hashtags: tuple[str, ...]

    class Answered(Aggregate.Event):
        TOPIC = "social.mention.answered"
        response_id: str
        at: datetime

    class Dismissed(Aggregate.Event):
        TOPIC = "social.mention.dismissed"
        reason: str

    @staticmethod
    def create_id(network: Network, network_mention_id: str, tenant: str | None = None) -> UUID:
        """One stream per mention, by default of the tenant that is acting."""
        whose = tenant or acting.get().tenant
        name = f"tidings:mention:{whose}:{network}:{network_mention_id}"
        return uuid5(NAMESPACE_URL, name)

    @event(Detected)
    def __init__(
        self,
        network: Network,
        network_mention_id: str,
        url: str | None,
        author: str,
        author_handle: str,
        followers: int,
        text: str,
        written_at: datetime,
        language: str,
        sentiment: float,
        tone: Tone,
        priority: Priority,
        likes: int,
        shares: int,
        comments: int,
        requires_response: bool,
        keywords: tuple[str, ...],
        hashtags: tuple[str, ...],
    ) -> None:
        self.network = network
        self.network_mention_id = network_mention_id
        self.url = url
        self.author = author
        self.author_handle = author_handle
        self.followers = followers
        self.text = text
        self.written_at = written_at
        self.language = language
        self.sentiment = sentiment
        self.tone = tone
        self.priority = priority
        self.likes = likes
        self.shares = shares
        self.comments = comments
        self.requires_response = requires_response
        self.keywords = keywords
        self.hashtags = hashtags
        self.response_id: str | None = None
        self.dismissed = False

    @property
    def answered(self) -> bool:
        """Whether somebody has answered it here."""
        return self.response_id is not None

    def answer(self, response_id: str, at: datetime) -> None:
        """Note the answer that went out; a mention has one, and the same one may be told twice."""
        if self.response_id == response_id:
            return
        if self.response_id is not None:
            raise Conflict(
                "The mention has been answered already.",
                code="already_answered",
                response_id=self.response_id,
            )
        self._answered(response_id, at)

    def dismiss(self, reason: str) -> None:
        """Decide that it wants no answer; asking again changes nothing."""
        if self.answered:
            raise Conflict("The mention has been answered.", response_id=self.response_id)
        if not self.dismissed:
            self._dismissed(reason)

    @event(Dismissed)
    def _dismissed(self, reason: str) -> None:
        self.dismissed = True

    @event(Answered)
    def _answered(self, response_id: str, at: datetime) -> None:
        self.response_id = response_id
