"""Posts over real HTTP, with all the background work running."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tests.site import PATIENT, eventually, running

POSTS = "/api/v1/social/posts"
HELLO = {"content": "New luxury collection! #Fashion", "platforms": ["instagram", "facebook"]}
PHOTO = {"media_urls": ["https://example.com/photo.jpg"]}


def events(site, tenant):
    asked = "SELECT topic FROM log.events WHERE tenant = %s ORDER BY position"
    return [topic for (topic,) in site.query(asked, tenant)]


def test_a_post_goes_out_and_everyone_sees_it(site, tenant, ann):
    answer = ann.post(POSTS, json={**HELLO, **PHOTO}, headers=PATIENT)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["success"], body["status"]) == (True, "published")
    assert set(body["platform_results"]) == {"instagram", "facebook"}
    assert {each["provider"] for each in body["platform_results"].values()} == {"sandbox"}
    assert set(body["ai_optimizations"]) == {"instagram", "facebook"}
    with site.client("read_only", tenant, "eve") as eve:
        detail = eventually(
            lambda: (
                (d := eve.get(f"{POSTS}/{body['post_id']}").json())["status"] == "published" and d
            )
        )
    assert detail["content"] == HELLO["content"]
    assert detail["published_at"].endswith("Z")
    assert detail["comments_preview"] is None


def test_engagement_grows_and_is_shown(site, ann):
    body = ann.post(POSTS, json={**HELLO, **PHOTO}).json()
    site.query("UPDATE sandbox.posts SET published_at = published_at - interval '9 days'")
    detail = eventually(
        lambda: (
            (d := ann.get(f"{POSTS}/{body['post_id']}?include_comments=true").json())["analytics"][
                "total_views"
            ]
            and d
        )
    )
    analytics = detail["analytics"]
    parts = analytics["platform_breakdown"].values()
    assert analytics["total_likes"] == sum(part["likes"] for part in parts)
    assert analytics["total_comments"] == sum(part["comments"] for part in parts)
    assert 0 < analytics["engagement_rate"] < 1
    assert analytics["best_performing_platform"] in ("instagram", "facebook")
    assert len(detail["comments_preview"]) == min(analytics["total_comments"], 10)
    assert -1 <= analytics["sentiment_score"] <= 1


def test_a_caller_reads_what_they_wrote(ann):
    for n in range(30):
        answer = ann.post(POSTS, json={"content": f"Post {n}", "platforms": ["twitter"]},
                          headers={"Prefer": "respond-async"})  # fmt: skip
        detail = ann.get(f"{POSTS}/{answer.json()['post_id']}")
        assert detail.json()["content"] == f"Post {n}"


def test_a_scheduled_post_waits_for_its_hour(site, ann):
    due = datetime.now(UTC) + timedelta(seconds=2)
    body = ann.post(
        POSTS, json={**HELLO, "platforms": ["twitter"], "scheduled_for": due.isoformat()}
    ).json()
    assert body["status"] == "scheduled"
    time.sleep(1)
    assert ann.get(f"{POSTS}/{body['post_id']}").json()["status"] == "scheduled"
    detail = eventually(
        lambda: (d := ann.get(f"{POSTS}/{body['post_id']}").json())["status"] == "published" and d
    )
    published = datetime.fromisoformat(detail["published_at"])
    assert timedelta(0) <= published - due < timedelta(seconds=2)


def test_a_scheduled_post_goes_out_after_a_restart(database_url, redis_url, tmp_path):
    due = datetime.now(UTC) + timedelta(seconds=1)
    with running(database_url, redis_url, tmp_path) as site, site.client() as ann:
        body = ann.post(
            POSTS, json={**HELLO, "platforms": ["twitter"], "scheduled_for": due.isoformat()}
        ).json()
    time.sleep(1.2)
    with running(database_url, redis_url, tmp_path) as site, site.client() as ann:
        eventually(lambda: ann.get(f"{POSTS}/{body['post_id']}").json()["status"] == "published")
        assert events(site, "demo").count("social.post.published") == 1


def test_a_moment_of_the_past_is_due_at_once(ann):
    body = ann.post(
        POSTS, json={**HELLO, "platforms": ["twitter"], "scheduled_for": "2024-02-01T10:00:00"}
    ).json()
    assert (body["status"], body["scheduled_for"]) == ("scheduled", "2024-02-01T10:00:00Z")
    eventually(lambda: ann.get(f"{POSTS}/{body['post_id']}").json()["status"] == "published")


def test_a_post_can_be_moved_and_withdrawn(ann):
    body = ann.post(POSTS, json={**HELLO, "scheduled_for": "2040-01-01T00:00:00Z"}).json()
    path = f"{POSTS}/{body['post_id']}"
    moved = ann.post(f"{path}/schedule", json={"scheduled_for": "2041-01-01T00:00:00+02:00"})
    assert moved.json()["scheduled_for"] == "2040-12-31T22:00:00Z"
    assert ann.post(f"{path}/withdraw", json={}).json()["status"] == "withdrawn"
    refused = ann.post(f"{path}/retry", json={})
    assert (refused.status_code, refused.json()["status"]) == (409, 409)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"content": ""}, "content"),
        ({"content": None}, "content"),
        ({"content": "x" * 5001}, "content"),
        ({"content": "Test'; DROP TABLE social_posts; --"}, "content"),
        ({"content": "<script>alert(1)</script>"}, "content"),
        ({"content": "null\x00character"}, "content"),
        ({"platforms": []}, "platforms"),
        ({"platforms": ["invalid"]}, "platforms.0"),
        ({"platforms": "twitter"}, "platforms"),
        ({"media_urls": ["ftp://example.com/x"]}, "media_urls.0"),
        ({"media_urls": ["not an address"]}, "media_urls.0"),
        ({"scheduled_for": "tomorrow"}, "scheduled_for"),
        ({"hashtags": ["two words"]}, "hashtags.0"),
        ({"mentions": [""]}, "mentions.0"),
        ({"location": "x" * 201}, "location"),
        ({"ai_optimize": "maybe"}, "ai_optimize"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_bad_input_names_the_field_and_writes_nothing(site, tenant, ann, change, field):
    answer = ann.post(POSTS, json={**HELLO, **change})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["errors"][0]["field"] == field
    assert problem["success"] is False
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert events(site, tenant) == []


def test_refusals_before_the_body(site, tenant, ann):
    good = b'{"content": "x", "platforms": ["twitter"]}'
    half = b'{"content": "\\ud800", "platforms": ["twitter"]}'
    json = {"content-type": "application/json"}
    reader = f"Bearer {site.token('read_only', tenant)}"
    cases = [
        (400, ann.post(POSTS, content=b'{"content": ', headers=json)),
        (400, ann.post(POSTS, content=half, headers=json)),
        (415, ann.post(POSTS, content=good, headers={"content-type": "text/plain"})),
        (413, ann.post(POSTS, content=b" " * (1024 * 1024 + 1), headers=json)),
        (405, ann.patch(POSTS, json={})),
        (404, ann.get("/api/v1/nothing")),
        (401, ann.post(POSTS, json=HELLO, headers={"Authorization": ""})),
        (401, ann.post(POSTS, json=HELLO, headers={"Authorization": "Bearer nonsense"})),
        (401, ann.post(POSTS, content=b"{", headers={**json, "Authorization": "Basic YTpi"})),
        (403, ann.post(POSTS, content=b"{", headers={**json, "Authorization": reader})),
    ]  # fmt: skip
    for status, answer in cases:
        assert (answer.status_code, answer.json()["status"]) == (status, status)
        assert answer.headers["content-type"] == "application/problem+json"
        assert ("www-authenticate" in answer.headers) == (status == 401)
    assert events(site, tenant) == []


def test_an_expired_token_is_refused(site, tenant, ann):
    token = site.token(tenant=tenant, ttl=1)
    time.sleep(2.1)
    answer = ann.get(f"{POSTS}/post_1", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert "expired" in answer.headers["www-authenticate"]


def test_another_tenants_post_is_not_there(site, ann):
    body = ann.post(POSTS, json={**HELLO, "scheduled_for": "2040-01-01T00:00:00Z"}).json()
    with site.client(tenant="acme") as bob:
        for answer in (
            bob.get(f"{POSTS}/{body['post_id']}"),
            bob.post(f"{POSTS}/{body['post_id']}/withdraw", json={}),
            bob.get(f"{POSTS}/post_{'0' * 32}"),
            bob.get(f"{POSTS}/nonsense"),
        ):
            assert answer.status_code == 404
            assert answer.json()["code"] == "not_found"


def test_a_key_is_answered_once(site, tenant, ann):
    headers = {"Idempotency-Key": "k1"}
    with ThreadPoolExecutor(50) as crowd:
        answers = list(crowd.map(lambda _: ann.post(POSTS, json=HELLO, headers=headers), range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["event-position"] for answer in answers}) == 1
    assert events(site, tenant).count("social.post.drafted") == 1
    other = ann.post(POSTS, json={**HELLO, "content": "Other"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    with site.client(tenant=tenant, user="bob") as bob:
        assert bob.post(POSTS, json=HELLO, headers=headers).content != answers[0].content


def test_a_stale_version_is_refused(ann):
    created = ann.post(POSTS, json={**HELLO, "scheduled_for": "2040-01-01T00:00:00Z"})
    path = f"{POSTS}/{created.json()['post_id']}"
    etag = created.headers["etag"]
    assert ann.get(path).headers["etag"] == etag
    move = {"scheduled_for": "2041-01-01T00:00:00Z"}
    moved = ann.post(f"{path}/schedule", json=move, headers={"If-Match": etag})
    assert moved.status_code == 200
    assert moved.headers["etag"] != etag
    assert ann.post(f"{path}/schedule", json=move, headers={"If-Match": etag}).status_code == 412
    bad = ann.post(f"{path}/schedule", json=move, headers={"If-Match": "soon"})
    assert bad.json()["errors"][0]["field"] == "If-Match"


def test_a_query_can_ask_for_a_position(ann):
    created = ann.post(POSTS, json={**HELLO, "scheduled_for": "2040-01-01T00:00:00Z"})
    path = f"{POSTS}/{created.json()['post_id']}"
    position = created.headers["event-position"]
    assert ann.get(path, headers={"Event-Position": position}).status_code == 200
    answer = ann.get(path, headers={"Event-Position": str(int(position) + 1000)})
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    assert ann.get(path, headers={"Event-Position": "x"}).status_code == 422


def test_the_limit_of_105_posts_under_the_strict_profile(database_url, redis_url, tmp_path):
    with (
        running(database_url, redis_url, tmp_path, RATE_LIMIT_PROFILE="strict") as site,
        site.client() as ann,
    ):
        for _ in range(5):
            assert ann.post(POSTS, json={**HELLO, "content": ""}).status_code == 422
        answers = [
            ann.post(POSTS, json={"content": f"Test post {n}", "platforms": ["twitter"],
                                  "scheduled_for": "2040-01-01T00:00:00Z"})
            for n in range(105)
        ]  # fmt: skip
        assert [a.status_code for a in answers] == [200] * 100 + [429] * 5
        assert answers[0].headers["x-ratelimit-limit"] == "100"
        assert answers[0].headers["x-ratelimit-remaining"] == "99"
        assert int(answers[-1].headers["retry-after"]) > 0
        assert answers[-1].headers["content-type"] == "application/problem+json"
        with site.client(user="bob") as bob:
            assert bob.post(POSTS, json=HELLO).status_code == 200
