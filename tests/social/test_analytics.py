"""Sums are what the events add up to: any history, any period, live and rebuilt."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as suppose
from hypothesis import strategies as st
from psycopg.rows import dict_row

from application.social.best_times import cell_of, weight
from application.social.figures import Sums
from application.social.posts import CreatePost
from domain.social.connections import Connection
from domain.social.engagement import Comment, Engagement, Figures, Posted
from domain.social.networks import Network
from domain.social.posts import Outcome, OutcomeStatus
from domain.social.text import LONGEST_HASHTAG
from infrastructure.read_models import folding, registry
from infrastructure.read_models.flush import Prepared, prepared
from infrastructure.read_models.rebuild import rebuild
from projections.kernel import Rows
from projections.social import analytics
from projections.social.analytics import Analytics
from projections.social.dashboard import buckets, cover, dashboard
from projections.social.posts import Posts
from projections.social.schedules import Schedules
from tests.infrastructure.read_side import contents
from tests.kernel import at
from tests.rooms import append

START = datetime(2030, 1, 30, 22, 58, tzinfo=UTC)
NETWORKS = [Network.TWITTER, Network.FACEBOOK, Network.LINKEDIN]
MODELS = (Posts(), Analytics(), Schedules())
BATCH = 40
SPAN = 3 * 24 * 3600 * 1_000_000
TAGS = ("fashion", "luxury", "spring")

instants = st.one_of(
    st.integers(0, SPAN),
    st.integers(0, 75).map(lambda hours: hours * 3600 * 1_000_000),
    st.integers(0, 180).map(lambda seconds: seconds * 1_000_000 - 1),
).map(lambda microseconds: START + timedelta(microseconds=microseconds))
figures = st.builds(Figures, *[st.integers(0, 1000)] * 6)
happenings = st.one_of(
    st.tuples(st.just("report"), st.integers(0, 3), st.sampled_from(NETWORKS), instants, figures),
    st.tuples(
        st.just("comment"),
        st.integers(0, 3),
        st.sampled_from(NETWORKS),
        instants,
        st.integers(-10_000, 10_000),
    ),
    st.tuples(
        st.just("publish"),
        st.integers(0, 3),
        st.sampled_from(NETWORKS),
        instants,
        st.booleans(),
    ),
)


@pytest.mark.parametrize(
    ("since", "until", "grains"),
    [
        ("2030-01-01T00:00:00", "2030-01-31T00:00:00", ["day"]),
        ("2030-01-01T00:00:00", "2030-01-01T03:00:00", ["hour"]),
        ("2030-01-01T00:00:00", "2030-01-01T00:00:00", []),
        ("2030-01-01T00:00:00.000001", "2030-01-01T00:00:00.000002", ["instant"]),
        ("2030-01-01T23:59:59", "2030-01-02T00:00:01", ["instant"]),
        ("2030-01-01T12:30:30", "2030-01-31T12:30:30",
         ["day", "hour", "hour", "minute", "minute", "instant", "instant"]),
    ],
)  # fmt: skip
def test_a_period_is_covered_by_few_parts(since, until, grains):
    of = [datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (since, until)]
    assert [part[0] for part in cover(*of)] == grains


@suppose(instants, instants)
def test_parts_cover_each_instant_once(one, other):
    since, until = sorted((one, other))
    parts = sorted(cover(since, until), key=lambda part: part[1])
    assert len(parts) <= 7
    edges = [since, *(each for part in parts for each in part[1:]), until]
    assert edges == sorted(edges)
    assert all(a == b for a, b in zip(edges[::2], edges[1::2], strict=True))


@pytest.mark.parametrize(
    ("unit", "dates"),
    [
        ("day", ["01-30", "01-31", "02-01", "02-02"]),
        ("week", ["01-28"]),
        ("month", ["01-01", "02-01"]),
    ],
)
def test_points_are_days_weeks_from_monday_and_months(unit, dates):
    found = buckets(unit, START, START + timedelta(days=3))
    assert [f"{each:%m-%d}" for each in found] == dates
    assert list(buckets(unit, START, START)) == []


class World:
    """Some posts and their engagement, and what the figures have to be."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.posts: dict[int, Any] = {}
        self.engagements: dict[int, Engagement] = {}
        self.published: dict[int, tuple[datetime, set[Network]]] = {}
        self.said = 0

    def happen(self, what: str, which: int, network: Network, instant: datetime, how: Any) -> None:
        with at(START):
            if what == "publish":
                self._publish(which, network, instant)
                return
            engagement = self.engagements.get(which)
            if engagement is None:
                engagement = self.engagements[which] = Engagement(post_id=self._post(which).id)
            if what == "report":
                posted = Posted(START - timedelta(days=which), TAGS[: which + 1])
                engagement.report(network, instant, how, posted)
            else:
                self.said += 1
                comment = Comment(f"c{self.said}", "Bo", "Hm", instant, how / 10_000)
                engagement.receive(network, [comment])
            self.events += engagement.collect_events()

    def _post(self, which: int) -> Any:
        if which not in self.posts:
            command = CreatePost(content="Hi", platforms=NETWORKS, ai_optimize=False)
            post = self.posts[which] = command.handle()
            post.start_publication(post.scheduled_for)
            self.events += post.collect_events()
        return self.posts[which]

    def _publish(self, which: int, network: Network, instant: datetime) -> None:
        post = self._post(which)
        done = Outcome(OutcomeStatus.PUBLISHED, "x", network_post_id="1", url="u", at=instant)
        post.record(post.attempt, {network: done})
        self.events += post.collect_events()
        _, on = self.published.setdefault(which, (instant, set()))
        on.add(network)

    def sums(self, since: datetime, until: datetime, networks: list[Network]) -> Sums:
        sums = Sums()
        for event in self.events:
            match event:
                case Engagement.Grew(at=then) if event.network in networks:
                    if since <= then < until:
                        for name, much in vars(event.added).items():
                            setattr(sums, name, getattr(sums, name) + much)
                case Engagement.CommentReceived(comment=comment) if event.network in networks:
                    if since <= comment.at < until:
                        sums.rated += 1
                        sums.tone += round(comment.sentiment * 10_000)
        sums.posts = sum(
            since <= first < until and not on.isdisjoint(networks)
            for first, on in self.published.values()
        )
        return sums


def fold(url: str, world: World) -> None:
    """Everything into the read models, batch by batch, without a detour through the log."""

    async def carry() -> None:
        async with await registry.connect(url, "test") as connection:
            await registry.enrol(connection, registry.declared(MODELS).values())
            for since in range(0, len(world.events), BATCH):
                batch = world.events[since : since + BATCH]
                await folding.carry_out(connection, statements(batch, since + 1))

    asyncio.run(carry())


def statements(events: list[Any], first: int) -> list[Prepared]:
    done = []
    for model in MODELS:
        rows = Rows(model.tables)
        for position, event in enumerate(events, first):
            if event.TOPIC in model.interests:
                model.fold(event, rows, position)
        done += prepared(rows)
    return done


def asked(url: str, *of: Any) -> dict[str, Any]:
    query = dashboard(*of)
    with psycopg.connect(url, row_factory=dict_row) as admin:
        row = admin.execute(query.sql.encode(), {**query.params, "tenant": "demo"}).fetchone()
    assert row is not None
    return row


def summed(rows: list[dict[str, Any]], current: bool = True) -> Sums:
    sums = Sums()
    for row in rows or ():
        if (row["bucket"] is not None) is current:
            sums.add(row)
    return sums


def wipe(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        names = [table.name for model in MODELS for table in model.tables]
        admin.execute("TRUNCATE log.events, read.models CASCADE")
        for name in names:
            admin.execute(f"DROP TABLE IF EXISTS read.{name}".encode())


@pytest.fixture(scope="module")
def url(create_database, template):
    return create_database(template)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@suppose(
    history=st.lists(happenings, min_size=1, max_size=25),
    period=st.tuples(instants, instants),
    networks=st.lists(st.sampled_from(NETWORKS), min_size=1, unique=True),
    unit=st.sampled_from(["day", "week", "month"]),
)
def test_figures_add_up_to_the_events(url, history, period, networks, unit):
    wipe(url)
    world = World()
    for each in history:
        world.happen(*each)
    fold(url, world)
    since, until = sorted(period)
    before = since - (until - since)
    row = asked(url, since, until, before, networks, unit)
    assert summed(row["figures"]) == world.sums(since, until, networks)
    assert summed(row["figures"], current=False) == world.sums(before, since, networks)
    for start in buckets(unit, since, until):
        following = next(iter(list(buckets(unit, start, until))[1:]), until)
        of = [
            e
            for e in row["figures"] or ()
            if e["bucket"] and datetime.fromisoformat(e["bucket"]) == start
        ]
        assert summed(of) == world.sums(max(start, since), min(following, until), networks)
    for network in networks:
        on = [e for e in row["figures"] or () if network in e["networks"].split("+")]
        assert summed(on) == world.sums(since, until, [network])


def busy(*, comments: bool = True) -> World:
    """A month with something of everything."""
    world = World()
    for n in range(120):
        network, instant = NETWORKS[n % 3], START + timedelta(hours=n * 5, seconds=n)
        if n < 12:
            world.happen("publish", n % 4, network, instant, None)
        world.happen("report", n % 4, network, instant, Figures(*[n * 10 + k for k in range(6)]))
        if comments:
            world.happen("comment", n % 4, network, instant, n)
    return world


def test_rebuilt_tables_are_the_live_ones(database_url):
    world = busy(comments=False)  # whose texts the log would keep sealed
    fold(database_url, world)
    tables = analytics.FIGURES, analytics.HASHTAGS, analytics.CONTENT, analytics.TIMES
    with psycopg.connect(database_url, autocommit=True) as admin:
        live = [contents(admin, table) for table in tables]
        assert all(live)
        head = append(admin, world.events)
        admin.execute("UPDATE read.models SET position = %s", [head])
        asyncio.run(rebuild(database_url, Analytics(), processes=2))
        assert [contents(admin, table) for table in tables] == live


def test_best_content_tags_and_hours(url):
    wipe(url)
    world = busy()
    fold(url, world)
    until = START + timedelta(days=40)
    row = asked(url, START - timedelta(days=2), until, START, NETWORKS, "day")
    gained = {
        (engagement.post_id, network): total.likes + total.shares + total.comments
        for engagement in world.engagements.values()
        for network, total in engagement.totals.items()
    }
    recent = {engagement.post_id for n, engagement in world.engagements.items() if n <= 2}
    best = sorted((v for (post, _), v in gained.items() if post in recent), reverse=True)
    assert [each["engagement"] for each in row["content"]] == best[:10]
    assert {UUID(each["post_id"]) for each in row["content"]} <= recent
    assert {each["content"] for each in row["content"]} == {"Hi"}
    by_tag = {each["hashtag"]: each["engagement"] for each in row["hashtags"]}
    assert list(by_tag) == list(TAGS)
    assert by_tag["fashion"] == sum(gained.values())
    with psycopg.connect(url, row_factory=dict_row) as admin:
        cells = admin.execute("SELECT * FROM read.social_times").fetchall()
    assert sum(cell["posts"] for cell in cells) == len(gained)
    for n, engagement in world.engagements.items():
        published = START - timedelta(days=n)
        total = sum(v for (post, _), v in gained.items() if post == engagement.post_id)
        of = [cell for cell in cells if cell["cell"] == cell_of(published)]
        assert sum(cell["engagement"] for cell in of) == weight(published) * total


def test_a_network_that_is_erased_is_gone_from_all_figures(url):
    wipe(url)
    world = busy()
    with at(START):
        connection = Connection(network=Network.TWITTER)
        connection.trigger_event(Connection.DataErased, network=Network.TWITTER)
        gone = connection.collect_events()
    world.events += gone
    fold(url, world)
    row = asked(url, START, START + timedelta(days=40), START, NETWORKS, "day")
    others = NETWORKS[1:]
    wanted = world.sums(START, START + timedelta(days=40), others)
    assert summed(row["figures"]) == wanted
    assert {network for e in row["figures"] for network in e["networks"].split("+")} <= set(others)
    assert {each["network"] for each in row["content"]} <= set(others)


def test_other_tenants_figures_stay_theirs(url):
    wipe(url)
    world = World()
    with at(START, tenant="acme"):
        engagement = Engagement(post_id=uuid4())
        report = Figures(*[5] * 6)
        engagement.report(NETWORKS[0], START, report, Posted(START, ("fashion",)))
        world.events += engagement.collect_events()
    fold(url, world)
    row = asked(url, START, START + timedelta(days=1), START, NETWORKS, "day")
    assert row == {"figures": None, "hashtags": None, "content": None}


def test_a_hashtag_of_any_length_is_no_end_of_folding(url):
    wipe(url)
    world = World()
    with at(START):
        engagement = Engagement(post_id=uuid4())
        tags = ("x" * LONGEST_HASHTAG, "".join(map(chr, range(0x4E00, 0x7E00))))
        engagement.report(NETWORKS[0], START, Figures(*[5] * 6), Posted(START, tags))
        world.events += engagement.collect_events()
    fold(url, world)
    with psycopg.connect(url) as admin:
        known = admin.execute("SELECT hashtag FROM read.social_hashtags").fetchall()
    assert known == [(tags[0],)]
