"""Trends: what is looked at, in which words and periods, and by which measures."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given as suppose
from hypothesis import strategies as st

from application.social.industries import INDUSTRIES, industry_of
from application.social.places import PLACES, place_of
from application.social.topics import hashtags_of, topics_of
from application.social.trend_advice import EMBEDDED, Findings, advice
from application.social.trend_figures import LENGTHS, Amounts, Lists, Text, Timeframe
from application.social.trend_relevance import related, relevance
from application.social.trend_watching import WATCHER, look_again
from application.social.trends import MATTERS, measured, momentum, ranked, significance
from domain.kernel import Invalid
from domain.personal import ERASED
from domain.social.trends import (
    MOST_PLACES,
    WANTED_AGAIN,
    WORLD,
    Rising,
    Trend,
    TrendDay,
    TrendWatch,
)
from infrastructure.networks.sandbox_trends import LISTED, listed
from projections.social.trend_report import Window, cover
from projections.social.trends import start_of
from tests.kernel import at, heard, said
from tests.social.trend_rooms import HASHTAG, HOUR, NOW, TOPIC, X, shown


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
