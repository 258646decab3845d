"""What people did with a post: counters that networks report, and comments."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import NAMESPACE_URL, UUID, uuid5

from domain.kernel import Aggregate, event
from domain.personal import Personal
from domain.social.networks import Network


@dataclass(frozen=True)
class Figures:
    """Counters of one post on one network since it went out."""

    impressions: int = 0
    reach: int = 0
    views: int = 0
    likes: int = 0
    shares: int = 0
    comments: int = 0

    def __sub__(self, earlier: "Figures") -> "Figures":
        return Figures(**{name: n - vars(earlier)[name] for name, n in vars(self).items()})


def commenter(event: "Engagement.CommentReceived") -> str:
    """Whose comment it is: the author as their network knows them, such as `twitter:amira`."""
    return f"{event.network}:{event.comment.author}"


@dataclass(frozen=True)
class Comment:
    """One comment; `sentiment` runs from -1 to 1."""

    id: str
    author: Annotated[str, Personal(of=commenter)]
    text: Annotated[str, Personal(of=commenter)]
    at: datetime
    sentiment: float


@dataclass(frozen=True)
class Posted:
    """How the post went out on a network: its instant, and its hashtags in lower case."""

    at: datetime
    hashtags: tuple[str, ...] = ()


NOTHING = Figures()


class Engagement(Aggregate, topic="social.engagement"):
    """The engagement of one post. Networks report totals; the events carry what was added,
    so that sums over any period are sums over events, and how the post went out, so that they
    can be summed by hashtag and hour of publication without looking anything up."""

    impersonal_state = True  # of comments it keeps the ids

    class Began(Aggregate.Created):
        TOPIC = "social.engagement.began"
        post_id: UUID

    class Grew(Aggregate.Event):
        TOPIC = "social.engagement.grew"
        post_id: UUID
        network: Network
        at: datetime
        added: Figures
        posted: Posted
        first: bool

    class CommentReceived(Aggregate.Event):
        TOPIC = "social.engagement.comment_received"
        post_id: UUID
        network: Network
        comment: Comment

    @staticmethod
    def create_id(post_id: UUID) -> UUID:
        """One stream per post."""
        return uuid5(NAMESPACE_URL, f"tidings:engagement:{post_id}")

    @event(Began)
    def __init__(self, post_id: UUID) -> None:
        self.post_id = post_id
        self.totals: dict[Network, Figures] = {}
        self.comment_ids: set[tuple[Network, str]] = set()

    def report(self, network: Network, at: datetime, totals: Figures, posted: Posted) -> None:
        """A network's present totals; what has not changed is not worth an event."""
        added = totals - self.totals.get(network, NOTHING)
        if added != NOTHING:
            first = network not in self.totals
            self._grew(self.post_id, network, at, added, posted, first)

    def receive(self, network: Network, comments: Sequence[Comment]) -> None:
        """Comments that a network reports; each counts once, however often it is reported."""
        for comment in comments:
            if (network, comment.id) not in self.comment_ids:
                self._comment_received(self.post_id, network, comment)

    @event(Grew)
    def _grew(
        self,
        post_id: UUID,
        network: Network,
        at: datetime,
        added: Figures,
        posted: Posted,
        first: bool,
    ) -> None:
        known = self.totals.get(network, NOTHING)
        self.totals[network] = Figures(
            **{name: n + vars(added)[name] for name, n in vars(known).items()}
        )

    @event(CommentReceived)
    def _comment_received(self, post_id: UUID, network: Network, comment: Comment) -> None:
        self.comment_ids.add((network, comment.id))
