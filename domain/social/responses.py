"""The brand's answer to a mention: one at most, however many people try to give it.

An answer cannot be taken back, so the text is decided first (`Drafted`), then the attempt
(`start_posting`), then the network is called, then its outcome is recorded. A network that did
not answer leaves the response *unconfirmed*: it is asked later, and never replied to blindly
again. Only what a network certainly refused may be written anew.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import NAMESPACE_URL, UUID, uuid5

from domain.kernel import Aggregate, Conflict, event, now
from domain.personal import ERASED, Personal
from domain.social.mentions import Mention
from domain.social.networks import RULES, Network
from domain.social.posts import Outcome, OutcomeStatus


class ResponseMode(StrEnum):
    """Where the text of a response comes from."""

    AI_GENERATED = "ai_generated"
    TEMPLATE = "template"
    MANUAL = "manual"


class ResponseTone(StrEnum):
    """How a written response should sound."""

    PROFESSIONAL = "professional"
    FRIENDLY = "friendly"
    CASUAL = "casual"
    FORMAL = "formal"
    EMPATHETIC = "empathetic"
    ENTHUSIASTIC = "enthusiastic"
    HUMOROUS = "humorous"


class ResponseStatus(StrEnum):
    """Where a response stands."""

    DRAFTED = "drafted"
    POSTING = "posting"
    UNCONFIRMED = "unconfirmed"
    POSTED = "posted"
    REFUSED = "refused"


REPLY_MAX: dict[Network, int] = {
    Network.FACEBOOK: 8_000,
    Network.INSTAGRAM: 300,
    Network.TWITTER: 280,
    Network.LINKEDIN: 1_250,
    Network.TIKTOK: 150,
    Network.PINTEREST: 500,
}
"""The longest reply, which is shorter than a post. Instagram's is that of its interface for
comments (IG Media: Comments); in the app people may write more."""


def reply_length(network: Network, text: str) -> int:
    """The length of a reply as `network` counts it, to be compared with `REPLY_MAX`."""
    return RULES[network].measure(text)


def addressee(event: "Response.Drafted | Response.Redrafted") -> str:
    """Whom the text speaks to, and may name: the author of the mention, as mentions have it."""
    return f"{event.network}:{event.author_handle}"


@dataclass(frozen=True)
class Draft:
    """A text and how it came about. `writer` names what has written it (None: a person has), and
    `confidence` (0 to 1) is how sure it is of having understood the mention."""

    text: Annotated[str, Personal(of=addressee)]
    mode: ResponseMode
    tone: ResponseTone
    branded: bool
    template_id: str | None = None
    writer: str | None = None
    confidence: float | None = None


class Response(Aggregate, topic="social.response"):
    """One answer to one mention; `number` counts its drafts."""

    class Drafted(Aggregate.Created):
        TOPIC = "social.response.drafted"
        mention_id: UUID
        network: Network
        network_mention_id: str
        author_handle: Annotated[str, Personal(of=addressee)]
        sentiment: float
        draft: Draft

    class Redrafted(Aggregate.Event):
        TOPIC = "social.response.redrafted"
        number: int
        network: Network
        author_handle: Annotated[str, Personal(of=addressee)]
        draft: Draft

    class PostingStarted(Aggregate.Event):
        TOPIC = "social.response.posting_started"
        number: int

    class Posted(Aggregate.Event):
        TOPIC = "social.response.posted"
        mention_id: UUID
        network: Network
        mode: ResponseMode
        number: int
        provider: str
        network_reply_id: str
        url: str
        at: datetime

    class RefusedBy(Aggregate.Event):
        TOPIC = "social.response.refused_by"
        number: int
        provider: str
        code: str
        message: str

    class LeftUnconfirmed(Aggregate.Event):
        TOPIC = "social.response.left_unconfirmed"
        number: int
        provider: str
        message: str

    @staticmethod
    def create_id(mention_id: UUID) -> UUID:
        """One stream per mention: whoever comes second finds it taken."""
        return uuid5(NAMESPACE_URL, f"tidings:response:{mention_id}")

    @classmethod
    def to(cls, mention: Mention, draft: Draft) -> "Response":
        """A first answer to `mention`."""
        return cls(
            mention_id=mention.id,
            network=mention.network,
            network_mention_id=mention.network_mention_id,
            author_handle=mention.author_handle,
            sentiment=mention.sentiment,
            draft=draft,
        )

    @event(Drafted)
    def __init__(
        self,
        mention_id: UUID,
        network: Network,
        network_mention_id: str,
        author_handle: str,
        sentiment: float,
        draft: Draft,
    ) -> None:
        self.mention_id, self.network = mention_id, network
        self.network_mention_id, self.author_handle = network_mention_id, author_handle
        self.draft, self.number = draft, 1
        self.status = ResponseStatus.DRAFTED
        self.outcome: Outcome | None = None

    @property
    def settled(self) -> bool:
        """Nothing more will happen to it by itself."""
        return self.status in (ResponseStatus.POSTED, ResponseStatus.REFUSED)

    @property
    def in_doubt(self) -> bool:
        """It may be out, and nobody knows."""
        return self.status in (ResponseStatus.POSTING, ResponseStatus.UNCONFIRMED)

    @property
    def posted_at(self) -> datetime | None:
        """When it went out; None as long as it is not known to be out."""
        return self.outcome.at if self.outcome else None

    @property
    def erased(self) -> bool:
        """Whether its text is gone with the person that it spoke to."""
        return self.draft.text == ERASED

    def redraft(self, draft: Draft) -> None:
        """Say it in another way, once the network has refused the first for certain."""
        if self.status is not ResponseStatus.REFUSED:
            raise Conflict(
                "The mention has been answered already."
                if self.status is ResponseStatus.POSTED
                else "The mention is being answered already.",
                code="already_answered",
                status=self.status,
            )
        self._redrafted(self.number + 1, self.network, self.author_handle, draft)

    def start_posting(self, number: int) -> None:
        """Decide to send the draft of that number; it is decided on once."""
        if self.status is not ResponseStatus.DRAFTED or number != self.number:
            raise Conflict("That draft is not waiting to be posted.", status=self.status)
        self._posting_started(number)

    def record(self, number: int, outcome: Outcome) -> None:
        """What the network answered. Repeats, and answers to earlier drafts, change nothing."""
        if number != self.number or not self.in_doubt:
            return
        provider = outcome.provider or ""
        match outcome.status:
            case OutcomeStatus.PUBLISHED:
                assert outcome.network_post_id and outcome.url
                self._posted(
                    self.mention_id,
                    self.network,
                    self.draft.mode,
                    number,
                    provider,
                    outcome.network_post_id,
                    outcome.url,
                    outcome.at or now(),
                )
            case OutcomeStatus.FAILED:
                self._refused_by(number, provider, outcome.code or "", outcome.message or "")
            case OutcomeStatus.UNCONFIRMED if self.status is not ResponseStatus.UNCONFIRMED:
                self._left_unconfirmed(number, provider, outcome.message or "")
            case _:
                pass

    @event(Redrafted)
    def _redrafted(self, number: int, network: Network, author_handle: str, draft: Draft) -> None:
        self.number, self.draft = number, draft
        self.status, self.outcome = ResponseStatus.DRAFTED, None

    @event(PostingStarted)
    def _posting_started(self, number: int) -> None:
        self.status = ResponseStatus.POSTING

    @event(Posted)
    def _posted(
        self,
        mention_id: UUID,
        network: Network,
        mode: ResponseMode,
        number: int,
        provider: str,
        network_reply_id: str,
        url: str,
        at: datetime,
    ) -> None:
        self.status = ResponseStatus.POSTED
        self.outcome = Outcome(
            OutcomeStatus.PUBLISHED, provider, network_post_id=network_reply_id, url=url, at=at
        )

    @event(RefusedBy)
    def _refused_by(self, number: int, provider: str, code: str, message: str) -> None:
        self.status = ResponseStatus.REFUSED
        self.outcome = Outcome(OutcomeStatus.FAILED, provider, code=code, message=message)

    @event(LeftUnconfirmed)
    def _left_unconfirmed(self, number: int, provider: str, message: str) -> None:
        self.status = ResponseStatus.UNCONFIRMED
        self.outcome = Outcome(OutcomeStatus.UNCONFIRMED, provider, message=message)
