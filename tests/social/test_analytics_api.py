"""Social analytics over real HTTP: the contract's scenarios, kept answers, bad input."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
import redis
from pydantic import BaseModel

from infrastructure import rate_limits
from infrastructure.caching import PATIENCE, Cache
from tests.site import PATIENT, eventually, running

ANALYTICS = "/api/v1/social/analytics"
POSTS = "/api/v1/social/posts"
JANUARY = {"date_from": "2024-01-01T00:00:00Z", "date_to": "2024-01-31T23:59:59Z"}


@pytest.fixture
def kept(valkey_server, tenant):
    """The keys of the answers that are kept for this test's tenant."""
    with redis.Redis.from_url(valkey_server) as client:
        yield lambda: client, lambda: client.keys(f"cache:social_analytics:{tenant}:*")


def publish(ann, text="Our new line is out #Fashion", platforms=("twitter", "facebook")):
    post = {"content": text, "platforms": list(platforms)}
    answer = ann.post(POSTS, json=post, headers=PATIENT)
    assert answer.json()["status"] == "published"
    return answer.json()["post_id"]


def test_the_contracts_scenario(ann):
    answer = ann.get(ANALYTICS, params={**JANUARY, "platforms": ["instagram", "facebook"]})
    assert answer.status_code == 200
    body = answer.json()
    assert body["platforms"] == ["instagram", "facebook"] == list(body["platform_breakdown"])
    assert body["summary"]["total_posts"] == 0
    assert len(body["engagement_trends"]) == 31
    assert body["audience_demographics"] is None
    assert body["date_from"] == JANUARY["date_from"]


def test_the_guides_workflow(ann):
    post_id = publish(ann, "Integration test post", ["twitter"])
    assert ann.get(f"{POSTS}/{post_id}").status_code == 200
    naive = [datetime.now(UTC).replace(tzinfo=None).isoformat() for _ in range(2)]
    answer = ann.get(ANALYTICS, params={"date_from": naive[0], "date_to": naive[1]})
    assert answer.status_code == 200
    assert answer.json()["summary"]["total_posts"] == 0
    assert answer.json()["date_to"] == f"{naive[1]}Z"


def test_an_empty_period_is_zeros(ann):
    publish(ann)
    moment = datetime.now(UTC).isoformat()
    body = ann.get(ANALYTICS, params={"date_from": moment, "date_to": moment}).json()
    summary = body.pop("summary")
    assert {v for k, v in summary.items() if k != "best_posting_times"} == {0}
    assert body["engagement_trends"] == body["top_hashtags"] == body["trending_content"] == []


def test_what_people_do_is_counted_where_they_do_it(site, ann, tenant):
    publish(ann)
    earlier = "UPDATE sandbox.posts SET published_at = published_at - interval '9 days'"
    site.query(f"{earlier} WHERE tenant = %s", tenant)
    body = eventually(lambda: _engaged(ann))
    summary, parts = body["summary"], body["platform_breakdown"].values()
    for name in ("total_reach", "total_impressions", "total_engagement"):
        assert summary[name] == sum(part[name] for part in parts) > 0
    assert summary["total_posts"] == 1
    assert [part["total_posts"] for part in parts] == [1, 0, 1, 0, 0, 0]
    assert 0 < summary["engagement_rate"] < 1
    rate = summary["total_engagement"] / summary["total_impressions"]
    assert summary["engagement_rate"] == pytest.approx(rate, abs=1e-4)
    assert -1 <= summary["average_sentiment"] <= 1
    assert sum(p["engagement"] for p in body["engagement_trends"]) == summary["total_engagement"]
    content, tag = body["trending_content"], body["top_hashtags"][0]
    assert sum(each["engagement"] for each in content) == summary["total_engagement"]
    assert {each["platform"] for each in content} == {"twitter", "facebook"}
    assert content[0]["content"].startswith("Our new line")
    assert tag["hashtag"] == "fashion" and tag["engagement"] == summary["total_engagement"]
    assert " UTC (1 post, confidence 0." in summary["best_posting_times"][0]

    def same_on_the_post():  # the networks are asked again and again
        per_post = ann.get(f"{POSTS}/{content[0]['post_id']}").json()["analytics"]
        gained = sum(per_post[f"total_{name}"] for name in ("likes", "shares", "comments"))
        return gained == ann.get(ANALYTICS).json()["summary"]["total_engagement"]

    assert eventually(same_on_the_post)


def _engaged(ann):
    """The figures, once people have taken to the post on both networks."""
    body = ann.get(ANALYTICS).json()
    gained = [part["total_engagement"] for part in body["platform_breakdown"].values()]
    return sum(map(bool, gained)) == 2 and body


def test_lists_by_repetition_or_commas_in_any_case(ann):
    repeated = ann.get(ANALYTICS, params={**JANUARY, "platforms": ["twitter", "facebook"]})
    commas = ann.get(ANALYTICS, params={**JANUARY, "platforms": "Twitter,FACEBOOK,twitter"})
    assert repeated.json() == commas.json()


def test_metrics_choose_the_figures_of_each_point(ann):
    asked = {**JANUARY, "metrics": "total_reach,engagement,sentiment", "group_by": "week"}
    points = ann.get(ANALYTICS, params=asked).json()["engagement_trends"]
    assert [point["date"] for point in points] == [
        "2024-01-01", "2024-01-08", "2024-01-15", "2024-01-22", "2024-01-29",
    ]  # fmt: skip
    assert points[0] == {"date": "2024-01-01", "reach": 0, "engagement": 0, "sentiment": None}
    months = ann.get(ANALYTICS, params={**JANUARY, "group_by": "month"}).json()
    assert [point["date"] for point in months["engagement_trends"]] == ["2024-01-01"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"date_from": "2024-02-01T00:00:00Z", "date_to": "2024-01-01T00:00:00Z"}, "date_to"),
        ({"date_to": "2024-01-01T00:00:00", "date_from": "2024-01-01T00:00:00.000001"}, "date_to"),
        ({"date_from": "2090-01-01T00:00:00Z"}, "date_to"),
        ({"date_from": "yesterday"}, "date_from"),
        ({"date_to": "2024-13-01T00:00:00Z"}, "date_to"),
        ({"date_from": "0001-01-01T00:00:00+14:00"}, "date_from"),
        ({"platforms": "myspace"}, "platforms.0"),
        ({"platforms": ["twitter", ""]}, "platforms.1"),
        ({"metrics": "fame"}, "metrics.0"),
        ({"group_by": "hour"}, "group_by"),
        ({"date_from": "1990-01-01T00:00:00Z", "date_to": "2024-01-01T00:00:00Z"}, "group_by"),
    ],
)
def test_bad_input_names_its_field(ann, asked, field):
    answer = ann.get(ANALYTICS, params=asked)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [field]


def test_every_role_may_look_and_others_see_nothing_of_it(site, ann, tenant):
    publish(ann)
    for role in ("super_admin", "developer", "api_user", "read_only"):
        with site.client(role, tenant=tenant, user=role) as user:
            body = eventually(lambda user=user: _posts(user) and user.get(ANALYTICS)).json()
            assert body["summary"]["total_posts"] == 1
    with site.client(tenant="acme") as eve:
        assert _posts(eve) == 0
    assert ann.get(ANALYTICS, headers={"Authorization": "Bearer x"}).status_code == 401


def _posts(client):
    return client.get(ANALYTICS).json()["summary"]["total_posts"]


def test_answers_are_kept_for_half_an_hour_and_dropped_by_events(ann, kept):
    store, keys = kept
    assert _posts(ann) == 0
    (key,) = keys()
    assert 1700 < store().ttl(key) <= 1800
    answer = json.loads(store().get(key))
    answer["growth_rate"] = 42.0
    store().set(key, json.dumps(answer), keepttl=True)
    assert ann.get(ANALYTICS).json()["growth_rate"] == 42.0
    assert ann.get(ANALYTICS, params={"group_by": "week"}).json()["growth_rate"] == 0.0
    publish(ann)
    body = eventually(lambda: _posts(ann) and ann.get(ANALYTICS)).json()
    assert body["growth_rate"] == 0.0


def test_a_spoilt_or_emptied_cache_is_a_miss(ann, kept):
    store, keys = kept
    assert _posts(ann) == 0
    (key,) = keys()
    store().set(key, b"{not json")
    assert _posts(ann) == 0
    assert json.loads(store().get(key))["success"] is True
    store().delete(key)
    assert _posts(ann) == 0


def test_without_redis_everything_is_answered(database_url, tmp_path):
    nowhere = "redis://127.0.0.1:1/0"
    with (
        running(database_url, nowhere, tmp_path, background=True) as site,
        site.client() as ann,
    ):
        assert eventually(lambda: ann.get(ANALYTICS).status_code == 200)


class Kept(BaseModel):
    n: int


def test_a_redis_that_does_not_answer_costs_a_moment():
    async def ask():
        async def say_nothing(reader, writer):
            await reader.read()
            writer.close()

        server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        client = rate_limits.connect(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        cache = Cache(client, "test", 60)
        made = []

        async def make():
            made.append(1)
            return Kept(n=len(made))

        clock = asyncio.get_running_loop().time
        began = clock()
        found = [await cache.get("demo", {"q": 1}, Kept, make) for _ in range(2)]
        took = clock() - began
        await client.aclose()
        server.close()
        return [each.n for each in found], took

    found, took = asyncio.run(ask())
    assert found == [1, 2]
    assert took < 4 * PATIENCE + 1


def test_each_part_of_a_question_counts(redis_url):
    async def ask():
        client = rate_limits.connect(redis_url)
        cache = Cache(client, "test", 60)
        made = []

        async def make():
            made.append(1)
            return Kept(n=len(made))

        questions = [
            ("demo", {"q": 1}), ("demo", {"q": 1}), ("acme", {"q": 1}), ("demo", {"q": 2}),
            ("demo", {"q": 1, "role": "admin"}), ("demo", {"at": datetime(2030, 1, 1, tzinfo=UTC)}),
        ]  # fmt: skip
        found = [(await cache.get(*each, Kept, make)).n for each in questions]
        await client.aclose()
        return found

    assert asyncio.run(ask()) == [1, 1, 2, 3, 4, 5]


def test_defaults_are_thirty_days_up_to_now(ann):
    body = ann.get(ANALYTICS).json()
    since, until = (datetime.fromisoformat(body[name]) for name in ("date_from", "date_to"))
    assert until - since == timedelta(days=30)
    assert abs(datetime.now(UTC) - until) < timedelta(minutes=1)
    assert len(body["platforms"]) == 6
