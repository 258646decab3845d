"""Figures of trends are what the events add up to; what is not to be shown is not."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as suppose
from hypothesis import strategies as st

from application.social.topics import hashtags_of, topics_of
from application.social.trend_figures import Amounts, Timeframe
from domain.personal import ERASED
from domain.social.engagement import Engagement
from domain.social.mentions import Mention
from domain.social.trends import (
    Rising,
    TrendDay,
)
from infrastructure.read_models.rebuild import rebuild
from projections.social.trend_report import Window
from projections.social.trends import Trends, mark_of
from tests.infrastructure.read_side import contents
from tests.rooms import append
from tests.social.trend_rooms import FACEBOOK, HASHTAG, HOUR, NETWORKS, NOW, START, TOPIC, X, shown
from tests.social.trend_world import World, asked, fold, person_of, wipe


@pytest.fixture(scope="module")
def url(create_database, template):
    return create_database(template)


instants = st.integers(0, 3 * 24 * 6).map(lambda n: NOW - timedelta(minutes=10 * n, seconds=n))


words = st.sampled_from(
    ["Summer sale #Bags #bags", "the summer dress", "#bags", "winter coat #Coat"]
)


authors = st.sampled_from(["amira", "bo", "chiara"])


networks = st.sampled_from(NETWORKS)


happenings = st.one_of(
    st.tuples(st.just("mention"), words, authors, instants, networks, st.integers(0, 9)),
    st.tuples(st.just("comment"), words, authors, instants, networks),
    st.tuples(st.just("report"), st.integers(0, 50), instants, st.just(["bags", "coat"]), networks),
    st.tuples(
        st.just("lists"),
        st.lists(
            st.builds(Rising, st.sampled_from(["#bags", "#Coat", "summer"]), st.integers(1, 99)),
            max_size=2,
            unique_by=lambda each: each.name,
        ),
        instants,
        networks,
    ),
)


def wanted(events, side, window, among):
    """Uses, own uses and engagement of each name in the period or the one before."""
    since, until = (window.since, window.end) if side else (window.before, window.since)
    uses, own, engagement = Counter(), Counter(), Counter()
    for event in events:
        match event:
            case Mention.Detected() if event.network in among and since <= event.written_at < until:
                gained = event.likes + event.shares + event.comments
                for name in {*topics_of(event.text), *(f"#{t}" for t in hashtags_of(event.text))}:
                    uses[name] += 1
                    engagement[name] += gained
            case Engagement.CommentReceived(comment=said) if event.network in among:
                if since <= said.at < until:
                    uses.update({*topics_of(said.text), *(f"#{t}" for t in hashtags_of(said.text))})
            case Engagement.Grew(posted=posted) if event.network in among:
                for tag in posted.hashtags:
                    own[f"#{tag}"] += event.first and since <= posted.at < until
                    if since <= event.at < until:
                        engagement[f"#{tag}"] += event.added.likes
    names = uses.keys() | {n for n in own if own[n]} | {n for n in engagement if engagement[n]}
    return {name: (uses[name], own[name], engagement[name]) for name in names}


def found(figures, side):
    sums = {}
    for (kind, name), of in figures.terms.items():
        total = sum((each for (_, now), each in of.items() if now is side), Amounts())
        if total != Amounts():
            label = f"#{name}" if kind is HASHTAG else name
            if any((total.uses, total.own, total.engagement)):
                sums[label] = (total.uses, total.own, total.engagement)
    return sums


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@suppose(
    history=st.lists(happenings, min_size=1, max_size=20),
    timeframe=st.sampled_from(list(Timeframe)),
    among=st.lists(networks, min_size=1, unique=True),
)
def test_figures_add_up_to_the_events(url, history, timeframe, among):
    wipe(url)
    world = World(START)
    for what, *how in history:
        getattr(world, what)(*how)
    fold(url, world.events)
    window = Window.of(timeframe, NOW)
    figures = asked(url, timeframe, NOW, among)
    current, before = (wanted(world.events, side, window, among) for side in (True, False))
    got = found(figures, True)
    # Names that only gained engagement, or that were only used before, need not be looked up.
    assert {n: v for n, v in current.items() if v[0] + v[1]} == {
        n: v for n, v in got.items() if v[0] + v[1]
    }
    assert got.items() <= current.items()
    assert found(figures, False).items() <= before.items()
    lists = [
        e
        for e in world.events
        if isinstance(e, TrendDay.Observed) and e.network in among and e.rising
    ]
    of = [e for e in lists if window.since <= e.at < window.end]
    assert sum(each.hours for (_, now), each in figures.lists.items() if now) == len(of)
    volumes = Counter()
    for event in of:
        for each in event.rising:
            volumes[each.name.lower().lstrip("#")] += each.volume
    for (_, name), sides in figures.listed.items():
        assert sum(e.volume for (_, now), e in sides.items() if now) == volumes[name]
    texts = sum(
        window.since <= when < window.end
        for event in world.events
        if getattr(event, "network", None) in among
        for when in [
            getattr(event, "written_at", None)
            or getattr(getattr(event, "comment", None), "at", None)
        ]
        if when
    )
    assert (
        sum(row["heard"] for row in figures.totals if row["current"]) == texts == len(figures.heard)
    )


def lettered(n):
    """A number in letters, since digits are no words."""
    return "".join("abcdefghij"[int(digit)] for digit in f"{n:02}")


def busy():
    world = World(START)
    for n in range(40):
        when = NOW - n * timedelta(minutes=97)
        who = ("amira", "bo", "chiara")[n % 3]
        world.mention(
            f"The summer sale is on, {lettered(n % 7)} #Bags", who, when, NETWORKS[n % 2], n
        )
        world.comment(
            f"Lovely linen, unique{lettered(n)} #Coat", who, when, NETWORKS[n % 2], post=n % 3
        )
        world.report(n * 3 + 1, when, ["bags"], NETWORKS[n % 2], post=n % 3)
    world.post("Our linen is here #Linen", NOW - HOUR)
    world.lists([Rising("#linen", 900), Rising("slow fashion", 500)], NOW - HOUR)
    return world


def tables(url):
    with psycopg.connect(url, autocommit=True) as admin:
        return {
            table.name: contents(admin, table)
            for table in Trends.tables
            if table.name != "social_trend_changes"
        }


def test_nothing_is_left_of_somebody_who_is_erased(url):
    """The tables are those that would be, had the texts always read as they do now."""
    wipe(url)
    world = busy()
    world.erase("bo")
    fold(url, world.events)
    live = tables(url)
    wipe(url)
    for event in world.events[:-1]:
        if person_of("bo") in event.persons.values():
            match event:
                case Mention.Detected():
                    event.__dict__["text"] = ERASED
                case Engagement.CommentReceived(comment=comment):
                    event.__dict__["comment"] = replace(comment, author=ERASED, text=ERASED)
    fold(url, world.events[:-1])
    assert tables(url) == live
    assert b"uniqueaa" in live["social_trend_terms"]
    for name, content in live.items():
        assert b"uniqueab" not in content, name


def test_marks_are_taken_from_the_person_alike_in_both_places(url):
    with psycopg.connect(url) as admin:
        for n in range(200):
            person = UUID(int=n * 0x123456789ABCDEF0123456789)
            row = admin.execute(
                "SELECT ('x' || right(%s::uuid::text, 4))::bit(16)::int & 32767", [person]
            ).fetchone()
            assert row == (mark_of(person),)


def test_a_network_that_is_erased_is_gone(url):
    wipe(url)
    world = busy()
    world.post("For later", NOW, out=False)
    world.erase_network(X)
    fold(url, world.events)
    for name, content in tables(url).items():
        assert (b"twitter" in content) is (name == "social_trend_texts"), name  # of a draft alone
    figures = asked(url, Timeframe.WEEK, NOW)
    assert {network for of in figures.terms.values() for network, _ in of} == {FACEBOOK}


def test_rebuilt_tables_are_the_live_ones(database_url):
    world = busy()
    impersonal = [e for e in world.events if not e.persons]  # the log keeps personal texts sealed
    fold(database_url, impersonal)
    live = tables(database_url)
    assert live["social_trend_pieces"] and live["social_trend_listed"]
    with psycopg.connect(database_url, autocommit=True) as admin:
        head = append(admin, _renumbered(impersonal))
        admin.execute("UPDATE read.models SET position = %s", [head])
    asyncio.run(rebuild(database_url, Trends(), processes=2))
    assert tables(database_url) == live


def _renumbered(events):
    """The same with versions that have no gaps."""
    count = Counter()
    for event in events:
        count[event.originator_id] += 1
        event.__dict__["originator_version"] = count[event.originator_id]
    return events


def test_what_gains_far_more_than_others_is_found(url):
    wipe(url)
    world = World(START)
    for post in range(10):
        world.report(10, NOW - timedelta(days=2, minutes=post), [], post=post)
    world.report(90, NOW - HOUR, [], post=3)
    world.mention("Look at this", "bo", NOW - HOUR, likes=70)
    fold(url, world.events)
    best = asked(url, Timeframe.TODAY, NOW).viral
    assert [(each["kind"], each["gained"]) for each in best] == [("post", 80), ("mention", 70)]
    assert best[0]["typical"] == 18.0


def test_no_name_is_too_long_for_the_tables(url):
    wipe(url)
    world = World(START)
    endless = "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(4_000))
    world.mention(f"Hello there #{endless} #fine", "bo", NOW - HOUR)
    world.comment(f"#{endless}", "bo", NOW - HOUR)
    world.report(5, NOW - HOUR, [endless])
    world.lists([Rising(f"#{endless}", 5), Rising(endless, 5)], NOW - HOUR)
    fold(url, world.events)
    names = {name for _, name in asked(url, Timeframe.TODAY, NOW).terms}
    assert "fine" in names and max(map(len, names)) <= 100


def test_other_tenants_figures_stay_theirs(url):
    wipe(url)
    world = busy()
    fold(url, world.events)
    theirs = asked(url, Timeframe.MONTH, NOW, tenant="acme")
    assert theirs == replace(shown(), hours=theirs.hours)


def test_samples_and_candidates_have_a_bound(url, monkeypatch):
    monkeypatch.setattr("projections.social.trend_report.SAMPLE", 5)
    monkeypatch.setattr("projections.social.trend_report.EXAMINED", 3)
    monkeypatch.setattr("projections.social.trend_report.OWN_SAMPLE", 1)
    wipe(url)
    fold(url, busy().events)
    figures = asked(url, Timeframe.WEEK, NOW)
    assert (len(figures.heard), len(figures.own)) == (5, 1)
    assert Counter(kind for kind, _ in figures.terms)[TOPIC] <= 3
