"""What operators ask: alive, ready, measured."""

import pytest

from tests.site import PATIENT, eventually, running


@pytest.fixture
def site(database_url, redis_url, tmp_path):
    with running(database_url, redis_url, tmp_path) as site:
        yield site


def test_alive_ready_and_measured(site):
    with site.client() as ann:
        assert ann.get("/healthz").json() == {"status": "alive"}
        ready = eventually(lambda: (a := ann.get("/readyz")).status_code == 200 and a)
        assert ready.json()["checks"]["redis"] == "ok"
        assert ready.json()["checks"]["projection posts"] == "ok"
        post = {"content": "Counted", "platforms": ["twitter"]}
        answer = ann.post("/api/v1/social/posts", json=post, headers=PATIENT)
        assert answer.json()["status"] == "published"
        wanted = (
            'http_requests_total{method="POST",route="/api/v1/social/posts",status="200"}',
            "http_request_duration_seconds_bucket",
            "tidings_append_seconds_bucket",
            'tidings_projection_lag_events{projection="posts"}',
            'social_posts_created_total{platform="twitter",status="published"}',
        )
        eventually(lambda: all(line in ann.get("/metrics").text for line in wanted))


def test_without_redis_the_service_stays_ready_and_says_so(database_url, tmp_path):
    nowhere = "unix:///nowhere/valkey.sock"
    with running(database_url, nowhere, tmp_path) as site, site.client() as ann:
        ready = eventually(lambda: (a := ann.get("/readyz")).status_code == 200 and a)
        assert ready.json()["checks"]["redis"].startswith("unreachable")
        post = {"content": "Without", "platforms": ["twitter"]}
        assert ann.post("/api/v1/social/posts", json=post).status_code == 200
