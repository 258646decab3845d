"""A tenant's networks as the tests make them up: what is said, listed and done there."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import psycopg
from psycopg.rows import dict_row

from application.social.posts import CreatePost
from application.social.sentiment import sentiment
from application.social.trend_figures import Figures, Timeframe
from domain.compliance.erasures import Erasure
from domain.social.connections import Connection
from domain.social.engagement import Comment, Engagement, Posted
from domain.social.engagement import Figures as Counters
from domain.social.mentions import Mention, Priority, Reading
from domain.social.networks import Network
from domain.social.posts import Outcome, OutcomeStatus
from domain.social.text import hashtags_in
from domain.social.trends import WORLD, Rising, TrendDay
from infrastructure.read_models import folding, registry
from infrastructure.read_models.flush import Prepared, prepared
from projections.kernel import Rows
from projections.social.posts import Posts
from projections.social.trend_report import Window, figures, figures_of
from projections.social.trends import Trends
from tests.kernel import at

MODELS = (Posts(), Trends())
BATCH = 40
X = Network.TWITTER


def person_of(handle: str) -> UUID:
    """The id of somebody's key."""
    return uuid5(NAMESPACE_URL, handle)


def detected(
    text: str, author: str, when: datetime, network: Network = X, likes: int = 0, n: int = 0
) -> Mention:
    """A mention as the importer makes it."""
    reading = Reading(sentiment(text))
    return Mention(
        network=network, network_mention_id=f"{author}-{when.timestamp()}-{n}", url=None,
        author=author, author_handle=author, followers=1, text=text, written_at=when,
        language="en", sentiment=reading.sentiment, tone=reading.tone, priority=Priority.LOW,
        likes=likes, shares=0, comments=0, requires_response=False, keywords=(),
        hashtags=tuple(hashtags_in(text)),
    )  # fmt: skip


class World:
    """Events, in the order in which they came into the log."""

    def __init__(self, start: datetime, tenant: str = "demo") -> None:
        self.start, self.tenant = start, tenant
        self.events: list[Any] = []
        self.engagements: dict[UUID, Engagement] = {}
        self.days: dict[UUID, TrendDay] = {}
        self.said = 0

    def _keep(self, aggregate: Any, **persons: UUID) -> None:
        for event in aggregate.collect_events():
            event.__dict__["persons"] = persons
            self.events.append(event)

    def mention(
        self, text: str, author: str, when: datetime, network: Network = X, likes: int = 0
    ) -> None:
        self.said += 1
        with at(self.start, tenant=self.tenant):
            heard = detected(text, author, when, network, likes, self.said)
        self._keep(heard, text=person_of(author))

    def comment(
        self, text: str, author: str, when: datetime, network: Network = X, post: int = 1
    ) -> None:
        self.said += 1
        said = Comment(f"c{self.said}", author, text, when, sentiment(text))
        with at(self.start, tenant=self.tenant):
            engagement = self._engagement(post)
            engagement.receive(network, [said])
        self._keep(engagement, **{"comment.author": person_of(author)})

    def report(
        self, likes: int, when: datetime, tags: Sequence[str], network: Network = X, post: int = 1
    ) -> None:
        """The total of likes of a post that went out an hour after the start."""
        posted = Posted(self.start + timedelta(hours=1), tuple(tags))
        with at(self.start, tenant=self.tenant):
            engagement = self._engagement(post)
            engagement.report(network, when, Counters(likes=likes), posted)
        self._keep(engagement)

    def _engagement(self, post: int) -> Engagement:
        id = uuid5(NAMESPACE_URL, f"{self.tenant}:{post}")
        if id not in self.engagements:
            self.engagements[id] = Engagement(post_id=id)
        return self.engagements[id]

    def post(self, text: str, when: datetime, network: Network = X, *, out: bool = True) -> None:
        with at(when, tenant=self.tenant):
            post = CreatePost(content=text, platforms=[network], ai_optimize=False).handle()
            if out:
                post.start_publication(post.scheduled_for)
                done = Outcome(OutcomeStatus.PUBLISHED, "x", network_post_id="1", url="u", at=when)
                post.record(post.attempt, {network: done})
        self._keep(post)

    def lists(
        self, rising: Sequence[Rising], when: datetime, network: Network = X, place: str = WORLD
    ) -> None:
        with at(when, tenant=self.tenant):
            id = TrendDay.create_id(network, when.date())
            if id not in self.days:
                self.days[id] = TrendDay(network=network, day=when.date())
            self.days[id].observe(place, when, "x", rising)
        self._keep(self.days[id])

    def erase(self, author: str) -> None:
        with at(self.start, tenant=self.tenant):
            self._keep(Erasure(person=person_of(author), subject="hash"))

    def erase_network(self, network: Network) -> None:
        with at(self.start, tenant=self.tenant):
            connection = Connection(network=network)
            connection.trigger_event(Connection.DataErased, network=network)
        self._keep(connection)


def fold(url: str, events: Sequence[Any], first: int = 1) -> None:
    """Events into the read models, batch by batch, without a detour through the log."""

    async def carry() -> None:
        async with await registry.connect(url, "test") as connection:
            await registry.enrol(connection, registry.declared(MODELS).values())
            for since in range(0, len(events), BATCH):
                batch = events[since : since + BATCH]
                await folding.carry_out(connection, statements(batch, first + since))

    asyncio.run(carry())


def statements(events: Sequence[Any], first: int) -> list[Prepared]:
    done = []
    for model in MODELS:
        rows = Rows(model.tables)
        for position, event in enumerate(events, first):
            if event.TOPIC in model.interests:
                model.fold(event, rows, position)
        done += prepared(rows)
    return done


def asked(
    url: str,
    timeframe: Timeframe,
    now: datetime,
    networks: Sequence[Network] = tuple(Network),
    place: str = WORLD,
    tenant: str = "demo",
) -> Figures:
    window = Window.of(timeframe, now)
    query = figures(window, networks, place)
    with psycopg.connect(url, row_factory=dict_row) as admin:
        row = admin.execute(query.sql.encode(), {**query.params, "tenant": tenant}).fetchone()
    assert row is not None
    return figures_of(row, window, place)


def wipe(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("TRUNCATE log.events, read.models CASCADE")
        for table in (table for model in MODELS for table in model.tables):
            admin.execute(f"DROP TABLE IF EXISTS read.{table.name}".encode())
