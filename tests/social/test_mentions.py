"""Mentions: how they are weighed, answered and counted; no network is asked here."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as suppose
from hypothesis import strategies as st
from psycopg.rows import dict_row

from api.social.mentions import Alert
from application.social.keywords import ChooseBrandKeywords, SetBrandKeywords
from application.social.mentions import DetectMention, DismissMention, says
from application.social.networks import Overheard, Watch
from application.social.policies import POLICIES
from application.social.webhooks import EMISSIONS
from application.social.webhooks.mentions import MentionDetected
from domain.kernel import Conflict
from domain.personal import personal_fields
from domain.social.connections import Connection, DisconnectedBecause, Link
from domain.social.keywords import BrandKeywords
from domain.social.mentions import (
    INFLUENTIAL,
    Mention,
    Priority,
    Reading,
    Tone,
    mentioner,
    priority_of,
)
from domain.social.networks import Network
from infrastructure.networks.sandbox_mentions import SAYINGS, overheard
from infrastructure.read_models import folding, registry
from infrastructure.read_models.flush import prepared
from infrastructure.settings import UnusableSetting, load
from projections.kernel import Rows
from projections.social.mention_report import heard
from projections.social.mentions import Mentions
from tests.kernel import NOW, at, given, said, when
from tests.kernel import heard as decided

X = Network.TWITTER
HEARD = Overheard(
    id="17",
    text="@acme my parcel is late. Where is it?! #Delivery #delivery",
    at=NOW - timedelta(minutes=5),
    author="Amira",
    handle="amira",
    followers=300,
    url="https://x.com/i/web/status/17",
    likes=3,
    shares=2,
    comments=1,
)


def detect(network=X, words=("Acme",), **more):
    return DetectMention(network=network, words=words, overheard=replace(HEARD, **more))


class Answer:
    def __init__(self, response_id):
        self.response_id = response_id

    def handle(self, mention):
        mention.answer(self.response_id, NOW)


def test_what_was_heard_is_weighed_and_written_down():
    with at(NOW):
        mention = detect().handle()
    (event,) = decided(mention)
    score = event.says["sentiment"]
    assert score < 0
    assert event == said(
        Mention.Detected,
        network=X,
        network_mention_id="17",
        url="https://x.com/i/web/status/17",
        author="Amira",
        author_handle="amira",
        followers=300,
        text=HEARD.text,
        written_at=HEARD.at,
        language="en",
        sentiment=score,
        tone=Tone.NEGATIVE,
        priority=Priority.HIGH,
        likes=3,
        shares=2,
        comments=1,
        requires_response=True,
        keywords=("Acme",),
        hashtags=("delivery",),
    )


def test_the_same_mention_is_one_stream_and_another_tenants_is_another():
    with at(NOW):
        ids = {detect().handle().id, detect(text="edited").handle().id}
        assert ids == {Mention.create_id(X, "17"), Mention.create_id(X, "17", "demo")}
        assert Mention.create_id(Network.FACEBOOK, "17") not in ids
    with at(NOW, tenant="acme"):
        assert detect().handle().id not in ids


def test_a_mention_has_one_answer():
    mention = given(detect())
    assert not mention.answered
    answered = said(Mention.Answered, response_id="resp_1", at=NOW)
    assert when(mention, Answer("resp_1")) == [answered]
    assert mention.answered
    assert when(mention, Answer("resp_1")) == []
    with pytest.raises(Conflict, match="answered already") as no:
        when(mention, Answer("resp_2"))
    assert no.value.facts == {"response_id": "resp_1"}


def test_a_mention_can_be_dismissed_once_and_not_after_an_answer():
    mention = given(detect())
    dismissed = said(Mention.Dismissed, reason="A robot")
    assert when(mention, DismissMention(reason="A robot")) == [dismissed]
    assert when(mention, DismissMention()) == []
    answered = given(detect())
    when(answered, Answer("resp_1"))
    with pytest.raises(Conflict, match="has been answered"):
        when(answered, DismissMention())


@pytest.mark.parametrize(
    ("reading", "followers", "priority", "wants_answer"),
    [
        (Reading(0.8), 0, "low", False),
        (Reading(0.0), 0, "low", False),
        (Reading(0.8), 10_000, "medium", False),
        (Reading(0.0, asks=True), 0, "medium", True),
        (Reading(0.9, asks=True), 0, "medium", True),
        (Reading(-0.3), 0, "medium", True),
        (Reading(-0.3), 10_000, "high", True),
        (Reading(-0.3, asks=True), 0, "high", True),
        (Reading(-0.6), 0, "high", True),
        (Reading(0.0, urgent=True), 0, "high", True),
        (Reading(-0.1, urgent=True), 0, "high", True),
        (Reading(0.7, urgent=True), 0, "medium", True),
    ],
)
def test_how_soon_somebody_should_look(reading, followers, priority, wants_answer):
    assert priority_of(reading, X, followers) == priority
    assert reading.wants_answer is wants_answer


@pytest.mark.parametrize(
    ("sentiment", "tone"),
    [(-1, "negative"), (-0.05, "negative"), (-0.0499, "neutral"), (0.0499, "neutral"),
     (0.05, "positive"), (1, "positive")],
)  # fmt: skip
def test_a_small_sentiment_is_no_tone(sentiment, tone):
    assert Reading(sentiment).tone == tone


ORDER = list(Priority)


@suppose(
    st.floats(-1, 1), st.booleans(), st.booleans(), st.sampled_from(Network), st.integers(0, 10**7)
)
def test_a_larger_audience_never_makes_a_mention_less_pressing(score, asks, urgent, network, n):
    reading = Reading(score, asks, urgent)
    small, large = (priority_of(reading, network, each) for each in (n, n + INFLUENTIAL[network]))
    assert ORDER.index(small) <= ORDER.index(large)
    assert large is not Priority.LOW


def test_words_are_personal_and_belong_to_who_is_known_by_the_handle():
    with at(NOW):
        named, unknown = detect().handle(), detect(author="", handle="").handle()
    (named,), (unknown,) = named.collect_events(), unknown.collect_events()
    assert {each.name for each in personal_fields(Mention.Detected)} == {
        "url", "author", "author_handle", "text",
    }  # fmt: skip
    assert (mentioner(named), mentioner(unknown)) == ("twitter:amira", "twitter:17")


@pytest.mark.parametrize(
    ("text", "word", "found"),
    [
        ("I like ACME!", "Acme", True),
        ("@acme #acme", "acme", True),
        ("acmeshop", "acme", False),
        ("pacme", "acme", False),
        ("nord licht", "Nord Licht", True),
        ("c++ is fine", "c++", True),
        ("Übung", "übung", True),
        ("", "acme", False),
    ],
)
def test_a_brands_word_stands_on_its_own(text, word, found):
    assert says(text, word) is found


def test_only_what_is_urgent_is_told_in_public():
    (emission,) = EMISSIONS[Mention.Detected]
    told = {}
    for text in (HEARD.text, "Where is the shop?", "Lovely"):
        with at(NOW):
            (event,) = detect(text=text).handle().collect_events()
        told[event.priority] = emission.when(event)
        payload = emission.payload(event)
    assert told == {Priority.HIGH: True, Priority.MEDIUM: False, Priority.LOW: False}
    assert payload == MentionDetected(
        mention_id=f"men_{Mention.create_id(X, '17', 'demo').hex}",
        platform="twitter",
        sentiment="positive",
        priority="low",
    )


def test_brand_keywords_are_chosen_and_changed():
    first = SetBrandKeywords(keywords=["#Acme", "acme", "Nord  Licht"])
    assert first.keywords == ["Acme", "Nord Licht"]
    chosen = given(ChooseBrandKeywords(first))
    assert when(chosen, first) == []
    other = SetBrandKeywords(keywords=[])
    assert when(chosen, other) == [said(BrandKeywords.Changed, keywords=())]


def test_the_alert_is_about_volume_or_growth():
    alert = Alert(volume=100, growth=3)
    for now, before, exceeded in (
        (0, 0, False), (100, 0, False), (101, 0, True), (101, 500, True),
        (6, 2, False), (7, 2, True), (1, 0, False),
    ):  # fmt: skip
        assert alert.exceeded(now, before) is exceeded, (now, before)


@pytest.mark.parametrize(
    "setting",
    [{"MENTION_ALERT_VOLUME": each} for each in ("0", "-1", "many", "1.5", "9" * 12)]
    + [{"MENTION_ALERT_GROWTH": each} for each in ("0.5", "nan", "x", "1e9", "-3")],
)
def test_alert_settings_that_cannot_be_used(setting, tmp_path):
    with pytest.raises(UnusableSetting, match=next(iter(setting))):
        load(setting, tmp_path, "postgresql://", "redis://")
    fine = load({"MENTION_ALERT_VOLUME": "7", "MENTION_ALERT_GROWTH": "1.5"}, tmp_path, "", "")
    assert (fine.mention_alert_volume, fine.mention_alert_growth) == (7, 1.5)


def test_connecting_and_posting_begin_to_listen_and_disconnecting_ends_it():
    link = Link(Mention.create_id(X, "1", "demo"), "twitter", (), None, NOW, None)
    with at(NOW):
        connection = Connection(network=X)
        connection.connect(link, "42", "Acme")
        connection.disconnect({}, delete_data=True)
    _, connected, gone, erased = connection.collect_events()
    subscription, *_, job = POLICIES[Connection.Connected](connected)
    assert subscription.name == "social.subscribe_account"
    since = (NOW - timedelta(days=7)).isoformat()
    assert (job.name, dict(job.arguments)) == (
        "social.listen", {"tenant": "demo", "network": "twitter", "since": since, "anew": 1},
    )  # fmt: skip
    assert gone.because is DisconnectedBecause.ASKED
    assert [each.name for each in POLICIES[Connection.Disconnected](gone)] == [
        "social.forget_credentials", "social.follow_callbacks", "social.stop_listening",
    ]  # fmt: skip
    assert isinstance(erased, Connection.DataErased)


def test_the_sandbox_says_the_same_again_and_more_with_time():
    watch = Watch("demo", X, (), NOW - timedelta(days=60))
    told = overheard(watch, NOW)
    assert overheard(watch, NOW) == told
    instants = [each.at for each in told.mentions]
    assert instants == sorted(instants)
    assert 260 < len(told.mentions) < 320
    assert len({each.id for each in told.mentions}) == len(told.mentions) == int(told.cursor)
    half = overheard(watch, NOW - timedelta(days=30))
    rest = overheard(replace(watch, cursor=half.cursor), NOW)
    assert [*half.mentions, *rest.mentions] == list(told.mentions)
    assert overheard(replace(watch, cursor=told.cursor), NOW).mentions == []
    other = overheard(replace(watch, tenant="acme"), NOW)
    assert {each.id for each in other.mentions}.isdisjoint(each.id for each in told.mentions)
    assert {each.language for each in told.mentions} == {each.language for each in SAYINGS}
    fresh = Watch("demo", X, ("Nordlicht",), NOW)
    for seconds, many in ((0, 0), (4, 0), (5, 1), (60, 2), (600, 3), (3600, 4), (7200, 4)):
        assert len(overheard(fresh, NOW + timedelta(seconds=seconds)).mentions) == many
    assert "Nordlicht" in overheard(fresh, NOW + timedelta(minutes=1)).mentions[0].text
    flood = overheard(Watch("demo", X, (), NOW - timedelta(days=3650)), NOW)
    assert len(flood.mentions) == 1000
    with at(NOW):
        weighed = [detect(text=each.text).handle() for each in told.mentions]
    shares = Counter(each.priority for each in weighed)
    assert all(0.1 < shares[each] / len(weighed) < 0.6 for each in Priority)


START = datetime(2030, 1, 30, 22, 58, tzinfo=UTC)
SPAN = 3 * 24 * 3600
MODEL = Mentions()
NETWORKS = [X, Network.FACEBOOK, Network.LINKEDIN]
TEXTS = ("Love it #Spring", "Love the new coat #spring #coat", "Awful coat", "It is a coat", "Hm")

instants = st.one_of(
    st.integers(0, SPAN * 1000), st.integers(0, 72).map(lambda hours: hours * 3_600_000)
).map(lambda milliseconds: START + timedelta(milliseconds=milliseconds))
mentions = st.lists(
    st.tuples(
        st.sampled_from(NETWORKS), instants, st.sampled_from(TEXTS), st.sampled_from((0, 50_000))
    ),
    max_size=30,
)


@pytest.fixture(scope="module")
def url(create_database, template):
    return create_database(template)


def told(some) -> list[Any]:
    events = []
    with at(START):
        for n, (network, instant, text, followers) in enumerate(some):
            command = detect(network, text=text, at=instant, id=f"{n}", followers=followers)
            events += command.handle().collect_events()
    return events


def fold(url, events):
    """Into empty tables, in batches, without a detour through the log."""

    async def carry():
        async with await registry.connect(url, "test") as connection:
            await registry.enrol(connection, registry.declared((MODEL,)).values())
            for table in MODEL.tables:
                await connection.execute(f"DELETE FROM read.{table.name}".encode())
            for first in range(0, len(events), 7):
                rows = Rows(MODEL.tables)
                for position, event in enumerate(events[first : first + 7], first + 1):
                    MODEL.fold(event, rows, position)
                await folding.carry_out(connection, prepared(rows))

    asyncio.run(carry())


def asked(url, since, until, networks=NETWORKS, tones=tuple(Tone), keywords=(), tenant="demo"):
    query = heard(since, until, since - (until - since), networks, tones, keywords)
    with psycopg.connect(url, row_factory=dict_row) as admin:
        return admin.execute(query.sql.encode(), {**query.params, "tenant": tenant}).fetchone()


def counted(row, current):
    found = [each for each in row["figures"] or () if each["current"] is current]
    return {each["tone"]: each["mentions"] for each in found}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@suppose(
    some=mentions,
    period=st.tuples(instants, instants),
    networks=st.lists(st.sampled_from(NETWORKS), min_size=1, unique=True),
    tones=st.lists(st.sampled_from(Tone), min_size=1, unique=True),
    keyword=st.sampled_from((None, "coat", "new coat", "spring", "zeppelin")),
)
def test_any_answer_adds_up_to_the_mentions(url, some, period, networks, tones, keyword):
    events = told(some)
    fold(url, events)
    since, until = sorted(period)
    row = asked(url, since, until, networks, tones, (keyword,) if keyword else ())
    wanted = [
        event
        for event in events
        if event.network in networks
        and event.tone in tones
        and (keyword is None or keyword in event.text.lower())
    ]
    now = [event for event in wanted if since <= event.written_at < until]
    before = [e for e in wanted if since - (until - since) <= e.written_at < since]
    assert counted(row, True) == Counter(event.tone for event in now)
    assert counted(row, False) == Counter(event.tone for event in before)
    newest = sorted(now, key=lambda e: (-e.written_at.timestamp(), e.originator_id.int))
    assert [each["id"] for each in row["newest"] or ()] == [str(e.originator_id) for e in newest]
    assert [each["text"] for each in row["newest"] or ()] == [e.text for e in newest]
    leading = {str(event.originator_id) for event in now if event.followers}
    assert {each["id"] for each in row["influencers"] or ()} == leading
    if keyword:
        tags = {tag for event in now for tag in event.hashtags}
        assert set(row["hashtags"] or ()) == tags


def test_a_rising_hashtag_comes_before_a_common_one(url):
    day, start = timedelta(days=1), START.replace(hour=0, minute=0)
    old = [(X, start + n * day / 20, "Fine #old", 0) for n in range(20)]
    new = [(X, start + day + n * day / 20, text, 0)
           for n in range(10) for text in ("Fine #old", "Fine #rising")]  # fmt: skip
    fold(url, told([*old, *new]))
    for keywords in ((), ("fine",)):
        row = asked(url, start + day, start + 2 * day, keywords=keywords)
        assert row["hashtags"] == ["rising", "old"]


def test_an_answered_mention_and_a_deleted_network(url):
    events = told([(each, START, "Awful coat #coat", 50_000) for each in NETWORKS])
    with at(START):
        mention = given(detect(Network.FACEBOOK))
        mention.answer("resp_1", START)
        events[1:2] = [*given_events(Network.FACEBOOK), *mention.collect_events()]
        connection = Connection(network=X)
        connection.trigger_event(Connection.DataErased, network=X)
        erased = [e for e in connection.collect_events() if isinstance(e, Connection.DataErased)]
    fold(url, [*events, *erased])
    row = asked(url, START - timedelta(days=40), START + timedelta(days=5000))
    assert {each["network"] for each in row["newest"]} == {"facebook", "linkedin"}
    answers = {each["network"]: each["response_id"] for each in row["newest"]}
    assert answers == {"facebook": "resp_1", "linkedin": None}
    assert sum(counted(row, True).values()) == 2
    assert asked(url, START, START + timedelta(days=1), keywords=("coat",))["figures"] is not None


def given_events(network):
    return detect(network).handle().collect_events()


def test_other_tenants_mentions_stay_theirs(url):
    with at(START, tenant="acme"):
        fold(url, detect(at=START).handle().collect_events())
    nothing = {"figures": None, "newest": None, "influencers": None, "hashtags": None}
    period = (START - timedelta(days=1), START + timedelta(days=1))
    assert asked(url, *period) == asked(url, *period, keywords=("parcel",)) == nothing
    assert asked(url, *period, tenant="acme")["newest"] is not None


def test_a_hashtag_of_any_length_is_no_end_of_folding(url):
    (event,) = told([(X, START, "Fine #short", 0)])
    long = "".join(map(chr, range(0x4E00, 0x7E00)))
    fold(url, [replace(event, hashtags=("short", long))])
    row = asked(url, START, START + timedelta(days=1))
    assert row["hashtags"] == ["short"]


def test_texts_of_any_length_and_as_many_words_as_can_be_are_found_and_counted(url):
    letters = "abcdefghijklmnopqrstuvwxyz"
    pairs = [first + second for first in letters for second in letters]
    texts = [sign.join(["coat", *pairs])[:length]
             for sign in (" ", "-", "/", ".") for length in (400, 401, 2000)]  # fmt: skip
    fold(url, told([(X, START, text + " coat"[: 400 - len(text)], 0) for text in texts]))
    row = asked(url, START, START + timedelta(days=1), keywords=("coat",))
    separate = [each for each in row["newest"] if " " in each["text"] or "-" in each["text"]]
    assert len(separate) == 6
    assert sum(counted(row, True).values()) == len(row["newest"])
