"""A message on its way to social networks, from draft to what each network made of it.

Publishing cannot be undone, so the intention is decided first (`start_publication`), then the
networks are called, then their outcomes are recorded. A network that did not answer leaves its
part *unconfirmed*: it is asked later, and never published to blindly again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain.kernel import Aggregate, Conflict, event, now
from domain.social.networks import Network, Problem


class PostStatus(StrEnum):
    """Where a post stands as a whole."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    PUBLISHING = "publishing"
    UNCONFIRMED = "unconfirmed"
    PUBLISHED = "published"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


class OutcomeStatus(StrEnum):
    """Where a post stands on one network."""

    PENDING = "pending"
    PUBLISHING = "publishing"
    UNCONFIRMED = "unconfirmed"
    PUBLISHED = "published"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """What one network made of the post; `code` and `message` say why it did not."""

    status: OutcomeStatus
    provider: str | None = None
    network_post_id: str | None = None
    url: str | None = None
    at: datetime | None = None
    code: str | None = None
    message: str | None = None

    @property
    def settled(self) -> bool:
        return self.status in (OutcomeStatus.PUBLISHED, OutcomeStatus.FAILED)


PENDING = Outcome(OutcomeStatus.PENDING)


class Post(Aggregate, topic="social.post"):
    """One content for several networks, each with its own text and its own outcome.

    `of_campaign`: a campaign waits to hear what becomes of it.
    """

    class Drafted(Aggregate.Created):
        TOPIC = "social.post.drafted"
        content: str
        networks: tuple[Network, ...]
        texts: dict[Network, str]
        optimised: bool
        media_urls: tuple[str, ...]
        hashtags: tuple[str, ...]
        mentions: tuple[str, ...]
        location: str | None
        problems: dict[Network, tuple[Problem, ...]]
        of_campaign: bool
        class_version = 2

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            state["of_campaign"] = False

    class Scheduled(Aggregate.Event):
        TOPIC = "social.post.scheduled"
        at: datetime

    class Rescheduled(Aggregate.Event):
        TOPIC = "social.post.rescheduled"
        at: datetime

    class Withdrawn(Aggregate.Event):
        TOPIC = "social.post.withdrawn"
        reason: str
        of_campaign: bool
        class_version = 2

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            state["of_campaign"] = False

    class PublicationStarted(Aggregate.Event):
        TOPIC = "social.post.publication_started"
        attempt: int
        networks: tuple[Network, ...]
        status: PostStatus

    class PublishedOn(Aggregate.Event):
        """`beside`: the networks that it was out on already, `since` when it was first out."""

        TOPIC = "social.post.published_on"
        network: Network
        attempt: int
        provider: str
        network_post_id: str
        url: str
        at: datetime
        beside: tuple[Network, ...]
        since: datetime

    class RefusedBy(Aggregate.Event):
        TOPIC = "social.post.refused_by"
        network: Network
        attempt: int
        provider: str
        code: str
        message: str

    class LeftUnconfirmed(Aggregate.Event):
        TOPIC = "social.post.left_unconfirmed"
        network: Network
        attempt: int
        provider: str
        message: str
        status: PostStatus

    class Published(Aggregate.Event):
        TOPIC = "social.post.published"
        networks: tuple[Network, ...]
        at: datetime
        of_campaign: bool
        class_version = 2

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            state["of_campaign"] = False

    class Failed(Aggregate.Event):
        TOPIC = "social.post.failed"
        message: str

    @event(Drafted)
    def __init__(
        self,
        content: str,
        networks: tuple[Network, ...],
        texts: dict[Network, str],
        optimised: bool,
        media_urls: tuple[str, ...],
        hashtags: tuple[str, ...],
        mentions: tuple[str, ...],
        location: str | None,
        problems: dict[Network, tuple[Problem, ...]],
        of_campaign: bool = False,
    ) -> None:
        self.of_campaign = of_campaign
        self.content, self.networks, self.texts, self.optimised = (
            content,
            networks,
            texts,
            optimised,
        )
        self.media_urls, self.hashtags, self.mentions = media_urls, hashtags, mentions
        self.location, self.problems = location, problems
        self.status = PostStatus.DRAFT
        self.scheduled_for: datetime | None = None
        self.published_at: datetime | None = None
        self.out_since: datetime | None = None
        self.error: str | None = None
        self.attempt = 0
        self.outcomes: dict[Network, Outcome] = {
            network: _against_rules(problems[network]) if problems.get(network) else PENDING
            for network in networks
        }

    @property
    def settled(self) -> bool:
        """Nothing more will happen to it by itself."""
        return self.status in (PostStatus.PUBLISHED, PostStatus.FAILED, PostStatus.WITHDRAWN) and (
            all(outcome.settled for outcome in self.outcomes.values())
            or self.status is PostStatus.WITHDRAWN
        )

    def schedule(self, at: datetime) -> None:
        """Have it published at `at`, or move it there; an instant of the past is due at once."""
        match self.status:
            case PostStatus.DRAFT if not self._sendable():
                self._failed(self._first_problem())
            case PostStatus.DRAFT:
                self._scheduled(at)
            case PostStatus.FAILED if self._sendable():
                self._scheduled(at)  # it was missed, and never tried
            case PostStatus.SCHEDULED if at != self.scheduled_for:
                self._rescheduled(at)
            case PostStatus.SCHEDULED:
                pass
            case _:
                raise Conflict(f"A {self.status} post cannot be scheduled.", status=self.status)

    def miss(self, due: datetime, message: str) -> None:
        """Give up what was scheduled for `due`: it has come too late to be of use. Nothing was
        sent, so it may be scheduled again."""
        if self.status is not PostStatus.SCHEDULED or self.scheduled_for != due:
            raise Conflict("The post is not scheduled for that instant.", status=self.status)
        self._failed(message)

    def withdraw(self, reason: str) -> None:
        """Take it back before it goes out."""
        match self.status:
            case PostStatus.DRAFT | PostStatus.SCHEDULED:
                self._withdrawn(reason, self.of_campaign)
            case PostStatus.WITHDRAWN:
                pass
            case _:
                raise Conflict(f"A {self.status} post cannot be withdrawn.", status=self.status)

    def start_publication(self, due: datetime) -> None:
        """Decide to publish now what was scheduled for `due`; another instant is out of date."""
        if self.status is not PostStatus.SCHEDULED or self.scheduled_for != due:
            raise Conflict("The post is not scheduled for that instant.", status=self.status)
        self._publication_started(self.attempt + 1, self._sendable(), PostStatus.PUBLISHING)

    def retry(self) -> None:
        """Decide to publish again, to those networks alone that certainly have not got it."""
        failed = tuple(
            network
            for network, outcome in self.outcomes.items()
            if outcome.status is OutcomeStatus.FAILED and outcome.provider
        )
        if self.status not in (PostStatus.PUBLISHED, PostStatus.FAILED) or not failed:
            raise Conflict("There is no network to try again.", status=self.status)
        status = PostStatus.PUBLISHED if self.published_at else PostStatus.PUBLISHING
        self._publication_started(self.attempt + 1, failed, status)

    def record(self, attempt: int, outcomes: Mapping[Network, Outcome]) -> None:
        """What the networks answered. Repeats, and answers to earlier attempts, change nothing."""
        for network, outcome in outcomes.items():
            known = self.outcomes.get(network)
            if known is None or attempt != self.attempt or known.settled:
                continue
            provider = outcome.provider or ""
            match outcome.status:
                case OutcomeStatus.PUBLISHED:
                    assert outcome.network_post_id and outcome.url
                    at = outcome.at or now()
                    self._published_on(
                        network,
                        attempt,
                        provider,
                        outcome.network_post_id,
                        outcome.url,
                        at,
                        self._on(OutcomeStatus.PUBLISHED),
                        self.out_since or at,
                    )
                case OutcomeStatus.FAILED:
                    self._refused_by(
                        network, attempt, provider, outcome.code or "", outcome.message or ""
                    )
                case OutcomeStatus.UNCONFIRMED if known.status is not OutcomeStatus.UNCONFIRMED:
                    status = PostStatus.PUBLISHED if self.published_at else PostStatus.UNCONFIRMED
                    self._left_unconfirmed(
                        network, attempt, provider, outcome.message or "", status
                    )
                case _:
                    pass
        self._conclude()

    def _conclude(self) -> None:
        out = self._on(OutcomeStatus.PUBLISHED)
        if out and self.published_at is None:
            self._published(out, self.out_since or now(), self.of_campaign)
        elif not out and self.status is not PostStatus.FAILED and self._all_settled():
            self._failed(self._first_problem())

    def _all_settled(self) -> bool:
        return all(outcome.settled for outcome in self.outcomes.values())

    def _on(self, status: OutcomeStatus) -> tuple[Network, ...]:
        return tuple(n for n, outcome in self.outcomes.items() if outcome.status is status)

    def _sendable(self) -> tuple[Network, ...]:
        return self._on(OutcomeStatus.PENDING)

    def _first_problem(self) -> str:
        texts = (f"{n}: {o.message}" for n, o in self.outcomes.items() if o.message)
        return next(texts, "No network has taken the post.")

    @event(Scheduled)
    def _scheduled(self, at: datetime) -> None:
        self.status, self.scheduled_for, self.error = PostStatus.SCHEDULED, at, None

    @event(Rescheduled)
    def _rescheduled(self, at: datetime) -> None:
        self.scheduled_for = at

    @event(Withdrawn)
    def _withdrawn(self, reason: str, of_campaign: bool) -> None:
        self.status = PostStatus.WITHDRAWN

    @event(PublicationStarted)
    def _publication_started(
        self, attempt: int, networks: tuple[Network, ...], status: PostStatus
    ) -> None:
        self.attempt, self.status, self.error = attempt, status, None
        for network in networks:
            self.outcomes[network] = Outcome(OutcomeStatus.PUBLISHING)

    @event(PublishedOn)
    def _published_on(
        self,
        network: Network,
        attempt: int,
        provider: str,
        network_post_id: str,
        url: str,
        at: datetime,
        beside: tuple[Network, ...],
        since: datetime,
    ) -> None:
        self.out_since = since
        self.outcomes[network] = Outcome(
            OutcomeStatus.PUBLISHED, provider, network_post_id=network_post_id, url=url, at=at
        )

    @event(RefusedBy)
    def _refused_by(
        self, network: Network, attempt: int, provider: str, code: str, message: str
    ) -> None:
        self.outcomes[network] = Outcome(OutcomeStatus.FAILED, provider, code=code, message=message)

    @event(LeftUnconfirmed)
    def _left_unconfirmed(
        self, network: Network, attempt: int, provider: str, message: str, status: PostStatus
    ) -> None:
        self.outcomes[network] = Outcome(OutcomeStatus.UNCONFIRMED, provider, message=message)
        self.status = status

    @event(Published)
    def _published(self, networks: tuple[Network, ...], at: datetime, of_campaign: bool) -> None:
        self.status, self.published_at = PostStatus.PUBLISHED, at

    @event(Failed)
    def _failed(self, message: str) -> None:
        self.status, self.error = PostStatus.FAILED, message


def _against_rules(problems: Sequence[Problem]) -> Outcome:
    first = problems[0]
    return replace(PENDING, status=OutcomeStatus.FAILED, code=first.code, message=first.message)
