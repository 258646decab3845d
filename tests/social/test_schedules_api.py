"""Schedules over real HTTP, with all the background work running."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import psycopg

from application.kernel import public_id
from application.social.posts import CreatePost
from domain.social.schedules import DISTANCE
from tests.kernel import at
from tests.rooms import append
from tests.site import eventually, running

SCHEDULE = "/api/v1/social/schedule"
POSTS = "/api/v1/social/posts"
DAY = timedelta(days=1)


def body(n=3, days=30, networks=("twitter",), **changes):
    start = (datetime.now(UTC) + DAY).replace(hour=9, minute=0, second=0, microsecond=0)
    return {
        "posts": [{"content": f"Post {k}", "platforms": list(networks)} for k in range(n)],
        "date_range_start": start.isoformat(),
        "date_range_end": (start + days * DAY).isoformat(),
        **changes,
    }


def moments(answer):
    return [datetime.fromisoformat(p["scheduled_for"]) for p in answer["schedule_preview"]]


def count(site, topic, tenant):
    counted = "SELECT count(*) FROM log.events WHERE topic = %s AND tenant = %s"
    ((found,),) = site.query(counted, topic, tenant)
    return found


def test_fifty_posts_are_placed_and_read_back(ann):
    answer = ann.post(SCHEDULE, json=body(50, 60, timezone="Europe/Berlin"))
    assert answer.status_code == 200
    made = answer.json()
    assert (made["success"], made["total_posts_scheduled"]) == (True, 50)
    assert len(made["schedule_preview"]) == 10
    assert moments(made) == sorted(moments(made))
    first = made["schedule_preview"][0]
    assert first["scheduled_for"].endswith("Z") and first["local_time"][-6:] in ("+01:00", "+02:00")
    assert first["n"] == 0 and first["confidence"] == 0.0 and first["reason"]
    post = ann.get(f"{POSTS}/{first['post_id']}").json()
    assert (post["status"], post["scheduled_for"]) == ("scheduled", first["scheduled_for"])
    insights = made["optimization_insights"]
    assert insights["basis"] == "survey" and insights["posts_learned_from"] == {"twitter": 0}
    detail = ann.get(f"{SCHEDULE}/{made['schedule_id']}")
    assert detail.headers["etag"] == answer.headers["etag"]
    assert len(detail.json()["posts"]) == 50


def test_one_bad_post_refuses_all(site, ann):
    posts = [{"content": f"Post {n}", "platforms": ["twitter"]} for n in range(50)]
    posts[31]["platforms"] = ["myspace"]
    answer = ann.post(SCHEDULE, json=body(posts=posts))
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == ["posts.31.platforms.0"]
    few = ann.post(SCHEDULE, json=body(50, 10))
    assert (few.status_code, few.json()["errors"][0]["code"]) == (422, "does_not_fit")
    posts = [{"content": "Hello", "platforms": ["twitter"]}]
    manual = ann.post(SCHEDULE, json=body(posts=posts, optimization_strategy="manual"))
    assert manual.json()["errors"][0]["field"] == "posts.0.scheduled_for"
    assert count(site, "social.post.drafted", "t-one_bad_post_refuses_all") == 0


def test_schedules_keep_their_distance_from_posts_and_from_each_other(ann):
    asked = body(3, optimization_strategy="consistent")
    taken = {
        "content": "Mine",
        "platforms": ["twitter"],
        "scheduled_for": asked["date_range_start"],
    }
    assert ann.post(POSTS, json=taken).status_code == 200
    start = datetime.fromisoformat(asked["date_range_start"])
    first = ann.post(SCHEDULE, json=asked).json()
    assert moments(first) == [start + DAY, start + 2 * DAY, start + 3 * DAY]
    assert first["optimization_insights"]["conflicts_avoided"] == 1
    assert moments(ann.post(SCHEDULE, json=asked).json())[0] == start + 4 * DAY


def test_schedules_made_at_once_keep_their_distance_too(site, ann):
    asked = body(2, optimization_strategy="consistent", frequency="hourly")
    tenant = "t-schedules_made_at_once_keep_their_distance_too"

    def make(n):
        with site.client(tenant=tenant, user=f"user-{n}") as client:
            return client.post(SCHEDULE, json=asked)

    with ThreadPoolExecutor(8) as crowd:
        answers = list(crowd.map(make, range(12)))
    assert {answer.status_code for answer in answers} == {200}
    found = sorted(each for answer in answers for each in moments(answer.json()))
    assert len(found) == 24
    assert all(b - a >= DISTANCE for a, b in pairwise(found))


def test_a_key_makes_one_schedule(site, ann):
    asked, headers = body(2), {"Idempotency-Key": "k1"}
    answers = [ann.post(SCHEDULE, json=asked, headers=headers) for _ in range(3)]
    assert len({answer.content for answer in answers}) == 1
    assert count(site, "social.schedule.planned", site.tenant) == 1


def test_a_schedule_can_be_moved_and_cancelled(ann):
    created = ann.post(SCHEDULE, json=body(2, optimization_strategy="consistent"))
    made = created.json()
    path = f"{SCHEDULE}/{made['schedule_id']}"
    start = moments(made)[0] + DAY
    # The repeat of a request gets its first answer, although the version has moved on with it.
    once = {"If-Match": created.headers["etag"], "Idempotency-Key": "move-1"}
    asked = {"date_range_start": start.isoformat()}
    moved, again = (ann.post(f"{path}/move", json=asked, headers=once) for _ in range(2))
    assert (moved.status_code, moved.json()["posts_changed"]) == (200, 2)
    assert (again.status_code, again.content) == (200, moved.content)
    entries = ann.get(path).json()["posts"]
    assert [datetime.fromisoformat(e["scheduled_for"]) for e in entries] == [start, start + DAY]
    stale = {"If-Match": created.headers["etag"]}
    assert ann.post(f"{path}/cancel", json={}, headers=stale).status_code == 412
    ann.post(f"{POSTS}/{entries[0]['post_id']}/withdraw", json={})
    cancelled = ann.post(f"{path}/cancel", json={"reason": "Storm"}).json()
    assert (cancelled["posts_changed"], cancelled["posts_left"]) == (1, 1)
    assert ann.post(f"{path}/cancel", json={}).json()["posts_changed"] == 0
    detail = ann.get(path).json()
    assert detail["status"] == "cancelled"
    assert {each["status"] for each in detail["posts"]} == {"withdrawn"}
    late = ann.post(f"{path}/move", json={"date_range_start": start.isoformat()})
    assert (late.status_code, late.json()["state"]) == (409, "cancelled")


def test_cancelled_moments_are_free_again(ann):
    asked = body(1, optimization_strategy="consistent")
    made = ann.post(SCHEDULE, json=asked).json()
    ann.post(f"{SCHEDULE}/{made['schedule_id']}/cancel", json={})
    assert moments(ann.post(SCHEDULE, json=asked).json()) == moments(made)


def test_others_cannot_touch_it(site, ann):
    id = ann.post(SCHEDULE, json=body(1)).json()["schedule_id"]
    with site.client(tenant="acme") as eve:
        assert eve.get(f"{SCHEDULE}/{id}").status_code == 404
        assert eve.post(f"{SCHEDULE}/{id}/cancel", json={}).status_code == 404
    for role in ("api_user", "read_only"):
        with site.client(role) as user:
            assert user.post(SCHEDULE, json=body(1)).status_code == 403


def test_after_downtime_late_posts_go_out_in_order_and_never_at_once(
    database_url, redis_url, tmp_path
):
    hours = [26, 3, 2, 1]  # since they were due; nothing has run for 30
    ids = _planned_long_ago(database_url, hours)
    with running(database_url, redis_url, tmp_path) as site, site.client() as ann:
        posts = eventually(lambda: _caught_up(ann, ids))
        with psycopg.connect(database_url) as connection:
            (sent,) = connection.execute("SELECT count(*) FROM sandbox.posts").fetchone()
    missed, first, *others = posts
    assert missed["status"] == "failed"
    assert first["status"] == "published" and sent == 1
    found = [datetime.fromisoformat(post["scheduled_for"]) for post in (first, *others)]
    assert abs(found[0] - datetime.now(UTC)) < timedelta(minutes=1)
    assert [b - a for a, b in pairwise(found)] == [DISTANCE, DISTANCE]


def _planned_long_ago(url, hours):
    """Posts of somebody who left before they were due."""
    now, ids = datetime.now(UTC), []
    with psycopg.connect(url, autocommit=True) as admin, at(now - timedelta(hours=30)):
        for ago in hours:
            due = now - timedelta(hours=ago)
            post = CreatePost(content="Hello", platforms=["twitter"], scheduled_for=due).handle()
            append(admin, post.collect_events())
            ids.append(public_id("post", post.id))
    return ids


def _caught_up(ann, ids):
    """The posts, once none of them is waiting in the past."""
    posts = [ann.get(f"{POSTS}/{id}").json() for id in ids]
    now = datetime.now(UTC)
    waiting = [post for post in posts if post.get("status") == "scheduled"]
    done = all(datetime.fromisoformat(post["scheduled_for"]) > now for post in waiting)
    return done and len(waiting) < len(posts) and posts
