"""Figures of trends are what the events add up to; what is not to be shown is not."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as suppose
from hypothesis import strategies as st

from application.social.industries import INDUSTRIES, industry_of
from application.social.places import PLACES, place_of
from application.social.topics import hashtags_of, topics_of
from application.social.trend_advice import EMBEDDED, Findings, advice
from application.social.trend_figures import LENGTHS, Amounts, Figures, Lists, Text, Timeframe
from application.social.trend_relevance import related, relevance
from application.social.trend_watching import WATCHER, look_again
from application.social.trends import MATTERS, measured, momentum, ranked, significance
from domain.kernel import Invalid
from domain.personal import ERASED
from domain.social.engagement import Engagement
from domain.social.mentions import Mention
from domain.social.networks import Network
from domain.social.trends import (
    MOST_PLACES,
    WANTED_AGAIN,
    WORLD,
    Rising,
    Trend,
    TrendDay,
    TrendKind,
    TrendWatch,
)
from infrastructure.networks.sandbox_trends import LISTED, listed
from infrastructure.read_models.rebuild import rebuild
from projections.social.trend_report import Window, cover
from projections.social.trends import Trends, mark_of, start_of
from tests.infrastructure.read_side import contents
from tests.kernel import at, heard, said
from tests.rooms import append
from tests.social.trend_world import World, asked, fold, person_of, wipe

NOW = datetime(2030, 3, 5, 14, 37, 12, tzinfo=UTC)
START = NOW - timedelta(days=3)
X, FACEBOOK = Network.TWITTER, Network.FACEBOOK
HASHTAG, TOPIC = TrendKind.HASHTAG, TrendKind.TOPIC
NETWORKS = [X, FACEBOOK]
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def url(create_database, template):
    return create_database(template)


# What is looked at


def test_a_watch_begins_once_and_is_wanted_again_after_a_week():
    with at(NOW):
        watch = TrendWatch()
        watch.want()
    assert heard(watch) == [said(TrendWatch.Began)]
    with at(NOW + WANTED_AGAIN - HOUR):
        watch.want()
    assert heard(watch) == []
    with at(NOW + WANTED_AGAIN):
        watch.want()
        watch.want()
    assert heard(watch) == [said(TrendWatch.Wanted)]
    assert watch.wanted(NOW + timedelta(days=36))
    assert not watch.wanted(NOW + timedelta(days=38))


def test_the_oldest_place_makes_room():
    codes = sorted(PLACES)[: MOST_PLACES + 1]
    with at(NOW):
        watch = TrendWatch()
        for code in [*codes, codes[-1]]:
            watch.want(code)
    assert heard(watch)[-1] == said(TrendWatch.PlaceAdded, place=codes[-1], instead_of=codes[0])
    assert watch.places == codes[1:]


def test_each_place_is_noted_once_an_hour():
    rising = [Rising("#a", 5)]
    with at(NOW):
        day = TrendDay(network=X, day=NOW.date())
        day.observe(WORLD, NOW, "sandbox", rising)
        day.observe(WORLD, NOW + timedelta(minutes=20), "sandbox", [Rising("#b")])
        day.observe("DE", NOW, "sandbox", None)
        day.observe(WORLD, NOW + HOUR, "sandbox", (), answered=False)
    noted = [(e.says["place"], e.says["offered"], e.says["answered"]) for e in heard(day)[1:]]
    assert noted == [(WORLD, True, True), ("DE", False, True), (WORLD, True, False)]


def test_one_look_follows_from_each_and_only_from_the_worlds():
    def observed(place, offered, rising, actor=WATCHER):
        with at(NOW, actor=actor):
            day = TrendDay(network=X, day=NOW.date())
            day.observe(place, NOW, "sandbox", rising if offered else None)
        return day.collect_events()[-1]

    again, tell = look_again(observed(WORLD, True, [Rising("#a")]))
    assert (again.name, tell.name) == ("social.observe_trends", "social.detect_trends")
    hour = NOW.replace(minute=0, second=0)
    assert hour + HOUR <= again.at < hour + 2 * HOUR
    (again,) = look_again(observed(WORLD, False, ()))
    assert hour + timedelta(hours=24) <= again.at < hour + timedelta(hours=25)
    assert list(look_again(observed("DE", True, [Rising("#a")]))) == []
    assert list(look_again(observed(WORLD, True, [Rising("#a")], "tidings:demo"))) == []


def test_a_trend_has_one_stream_in_a_week():
    monday = date(2030, 3, 4)
    one = Trend.create_id(HASHTAG, "a", monday, "demo")
    others = [
        (TOPIC, "a", monday, "demo"),
        (HASHTAG, "b", monday, "demo"),
        (HASHTAG, "a", monday + timedelta(7), "demo"),
        (HASHTAG, "a", monday, "acme"),
    ]
    assert one not in {Trend.create_id(*each) for each in others}


def test_the_sandbox_rises_and_falls_and_can_be_foretold():
    lists = [listed(X, WORLD, NOW + n * HOUR) for n in range(48)]
    assert lists[0] == listed(X, WORLD, NOW) and len(lists[0]) == LISTED
    by_hour = [{each.name: each.volume for each in one} for one in lists]
    moves = [
        (a[n] < b[n]) - (a[n] > b[n]) for a, b in pairwise(by_hour) for n in a.keys() & b.keys()
    ]
    assert {-1, 1} <= set(moves)
    assert by_hour[0].keys() != by_hour[24].keys()
    assert {e.name for e in listed(X, "DE", NOW)} != {e.name for e in listed(X, "FR", NOW)}
    assert any(e.name.startswith("#") for e in lists[0])


# Words


def test_a_text_comes_down_to_what_it_is_about():
    text = "Where can I get the Summer Sale bag, @Bo? See https://x.com/a or bo@x.org #Bags 2030!"
    assert topics_of(text) == ["summer", "sale", "bag", "summer sale", "sale bag"]
    assert hashtags_of(text) == ["bags"]
    assert topics_of("Der Sommerschlussverkauf ist da. C'est magnifique !") == [
        "sommerschlussverkauf",
        "magnifique",
    ]
    assert topics_of("夏のセール") == topics_of("42 :-) …") == []


def test_nothing_is_read_out_of_an_erased_text():
    assert topics_of(ERASED) == hashtags_of(ERASED) == []


@suppose(st.text())
def test_no_account_address_or_number_is_a_topic(text):
    hidden = {word for word in ("someone", "mail", "secret") if word not in text.lower()}
    for name in topics_of(f"{text} @someone hidden@mail.org https://secret.example 12345"):
        assert not set(name) & set("@#:/0123456789")
        assert not hidden & set(name.split())


# Periods


@suppose(
    st.integers(0, 2 * 366 * 86400),
    st.sampled_from(list(Timeframe)),
)
def test_a_period_is_few_whole_parts_each_instant_once(seconds, timeframe):
    now = datetime(2029, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    window = Window.of(timeframe, now)
    assert window.since - window.before == LENGTHS[timeframe]
    assert timedelta(0) <= now - window.since - LENGTHS[timeframe] < timedelta(minutes=10)
    for since, until in ((window.since, window.end), (window.before, window.since)):
        parts = sorted(cover(since, until), key=lambda part: part[1])
        assert len(parts) <= 5
        edges = [since, *(each for part in parts for each in part[1:]), until]
        assert edges == sorted(edges)
        assert all(a == b for a, b in zip(edges[::2], edges[1::2], strict=True))
        assert all(start_of(grain, since) == since for grain, since, _ in parts)


# Measures


def test_growth_is_told_from_accident():
    assert significance(10, 10, 1) == 0
    assert 0 < significance(12, 10, 1) < 1 < 2 < significance(30, 10, 1)
    assert significance(10, 5, 2) == pytest.approx(0, abs=0.2)  # twice the time, twice the uses
    assert significance(5, 20, 1) < -2
    assert momentum(-3) == momentum(0) == 0
    assert momentum(2) == 0.5
    assert 0.99 < momentum(20) < 1


@suppose(st.lists(st.integers(0, 32767), max_size=30))
def test_marks_tell_whether_several_people_spoke(marks):
    amounts = sum((Amounts(1, marks=m, squares=m * m) for m in marks), Amounts())
    assert amounts.several_people == (len(set(marks)) > 1)


def shown(**changes):
    nothing = Figures((24.0, 24.0), WORLD, {}, {}, {}, (), [], [], ())
    return replace(nothing, **changes)


def used(now, before=0, people=2):
    marks = [n % people + 1 for n in range(now)]
    present = Amounts(now, marks=sum(marks), squares=sum(m * m for m in marks))
    return {(X, True): present, (X, False): Amounts(before, marks=before, squares=before)}


@pytest.mark.parametrize(
    ("now", "before", "growth"), [(9, 4, 1.0), (4, 4, 0.0), (3, 7, -0.5), (4, 0, 4.0)]
)
def test_growth_compares_with_the_period_before(now, before, growth):
    figures = shown(terms={(HASHTAG, "a"): used(now, before)})
    assert measured(figures, HASHTAG, "a").growth == growth
    longer = replace(figures, hours=(48.0, 24.0))
    half = (now / 2 + 1) / (before + 1) - 1  # as many uses in twice the time
    assert measured(longer, HASHTAG, "a").growth == pytest.approx(half, abs=1e-4)


def test_what_networks_list_counts_by_the_hours_of_their_lists():
    lists = {(X, True): Lists(hours=24, least=24_000), (X, False): Lists(hours=12, least=12_000)}
    of = {(X, True): Lists(48_000, 24, 24_000), (X, False): Lists(6_000, 6, 6_000)}
    figures = shown(listed={(HASHTAG, "a"): of}, lists=lists)
    found = measured(figures, HASHTAG, "a")
    assert found.volume == 2000
    assert found.growth == pytest.approx(1.0, abs=0.01)  # what was not listed had 1,000 at the most
    assert found.networks == found.listed_on == [X]
    week = replace(figures, hours=(168.0, 168.0))
    assert measured(week, HASHTAG, "a").volume == 2000
    hour = replace(
        figures, hours=(1.0, 1.0), listed={(HASHTAG, "a"): {(X, True): Lists(2400, 1, 900)}}
    )
    assert measured(hour, HASHTAG, "a").volume == 100


def test_without_lists_of_the_period_before_nothing_is_compared():
    figures = shown(
        listed={(HASHTAG, "a"): {(X, True): Lists(5000, 1, 100)}},
        lists={(X, True): Lists(hours=1, least=100)},
    )
    found = measured(figures, HASHTAG, "a")
    assert (found.growth, found.momentum, found.volume) == (0.0, 0.0, 5000)
    assert not found.matters


def test_words_of_one_person_are_shown_to_nobody():
    figures = shown(terms={(TOPIC, "secret"): used(9, people=1)})
    assert ranked(figures, TOPIC) == []
    assert [e.name for e in ranked(shown(terms={(TOPIC, "secret"): used(9)}), TOPIC)] == ["secret"]
    own = replace(figures, own=[Text(frozenset(["secret"]), None, 0)])
    assert [e.name for e in ranked(own, TOPIC)] == ["secret"]
    beside = [Text(frozenset(["sale", "amira"]), "1", 0), Text(frozenset(["sale", "bag"]), "1", 0),
              Text(frozenset(["sale", "bag"]), "2", 0)]  # fmt: skip
    assert related(shown(heard=beside), "sale") == ["bag"]


def test_relevance_comes_from_own_posts_from_others_and_from_what_is_near():
    own = [Text(frozenset(["#fashion", "linen"]), None, 0)] * 2
    figures = shown(own=own)
    assert relevance(figures, "#cars", Amounts()) == 0
    assert relevance(figures, "#cars", Amounts(uses=10)) == 0.5
    assert relevance(figures, "#slowfashion", Amounts()) == pytest.approx(0.8 * 7 / 11, abs=1e-4)
    assert relevance(figures, "linen shirts", Amounts()) == 0.4
    assert relevance(figures, "#fashion", Amounts()) > 0.8
    near = [Text(frozenset(["#repair", "linen"]), "1", 0), Text(frozenset(["#repair"]), "2", 0)]
    assert relevance(replace(figures, heard=near), "#repair", Amounts()) == 0.4
    for uses in range(100):
        assert 0 <= relevance(figures, "#fashion", Amounts(uses, own=uses)) <= 1


def test_what_rises_and_is_the_brands_comes_first_and_matters():
    own = [Text(frozenset(["#fashion"]), None, 0)] * 4
    terms = {
        (HASHTAG, "fashion"): used(40, 5),
        (HASHTAG, "cars"): used(3, 2),
        (HASHTAG, "fading"): used(2, 9),
    }
    figures = shown(terms=terms, own=own)
    found = ranked(figures, HASHTAG)
    assert [each.name for each in found] == ["fashion", "cars"]
    assert [each.matters for each in found] == [True, False]
    assert found[0].relevance > MATTERS and 0.5 < found[0].score <= 1
    said = advice(Findings(figures, Timeframe.TODAY, [X], found, [], []))
    assert said[0].startswith("Use #fashion on twitter soon: 583 % more than in the 24 hours")
    assert said[-1] == EMBEDDED
    assert "No list of trends has come from twitter in this period." in said


def test_a_word_within_a_pair_that_is_said_as_often_is_told_once():
    terms = {(TOPIC, name): used(6) for name in ("summer", "sale", "summer sale")}
    terms[TOPIC, "sale"] = used(9)
    assert {each.name for each in ranked(shown(terms=terms), TOPIC)} == {"sale", "summer sale"}


def test_an_industry_is_told_by_its_words_and_what_stands_beside_them():
    terms = {(HASHTAG, name): used(5) for name in ("slowfashion", "cars", "linen")}
    beside = [Text(frozenset(["#linen", "dress"]), "1", 0), Text(frozenset(["#linen"]), "2", 0)]
    found = ranked(shown(terms=terms, heard=beside), HASHTAG, "fashion")
    assert {each.name for each in found} == {"slowfashion", "linen"}


def test_in_a_place_only_what_is_listed_there():
    figures = shown(
        place="DE",
        terms={(HASHTAG, "a"): used(5), (HASHTAG, "b"): used(5)},
        listed={(HASHTAG, "b"): {(X, True): Lists(50, 1, 50)}},
        lists={(X, True): Lists(hours=1, least=50)},
    )
    assert [each.name for each in ranked(figures, HASHTAG)] == ["b"]


@pytest.mark.parametrize("text", ["de", "DE", "Germany", " deutschland "])
def test_places_have_codes_and_names(text):
    assert place_of(text).woeid == 23424829


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Real Estate", "real_estate"),
        ("tech", "technology"),
        ("FASHION", "fashion"),
        ("e-commerce", "retail"),
    ],
)
def test_industries_have_other_names_too(text, name):
    assert industry_of(text) == name in INDUSTRIES


@pytest.mark.parametrize(("find", "field"), [(place_of, "location"), (industry_of, "industry")])
def test_what_is_not_known_is_refused_with_what_is(find, field):
    with pytest.raises(Invalid, match="Known") as refused:
        find("atlantis")
    assert refused.value.field == field


# What the read side adds up

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
