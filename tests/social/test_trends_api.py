"""Trends over real HTTP: what is shown, kept answers, places, bad input, and who is told."""

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import redis

from application.kernel import NO_ANSWER, Desk
from application.social.trend_watching import WATCHER, Look, NoteLooks, OpenDay
from domain.compliance.erasures import Erasure
from domain.social.mentions import Mention
from domain.social.networks import Network
from domain.social.trends import WORLD, Rising, TrendDay
from infrastructure.event_log.log import open_log
from infrastructure.networks.sandbox_trends import names
from infrastructure.read_models.rebuild import rebuild
from projections.social.trends import Trends
from tests.infrastructure.read_side import contents
from tests.site import PATIENT, eventually, running
from tests.social.trend_world import detected

TRENDS = "/api/v1/social/trends"
POSTS = "/api/v1/social/posts"
HOUR = timedelta(hours=1)


def report(client, **asked):
    answer = client.get(TRENDS, params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def listed(client, **asked):
    """The answer, once every network has been looked at."""

    def look():
        body = report(client, **asked)
        missing = any(each.startswith("No list of trends") for each in body["recommendations"])
        return not missing and body

    return eventually(look)


def publish(ann, text):
    post = {"content": text, "platforms": ["twitter"]}
    answer = ann.post(POSTS, json=post, headers=PATIENT)
    assert answer.json()["status"] == "published"
    return answer.json()["post_id"]


@dataclass
class Hear:
    """A mention that comes in."""

    text: str
    author: str
    when: datetime
    likes: int = 0

    def handle(self) -> Mention:
        return detected(self.text, self.author, self.when, likes=self.likes)


def happen(site, tenant, *heard, lists=()):
    """Mentions, and lists of X by hours ago, put into the log as the jobs would."""

    async def write():
        now = datetime.now(UTC)
        async with open_log(site.settings, "test") as log:
            desk = Desk(log, tenant, WATCHER, "r", follows=False)
            for each in heard:
                await desk.create(each, lambda _: NO_ANSWER)
            for ago, rising in lists:
                at = now - ago * HOUR
                note = NoteLooks(at, "twitter", [Look(WORLD, rising)])
                stream = TrendDay.create_id(Network.TWITTER, at.date(), tenant)
                if await log.load(TrendDay, stream) is None:
                    opened = OpenDay(Network.TWITTER, at.date(), note)
                    await desk.create(opened, lambda _: NO_ANSWER)
                else:
                    await desk.carry_out(TrendDay, stream, note)

    asyncio.run(write())
    ((head,),) = site.query("SELECT max(position) FROM log.events")
    reached = "SELECT 1 FROM read.models WHERE name = 'social_trends' AND position >= %s"
    assert eventually(lambda: site.query(reached, head))


def events(site, tenant, topic):
    asked = "SELECT convert_from(state, 'UTF8')::jsonb FROM log.events WHERE tenant = %s"
    return site.query(f"{asked} AND topic = %s ORDER BY position", tenant, topic)


def test_a_fresh_installation_has_trends_and_says_where_they_come_from(ann):
    body = listed(ann)
    assert (body["success"], body["timeframe"], len(body["platforms"])) == (True, "today", 6)
    tags, topics = body["trending_hashtags"], body["trending_topics"]
    assert {each["hashtag"] for each in tags} | {each["topic"] for each in topics} <= set(names())
    assert all(each["volume"] > 0 and each["platforms"] for each in tags)
    assert topics[0]["description"].startswith("Listed as rising by ")
    assert body["viral_content"] == [] and body["industry_insights"] is None
    *_, sandbox, embedded = body["recommendations"]
    assert "sandbox" in sandbox and "embedded writer" in embedded


def test_networks_are_looked_at_once_an_hour_however_often_one_asks(site, ann, tenant):
    listed(ann)
    for timeframe in ("now", "week", "month", "today"):
        report(ann, timeframe=timeframe)
    seen = [state for (state,) in events(site, tenant, "social.trend_day.observed")]
    assert sorted(each["network"] for each in seen) == sorted(Network)
    with psycopg.connect(site.settings.database_url) as connection:

        def waiting():
            return connection.execute(
                "SELECT count(*) FROM work.timers WHERE name = 'social.observe_trends'"
                " AND arguments ->> 'tenant' = %s AND due > now()", [tenant],
            ).fetchone()  # fmt: skip

        assert eventually(lambda: waiting() == (6,))


def test_what_people_say_is_counted_with_its_growth(site, ann, tenant):
    now = datetime.now(UTC)
    happen(
        site,
        tenant,
        *(Hear("Lovely linen shirts #SlowFashion", f"a{n}", now - HOUR) for n in range(5)),
        Hear("Terrible delays #SlowFashion", "b", now - 30 * HOUR),
        Hear("Terrible delays again", "c", now - HOUR),
        Hear("Privately, zanzibar zanzibar", "d", now - HOUR, likes=4),
    )
    body = eventually(lambda: _with(found := report(ann), "#slowfashion") and found)
    tag = _with(body, "#slowfashion")
    assert tag["volume"] == 5 and tag["platforms"] == ["twitter"]
    assert tag["growth_rate"] == pytest.approx(2.0, abs=0.05)  # 5 + 1 to 1 + 1
    assert 0.3 < tag["relevance_score"] < 1
    topics = {each["topic"]: each for each in body["trending_topics"]}
    assert topics["lovely linen"]["sentiment"] == "positive"
    assert "#slowfashion" in topics["linen shirts"]["related_keywords"]
    assert "Used 5 times" in topics["linen shirts"]["description"]
    assert "terrible delays" in topics  # two people
    assert "zanzibar" not in json.dumps(body)
    week = _with(report(ann, timeframe="week"), "#slowfashion")
    assert week["volume"] == 6
    assert "#slowfashion" not in str(report(ann, platforms="facebook"))


def _with(body, tag):
    return next((each for each in body["trending_hashtags"] if each["hashtag"] == tag), None)


def test_own_posts_make_a_name_the_brands(site, ann, tenant):
    publish(ann, "Our new linen is out #Linen")
    happen(site, tenant, lists=[(0, [Rising("#linen", 900), Rising("#cars", 90_000)])])
    body = eventually(lambda: (found := report(ann)) and _with(found, "#linen") and found)
    assert body["trending_hashtags"][0]["hashtag"] == "#linen"
    assert _with(body, "#linen")["relevance_score"] > 0.3


def test_an_industry_has_its_own_findings(site, ann, tenant):
    now = datetime.now(UTC)
    happen(
        site,
        tenant,
        *(Hear("What a dress #SlowFashion", f"a{n}", now - HOUR) for n in range(3)),
        Hear("My car broke down #Cars", "b", now - HOUR),
        Hear("My car again #Cars", "c", now - HOUR),
    )
    body = eventually(
        lambda: _with(found := report(ann, industry="Fashion"), "#slowfashion") and found
    )
    assert _with(body, "#cars") is None
    insights = body["industry_insights"]
    assert insights["industry"] == "fashion"
    assert (insights["texts_examined"], insights["texts_of_industry"]) == (5, 3)
    assert insights["share"] == 0.6
    assert "#slowfashion" in insights["leading_hashtags"]
    assert _with(report(ann, industry="cars"), "#cars")


def test_a_place_is_looked_at_from_when_somebody_asks_for_it(site, ann, tenant):
    first = report(ann, location="Germany")
    assert any("in Germany has come from" in each for each in first["recommendations"])
    there = listed(ann, location="DE")
    assert there["trending_hashtags"] and there != listed(ann)
    assert {
        each["place"] for (each,) in events(site, tenant, "social.trend_watch.place_added")
    } == {"DE"}
    places = [each["place"] for (each,) in events(site, tenant, "social.trend_day.observed")]
    assert sorted(places) == ["DE"] * 6 + [WORLD] * 6


def test_outstanding_posts_and_mentions_are_viral(site, ann, tenant):
    post = publish(ann, "A post that everybody likes #Hit")
    with psycopg.connect(site.settings.database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE sandbox.posts SET published_at = published_at - interval '9 days'"
            " WHERE tenant = %s",
            [tenant],
        )
    happen(site, tenant, Hear("Look at this", "b", datetime.now(UTC) - HOUR, likes=100_000))
    found = eventually(lambda: report(ann)["viral_content"])
    assert found[0]["type"] == "mention" and found[0]["content"] is None
    assert found[0]["velocity"] == pytest.approx(100_000, rel=0.1)
    assert found[0]["id"].startswith("men_")
    now = eventually(
        lambda: [e for e in report(ann, timeframe="now")["viral_content"] if e["type"] == "post"]
    )
    assert now[0]["id"] == post and now[0]["content"].startswith("A post that")
    assert now[0]["times_typical"] == 1.0


def test_lists_by_repetition_or_commas_in_any_case(ann):
    repeated = report(ann, platforms=["twitter", "facebook"])
    commas = report(ann, platforms="Twitter,FACEBOOK,twitter", timeframe="TODAY")
    assert repeated["platforms"] == commas["platforms"] == ["twitter", "facebook"]


@pytest.mark.parametrize(
    ("asked", "field", "tells"),
    [
        ({"platforms": "myspace"}, "platforms.0", "facebook"),
        ({"platforms": ["twitter", ""]}, "platforms.1", "facebook"),
        ({"timeframe": "year"}, "timeframe", "month"),
        ({"timeframe": ""}, "timeframe", "month"),
        ({"industry": "astrology"}, "industry", "fashion"),
        ({"industry": ""}, "industry", "fashion"),
        ({"industry": "x" * 101}, "industry", "100"),
        ({"location": "Atlantis"}, "location", "DE"),
        ({"location": "XX"}, "location", "DE"),
        ({"location": "x" * 101}, "location", "100"),
    ],
)
def test_bad_input_names_its_field(ann, asked, field, tells):
    answer = ann.get(TRENDS, params=asked)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == field and tells in error["message"]


def test_every_role_may_look_and_others_see_nothing_of_it(site, ann, tenant):
    happen(
        site,
        tenant,
        *(Hear("Ours alone #Ours", f"a{n}", datetime.now(UTC) - HOUR) for n in range(2)),
    )
    for role in ("super_admin", "developer", "api_user", "read_only"):
        with site.client(role, tenant=tenant, user=role) as user:
            assert eventually(lambda user=user: _with(report(user), "#ours"))
    with site.client(tenant="acme") as eve:
        assert "ours" not in str(report(eve))
    assert ann.get(TRENDS, headers={"Authorization": "Bearer x"}).status_code == 401


def test_answers_are_kept_for_half_an_hour_and_dropped_by_events(site, ann, tenant, valkey_server):
    listed(ann)
    assert eventually(lambda: report(ann) == report(ann))
    with redis.Redis.from_url(valkey_server) as store:
        keys = store.keys(f"cache:social_trends:{tenant}:*")
        for key in keys:
            assert 1700 < store.ttl(key) <= 1800
            answer = json.loads(store.get(key))
            store.set(key, json.dumps({**answer, "recommendations": ["kept"]}), keepttl=True)
    assert report(ann)["recommendations"] == ["kept"]
    assert report(ann, timeframe="week")["recommendations"] != ["kept"]
    happen(site, tenant, Hear("News", "b", datetime.now(UTC)))
    assert eventually(lambda: report(ann)["recommendations"] != ["kept"])


def test_without_redis_everything_is_answered(database_url, tmp_path):
    with (
        running(database_url, "redis://127.0.0.1:1/0", tmp_path, RATE_LIMIT_PROFILE="off") as site,
        site.client() as ann,
    ):
        assert eventually(lambda: ann.get(TRENDS).status_code == 200)


def test_somebody_who_is_erased_leaves_no_word(site, ann, tenant):
    happen(
        site,
        tenant,
        *(Hear("Both say kaleidoscope", who, datetime.now(UTC) - HOUR) for who in ("b", "c")),
    )
    assert eventually(lambda: "kaleidoscope" in str(report(ann)))
    done = ann.post("/api/v1/audit/erasures", json={"subject": "twitter:b"})
    assert done.status_code == 200, done.text
    assert events(site, tenant, Erasure.Begun.TOPIC)
    assert eventually(lambda: "kaleidoscope" not in str(report(ann)))
    ann.post("/api/v1/audit/erasures", json={"subject": "twitter:c"})
    with psycopg.connect(site.settings.database_url) as connection:

        def left():
            return connection.execute(
                "SELECT (SELECT count(*) FROM read.social_trend_terms WHERE name ~ 'kaleidoscope')"
                " + (SELECT count(*) FROM read.social_trend_texts"
                "    WHERE 'kaleidoscope' = ANY (words))"
            ).fetchone()  # fmt: skip

        assert eventually(lambda: left() == (0,))


def test_tables_built_anew_after_an_erasure_are_those_in_use(database_url, redis_url, tmp_path):
    now = datetime.now(UTC)
    with (
        running(database_url, redis_url, tmp_path, RATE_LIMIT_PROFILE="off") as site,
        site.client() as ann,
    ):
        assert eventually(lambda: ann.get(TRENDS).status_code == 200)
        said = [("b", "walrus"), ("c", "giraffe")] * 3
        happen(
            site,
            "demo",
            *(
                Hear(f"Saw a kaleidoscope {word} #Tag", who, now - timedelta(seconds=n))
                for n, (who, word) in enumerate(said)
            ),
        )
        assert eventually(lambda: _with(report(ann), "#tag"))
        assert ann.post("/api/v1/audit/erasures", json={"subject": "twitter:b"}).status_code == 200
        happen(site, "demo", Hear("Back again #Tag", "b", now - HOUR / 60))
        eventually(lambda: _with(report(ann), "#tag")["volume"] == 7)
    with psycopg.connect(database_url, autocommit=True) as admin:
        live = [contents(admin, table) for table in Trends.tables]
        asyncio.run(rebuild(database_url, Trends(), processes=1))
        assert [contents(admin, table) for table in Trends.tables] == live
    assert b"giraffe" in live[0] and b"kaleidoscope" in live[0]
    assert not any(b"walrus" in content for content in live)


def test_a_trend_that_matters_is_told_once(site, ann, tenant):
    now = datetime.now(UTC)
    others = [Rising("#cars", 80_000), Rising("#least", 1_000)]
    happen(
        site,
        tenant,
        *(Hear("Such a #Fashion week", f"a{n}", now - HOUR) for n in range(12)),
        lists=[
            (30, [Rising("#fashion", 2_000), *others]),
            (1, [Rising("#fashion", 60_000), *others]),
            (0, [Rising("#fashion", 90_000), *others]),
        ],
    )
    topic = "social.trend.detected"
    told = eventually(lambda: _named(events(site, tenant, topic), "fashion"))
    assert told[0]["growth"] > 1 and told[0]["relevance"] >= 0.3
    happen(site, tenant, lists=[(2, [Rising("#fashion", 99_000), *others])])
    headers = {"Last-Event-ID": "0", "Accept": "text/event-stream"}
    with ann.stream("GET", "/api/v1/webhooks/stream", headers=headers, timeout=15) as stream:
        said = _first(stream, topic)
    assert said["data"]["trend_type"] == "hashtag" and said["data"]["name"] == "fashion"
    assert said["data"]["platforms"] == ["twitter"] and 0.5 < said["data"]["score"] <= 1
    assert said["data"]["volume"] >= 60_000
    assert _with(report(ann), "#fashion")["growth_rate"] > 1
    looks = len(events(site, tenant, "social.trend_day.observed"))
    assert looks >= 4
    assert len(_named(events(site, tenant, topic), "fashion")) == 1
    assert not _named(events(site, tenant, topic), "cars")


def _named(found, name):
    return [state for (state,) in found if state["name"] == name]


def _first(stream, event):
    for line in stream.iter_lines():
        if line.startswith("data:"):
            said = json.loads(line.removeprefix("data:"))
            if said.get("type") == event:
                return said
    raise AssertionError(f"no {event}")
