"""Looking at networks: once an hour whatever happens, and whatever the networks do."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from application.kernel import NO_ANSWER, Desk
from application.social.networks import OutcomeUnknown
from application.social.trend_figures import Amounts
from application.social.trend_watching import Begin, TrendWatching, Want, want
from application.social.trends import Measured
from domain.social.networks import Network
from domain.social.trends import WORLD, Rising, TrendDay, TrendKind, TrendWatch
from infrastructure.egress import EgressGuard
from infrastructure.event_log.log import open_log
from infrastructure.gateway_lanes import GatewayLimits
from infrastructure.gateways import GatewayClient
from infrastructure.networks.apps import App
from infrastructure.networks.line import Line, NetworkSaysNo, NetworkUnclear
from infrastructure.networks.pinterest import Pinterest
from infrastructure.networks.registry import ANYWHERE
from infrastructure.networks.twitter import Twitter
from infrastructure.settings import load
from tests.social.fake_networks.oauth2 import Bearer
from tests.social.fake_networks.server import FakeNetwork, Says, serving
from tests.social.fake_networks.twitter import FakeTwitter

X = Network.TWITTER
LIMITS = GatewayLimits(timeout=0.4, connect_timeout=0.5, attempts=2, first_wait=0.01)


@dataclass
class Gateway:
    """A network that lists what it is told to; an exception is raised."""

    says: object
    provider: str = "fake"
    asked: list[str] = field(default_factory=list)

    async def of(self, tenant, network):
        return self

    async def rising(self, place):
        self.asked.append(place)
        await asyncio.sleep(0)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@dataclass
class Measures:
    """What is found to rise."""

    trends: list[Measured] = field(default_factory=list)

    async def rising(self, tenant):
        return self.trends


@asynccontextmanager
async def watching(url, tmp_path, says=(), trends=()):
    environment = {
        "JWT_SECRET_KEY": "a secret of the tests that is long enough",
        "ENCRYPTION_KEY": "another secret of the tests, also long",
    }
    settings = load(environment, tmp_path, url, "redis://127.0.0.1:1/0")
    async with open_log(settings, "test") as log:
        gateway = Gateway(says)
        yield TrendWatching(log, gateway, Measures(list(trends))), gateway, log


def topics(url):
    with psycopg.connect(url) as admin:
        rows = admin.execute("SELECT topic FROM log.events ORDER BY position").fetchall()
    return [topic.removeprefix("social.") for (topic,) in rows]


async def today(log, network=X):
    return await log.load(TrendDay, TrendDay.create_id(network, datetime.now(UTC).date(), "demo"))


def test_nobody_is_looked_at_who_does_not_want_to_know(database_url, tmp_path):
    async def main():
        async with watching(database_url, tmp_path) as (jobs, gateway, log):
            await jobs.observe("demo", "twitter")
            desk = Desk(log, "demo", "a", "r", at=datetime.now(UTC) - timedelta(days=31))
            await desk.create(Begin(Want()), lambda _: NO_ANSWER)
            await jobs.observe("demo", "twitter")
            assert gateway.asked == []
            await jobs.want("demo")
            await jobs.observe("demo", "twitter")
            assert gateway.asked == [WORLD]

    asyncio.run(main())
    assert topics(database_url) == [
        "trend_watch.began", "trend_watch.wanted", "trend_day.opened", "trend_day.observed",
    ]  # fmt: skip


def test_many_at_once_begin_one_watch_and_note_one_look(database_url, tmp_path):
    async def main():
        async with (
            watching(database_url, tmp_path, [Rising("#a", 5)]) as (one, _, _),
            watching(database_url, tmp_path, [Rising("#b", 7)]) as (other, _, log),
        ):
            await asyncio.gather(*(jobs.want("demo") for jobs in (one, other) * 5))
            looks = (jobs.observe("demo", "twitter") for jobs in (one, other) * 5)
            await asyncio.gather(*looks)
            assert (await today(log)).seen == {(WORLD, datetime.now(UTC).hour)}

    asyncio.run(main())
    assert topics(database_url) == [
        "trend_watch.began", "trend_day.opened", "trend_day.observed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("says", "offered", "answered"),
    [(OutcomeUnknown("hangs"), True, False), (None, False, True), ([], True, True)],
)
def test_the_next_look_follows_whatever_a_network_does(
    database_url, tmp_path, says, offered, answered
):
    async def main():
        async with watching(database_url, tmp_path, says) as (jobs, _, log):
            await jobs.want("demo")
            await jobs.observe("demo", "twitter")
            stored = await log.load(TrendDay, (await today(log)).id)
            assert stored.seen

    asyncio.run(main())
    with psycopg.connect(database_url) as admin:
        row = admin.execute(
            "SELECT s -> 'offered', s -> 'answered' FROM (SELECT convert_from(state, 'UTF8')::jsonb"
            " AS s FROM log.events WHERE topic = 'social.trend_day.observed') AS e"
        ).fetchone()
    assert row == (offered, answered)


def test_a_new_place_is_looked_at_and_the_others_are_not_again(database_url, tmp_path):
    async def main():
        async with watching(database_url, tmp_path, [Rising("#a")]) as (jobs, gateway, log):
            await jobs.want("demo")
            await jobs.observe("demo", "twitter")
            desk = Desk(log, "demo", "ann", "r", follows=False)
            await want(desk, "DE")
            await want(desk, "DE")
            await jobs.observe("demo", "twitter")
            await jobs.observe("demo", "twitter")
            assert gateway.asked == [WORLD, "DE"]
            watch = await log.load(TrendWatch, TrendWatch.create_id("demo"))
            assert watch.places == ["DE"]

    asyncio.run(main())


def test_only_what_matters_is_told_and_once(database_url, tmp_path):
    def trend(name, **changes):
        told = {"growth": 1.0, "momentum": 0.9, "relevance": 0.5, "amounts": Amounts(uses=5)}
        return Measured(TrendKind.HASHTAG, name, [X], 50, **{**told, **changes})

    trends = [
        trend("yes"),
        trend("falls", growth=-0.5, momentum=0.0),
        trend("large", growth=0.1),
        trend("strange", relevance=0.2),
        trend("own", amounts=Amounts(own=9)),
    ]

    async def main():
        async with watching(database_url, tmp_path, trends=trends) as (jobs, _, _):
            await asyncio.gather(*(jobs.detect("demo") for _ in range(4)))
            await jobs.detect("demo")

    asyncio.run(main())
    assert topics(database_url) == ["trend.detected"]


# What networks are asked


class ListingTwitter(FakeTwitter):
    """X with its list; the app has a token of its own."""

    key, key_secret = "consumer", "consumer-secret"
    routes = {
        "POST /oauth2/token": "app_token",
        "GET /2/trends/by/woeid/*": "trends",
    }
    body = {"data": [{"trend_name": "#Linen", "tweet_count": 2956}, {"trend_name": "Copenhagen"}]}

    def check(self, asked, route):
        return None

    def app_token(self, asked):
        assert asked.headers["authorization"] == "Basic Y29uc3VtZXI6Y29uc3VtZXItc2VjcmV0"
        assert asked.form == {"grant_type": "client_credentials"}
        return Says(body={"token_type": "bearer", "access_token": "AAAA"})

    def trends(self, asked):
        assert asked.token == "AAAA"
        assert asked.query["max_trends"] == "50"
        return Says(body=self.body)


class ListingPinterest(Bearer):
    """Pinterest with its words."""

    routes = {"GET /v5/trends/keywords/*/top/growing": "words"}

    def words(self, asked):
        return Says(body={"trends": [{"keyword": "linen shirts", "pct_growth_wow": 40}]})


def look(kind, fake: FakeNetwork, place, credentials):
    async def main():
        with serving(fake) as url:
            app = App(kind.network, url, url, "consumer", "consumer-secret", True)
            async with GatewayClient(EgressGuard(ANYWHERE), LIMITS) as client:
                return await kind(Line(app, client, client), credentials, "42").rising(place)

    return asyncio.run(main())


SIGNED = {"access_token": "token-1", "token_secret": "secret-1"}


def test_x_lists_by_place_with_the_apps_own_token():
    fake = ListingTwitter()
    assert look(Twitter, fake, "DE", SIGNED) == [Rising("#Linen", 2956), Rising("Copenhagen")]
    assert [each.path for each in fake.asked][-1] == "/2/trends/by/woeid/23424829"
    look(Twitter, fake, WORLD, SIGNED)
    assert fake.asked[-1].path == "/2/trends/by/woeid/1"


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_when_x_refuses_the_app_the_account_does_not_suffer(status):
    class Refusing(ListingTwitter):
        def trends(self, asked):
            return Says(status, {"title": "No", "detail": "Not in your plan."})

    with pytest.raises(NetworkUnclear):
        look(Twitter, Refusing(), "DE", SIGNED)


def test_pinterest_lists_words_by_region_and_none_for_the_world():
    fake = ListingPinterest()
    fake.tokens.add("token-1")
    assert look(Pinterest, fake, "IE", SIGNED) == [Rising("linen shirts")]
    assert fake.asked[-1].path.endswith("/GB+IE/top/growing")
    assert look(Pinterest, fake, WORLD, SIGNED) is None
    assert look(Pinterest, fake, "JP", SIGNED) is None


def test_pinterests_refusals_are_no_reason_to_stop_publishing():
    class Refusing(ListingPinterest):
        def words(self, asked):
            return Says(403, {"message": "Not permitted."})

    fake = Refusing()
    fake.tokens.add("token-1")
    with pytest.raises(NetworkUnclear):
        look(Pinterest, fake, "US", SIGNED)
    with pytest.raises(NetworkSaysNo):
        look(Pinterest, ListingPinterest(), "US", {"access_token": "old"})
