"""The management of webhooks over real HTTP, with all the background work running."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis
from standardwebhooks import Webhook as Verifier

from tests.site import Site, eventually, running
from tests.webhooks.hook import Hook, listening

BASE = "/api/v1/webhooks"
ENDPOINTS = f"{BASE}/endpoints"
POSTS = "/api/v1/social/posts"
LATER = "2040-01-01T00:00:00Z"
OTHERS = "endpoint_0195d3a2c4e87b6e9a1f0c5d2b7e4f60"

tenants = (f"t{n}" for n in count())


@pytest.fixture(scope="module")
def site(
    create_database: Callable[[str | None], str],
    template: str,
    valkey_server: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("webhooks")
    with running(
        create_database(template),
        valkey_server,
        folder,
        ALLOW_PRIVATE_NETWORKS="127.0.0.0/8",
        RATE_LIMIT_PROFILE="off",
    ) as site:
        yield site


@pytest.fixture
def ann(site: Site) -> Iterator[httpx.Client]:
    """The administrator of a tenant of this test alone."""
    with site.client("admin", next(tenants)) as client:
        yield client


@pytest.fixture
def hook() -> Iterator[Hook]:
    with listening() as it:
        yield it


def register(client: httpx.Client, url: str, **more: Any) -> dict[str, Any]:
    answer = client.post(ENDPOINTS, json={"url": url, "events": ["*"], **more})
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def post(client: httpx.Client) -> str:
    answer = client.post(
        POSTS, json={"content": "Hello", "platforms": ["twitter"], "scheduled_for": LATER}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["post_id"]  # type: ignore[no-any-return]


def deliveries(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(f"{BASE}/deliveries", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["deliveries"]  # type: ignore[no-any-return]


def test_an_endpoint_is_registered_and_told_what_happens(ann: httpx.Client, hook: Hook) -> None:
    made = register(ann, hook.url, events=["social.*"], description="Shop", rate_limit=50)
    assert made.keys() >= {"success", "endpoint_id", "url", "events", "status", "secret"}
    assert (made["success"], made["status"]) == (True, "enabled")
    assert made["secret"].startswith("whsec_")
    assert made["created_at"].endswith("Z")
    post_id = post(ann)
    headers, body = eventually(lambda: hook.got and hook.got[0])
    message = Verifier(made["secret"]).verify(body, headers)
    assert message["data"]["post_id"] == post_id
    shown = eventually(
        lambda: (
            (it := ann.get(f"{ENDPOINTS}/{made['endpoint_id']}").json())["delivered"] == 1 and it
        )
    )
    assert "secret" not in shown
    assert (shown["pending"], shown["failed"], shown["success_rate"]) == (0, 0, 1.0)
    assert ann.get(ENDPOINTS).json()["endpoints"] == [shown]


def test_a_delivery_shows_every_attempt(ann: httpx.Client, hook: Hook) -> None:
    hook.status = 500
    made = register(ann, hook.url)
    post(ann)
    (delivery,) = eventually(
        lambda: (found := deliveries(ann)) and found[0]["attempt_count"] and found
    )
    assert (delivery["status"], delivery["event"]) == ("pending", "social.post.created")
    assert delivery["next_attempt_at"] > delivery["created_at"]
    hook.status = 200
    path = f"{BASE}/deliveries/{delivery['delivery_id']}"
    retried = ann.post(f"{path}/retry")
    assert retried.status_code == 200, retried.text
    detail = eventually(lambda: (it := ann.get(path).json())["status"] == "delivered" and it)
    assert [each["status"] for each in detail["attempts"]] == [500, 200]
    for attempt in detail["attempts"]:
        assert attempt["answer"] == "hello"
        assert attempt["latency_ms"] >= 0
        assert attempt["at"].endswith("Z")
    assert detail["webhook_id"] == hook.got[0][0]["webhook-id"]
    assert detail["endpoint_id"] == made["endpoint_id"]
    assert detail["next_attempt_at"] is None


def test_a_ping_is_sent_now(ann: httpx.Client, hook: Hook) -> None:
    made = register(ann, hook.url, events=["payment.*"])
    answer = ann.post(f"{ENDPOINTS}/{made['endpoint_id']}/test")
    assert answer.status_code == 200, answer.text
    headers, body = eventually(lambda: hook.got and hook.got[0])
    assert json.loads(body)["type"] == answer.json()["event"] == "webhook.ping"
    assert headers["webhook-id"] == answer.json()["webhook_id"]
    detail = ann.get(f"{BASE}/deliveries/{answer.json()['delivery_id']}").json()
    assert detail["event"] == "webhook.ping"


def test_a_replay_sends_again_under_the_same_ids(ann: httpx.Client, hook: Hook) -> None:
    made = register(ann, hook.url)
    for _ in range(3):
        post(ann)
    eventually(lambda: len(hook.got) == 3)
    ids = [headers["webhook-id"] for headers, _ in hook.got]
    eventually(lambda: len(deliveries(ann, status="delivered")) == 3)
    answer = ann.post(f"{ENDPOINTS}/{made['endpoint_id']}/replay", json={"since": "2020-01-01"})
    assert answer.status_code == 200, answer.text
    assert "social.post.created" in answer.json()["events"]
    eventually(lambda: len(hook.got) == 6)
    assert sorted(headers["webhook-id"] for headers, _ in hook.got[3:]) == sorted(ids)


def test_the_secret_is_shown_twice_only_for_the_same_idempotency_key(
    site: Site, ann: httpx.Client, hook: Hook
) -> None:
    body = {"url": hook.url, "events": ["*"]}
    first = ann.post(ENDPOINTS, json=body, headers={"Idempotency-Key": "k"})
    again = ann.post(ENDPOINTS, json=body, headers={"Idempotency-Key": "k"})
    assert first.json() == again.json()
    assert len(ann.get(ENDPOINTS).json()["endpoints"]) == 1
    secret = first.json()["secret"].removeprefix("whsec_").encode()
    with psycopg.connect(site.settings.database_url) as connection:
        for query in ("SELECT answer FROM log.answers", "SELECT state FROM log.events"):
            assert all(secret not in kept for (kept,) in connection.execute(query))
    ann.delete(f"{ENDPOINTS}/{first.json()['endpoint_id']}")
    eventually(
        lambda: (
            ann.post(ENDPOINTS, json=body, headers={"Idempotency-Key": "k"}).json()["secret"]
            is None
        )
    )


def test_rotation_shows_a_new_secret_and_both_sign(ann: httpx.Client, hook: Hook) -> None:
    made = register(ann, hook.url, asymmetric=True)
    assert made["public_key"].startswith("whpk_")
    rotated = ann.post(f"{ENDPOINTS}/{made['endpoint_id']}/rotate-secret")
    assert rotated.status_code == 200, rotated.text
    assert rotated.json()["secret"] != made["secret"]
    assert rotated.json()["public_key"] != made["public_key"]
    ann.get(f"{BASE}/deliveries")  # one reads one's own writes: the fan-out knows it now
    post(ann)
    headers, body = eventually(lambda: hook.got and hook.got[0])
    for secret in (made["secret"], rotated.json()["secret"]):
        Verifier(secret).verify(body, headers)
    for _ in range(3):
        assert ann.post(f"{ENDPOINTS}/{made['endpoint_id']}/rotate-secret").status_code == 200
    refused = ann.post(f"{ENDPOINTS}/{made['endpoint_id']}/rotate-secret")
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_secrets")


def test_a_change_is_seen_at_once_and_a_removal_too(ann: httpx.Client, hook: Hook) -> None:
    made = register(ann, hook.url, headers={"X-Shop": "7", "Authorization": "Bearer s3cret"})
    path = f"{ENDPOINTS}/{made['endpoint_id']}"
    assert made["header_names"] == ["X-Shop", "Authorization"]
    changed = ann.patch(path, json={"events": ["payment.failed"], "headers": {"X-Shop": "8"}})
    assert changed.json()["events"] == ["payment.failed"]
    shown = ann.get(path)
    assert (shown.json()["events"], shown.json()["header_names"]) == (
        ["payment.failed"],
        ["X-Shop"],
    )
    assert "s3cret" not in shown.text
    stale = ann.patch(path, json={"description": "x"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert ann.patch(path, json={"status": "disabled"}).json()["status"] == "disabled"
    assert ann.get(path).json()["disabled_reason"] == "asked"
    assert ann.post(f"{path}/test").status_code == 409
    assert ann.patch(path, json={"status": "enabled"}).json()["status"] == "enabled"
    assert ann.delete(path).json() == {"success": True, "endpoint_id": made["endpoint_id"]}
    assert ann.get(path).status_code == 404
    assert ann.delete(path).status_code == 404
    assert ann.get(ENDPOINTS).json()["endpoints"] == []


def test_an_endpoint_that_is_gone_is_disabled_with_a_notice(ann: httpx.Client, hook: Hook) -> None:
    hook.status = 410
    made = register(ann, hook.url)
    post(ann)
    path = f"{ENDPOINTS}/{made['endpoint_id']}"
    shown = eventually(lambda: (it := ann.get(path).json())["status"] == "disabled" and it)
    assert shown["disabled_reason"] == "gone"
    assert "410" in shown["notice"]


def test_pages_of_deliveries(ann: httpx.Client, hook: Hook) -> None:
    made = register(ann, hook.url)
    for _ in range(7):
        post(ann)
    assert len(deliveries(ann)) == 7
    seen: list[str] = []
    cursor = None
    for _ in range(4):
        query = {"limit": 2, "endpoint_id": made["endpoint_id"], "event": "social.post.created"}
        page = ann.get(f"{BASE}/deliveries", params=query | ({"cursor": cursor} if cursor else {}))
        seen += [each["delivery_id"] for each in page.json()["deliveries"]]
        cursor = page.json()["next_cursor"]
    assert cursor is None
    assert len(set(seen)) == 7
    assert seen == sorted(seen, reverse=True)
    assert deliveries(ann, status="failed") == []
    assert deliveries(ann, event="payment.failed") == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"events": ["social.post.create"]}, "events"),
        ({"events": []}, "events"),
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"url": "https://user:pass@example.com/"}, "url"),
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "https://example.com/#fragment"}, "url"),
        ({"url": "not a url"}, "url"),
        ({"headers": {"Webhook-Id": "mine"}}, "headers"),
        ({"headers": {"Content-Length": "0"}}, "headers"),
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "headers"),
        ({"headers": {"X A": "1"}}, "headers"),
        ({"rate_limit": 0}, "rate_limit"),
        ({"secret": "mine"}, "secret"),
    ],
)
def test_a_bad_registration_is_refused_by_its_field(
    ann: httpx.Client, body: dict[str, Any], field: str
) -> None:
    answer = ann.post(ENDPOINTS, json={"url": "https://example.com/h", "events": ["*"], **body})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"].split(".")[0] == field
    assert ann.get(ENDPOINTS).json()["endpoints"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "since"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2999-01-01T00:00:00Z"}, "since"),
        ({"since": "2020-01-02", "until": "2020-01-01"}, "body"),
        ({"since": "2020-01-01", "until": "2020-01-02"}, "since"),
        ({"since": "2020-01-01", "events": ["nothing.*"]}, "events"),
        ({"since": "2020-01-01", "events": ["payment.*"]}, "events"),
    ],
)
def test_a_replay_of_nothing_is_refused_by_its_field(
    ann: httpx.Client, body: dict[str, Any], field: str
) -> None:
    made = register(ann, "https://example.com/hook", events=["social.*"])
    answer = ann.post(f"{ENDPOINTS}/{made['endpoint_id']}/replay", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"].split(".")[0] == field


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"event": "social.post.create"}, 422),
        ({"status": "lost"}, 422),
        ({"cursor": "x"}, 422),
        ({"limit": 0}, 422),
        ({"limit": 201}, 422),
        ({"endpoint_id": OTHERS}, 404),
        ({"endpoint_id": "x"}, 404),
    ],
)
def test_a_bad_question_is_refused(ann: httpx.Client, query: dict[str, Any], status: int) -> None:
    assert ann.get(f"{BASE}/deliveries", params=query).status_code == status


def test_what_belongs_to_another_tenant_is_not_there(site: Site, ann: httpx.Client) -> None:
    made = register(ann, "https://example.com/hook")
    post(ann)
    ((delivery),) = [each["delivery_id"] for each in deliveries(ann)]
    mine = f"{ENDPOINTS}/{made['endpoint_id']}"
    with site.client("super_admin", next(tenants)) as eve:
        assert eve.get(ENDPOINTS).json()["endpoints"] == []
        assert deliveries(eve) == []
        for answer in (
            eve.get(mine),
            eve.patch(mine, json={"description": "mine"}),
            eve.delete(mine),
            eve.post(f"{mine}/rotate-secret"),
            eve.post(f"{mine}/test"),
            eve.post(f"{mine}/replay", json={"since": "2020-01-01"}),
            eve.get(f"{BASE}/deliveries", params={"endpoint_id": made["endpoint_id"]}),
            eve.get(f"{BASE}/deliveries/{delivery}"),
            eve.post(f"{BASE}/deliveries/{delivery}/retry"),
        ):
            assert answer.status_code == 404, answer.text


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [("developer", 200, 403), ("api_user", 403, 403), ("read_only", 403, 403)],
)
def test_roles(site: Site, role: str, reads: int, writes: int) -> None:
    with site.client(role, next(tenants)) as client:
        for path in ("event-types", "endpoints", "deliveries"):
            assert client.get(f"{BASE}/{path}").status_code == reads
        body = {"url": "https://example.com/", "events": ["*"]}
        assert client.post(ENDPOINTS, json=body).status_code == writes
        for path in ("rotate-secret", "test"):
            assert client.post(f"{ENDPOINTS}/{OTHERS}/{path}").status_code == writes
        assert client.delete(f"{ENDPOINTS}/{OTHERS}").status_code == writes


def test_the_catalogue_is_listed(ann: httpx.Client) -> None:
    types = {each["name"]: each for each in ann.get(f"{BASE}/event-types").json()["event_types"]}
    assert len(types) >= 40
    created = types["social.post.created"]
    assert created.keys() == {"name", "description", "version", "schema", "example"}
    assert created["schema"]["required"] == ["post_id", "platforms", "status", "created_at"]
    assert created["example"]["status"] == "scheduled"


# The stream ----------------------------------------------------------------------------------


def events_of(lines: Iterator[str], n: int) -> list[dict[str, str]]:
    """The next `n` Server-Sent Events that have data."""
    found: list[dict[str, str]] = []
    event: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
            continue
        if "data" in event:
            found.append(event)
        event = {}
        if len(found) == n:
            break
    return found


def test_the_stream_says_the_same_and_resumes_anywhere(ann: httpx.Client, hook: Hook) -> None:
    register(ann, hook.url)
    for _ in range(4):
        post(ann)
    eventually(lambda: len(hook.got) == 4)
    with ann.stream("GET", f"{BASE}/stream", headers={"Last-Event-ID": "0"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        everything = events_of(stream.iter_lines(), 4)
    assert {each["data"].encode() for each in everything} == {body for _, body in hook.got}
    assert {each["event"] for each in everything} == {"social.post.created"}
    with ann.stream(
        "GET", f"{BASE}/stream", headers={"Last-Event-ID": everything[1]["id"]}
    ) as stream:
        lines = stream.iter_lines()
        assert events_of(lines, 2) == everything[2:]
        post(ann)
        assert len(events_of(lines, 1)) == 1


@pytest.mark.parametrize("position", ["-1", "x", "1.5", "99999999", "9" * 30])
def test_a_position_that_is_none_is_refused(ann: httpx.Client, position: str) -> None:
    answer = ann.get(f"{BASE}/stream", headers={"Last-Event-ID": position})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Last-Event-ID"


def test_a_stream_of_unknown_events_is_refused(ann: httpx.Client) -> None:
    assert ann.get(f"{BASE}/stream", params={"events": "social.nothing"}).status_code == 422


def test_streams_are_for_those_who_may_read(site: Site) -> None:
    with site.client("api_user", next(tenants)) as client:
        assert client.get(f"{BASE}/stream").status_code == 403


def test_a_lost_redis_changes_nothing(site: Site, ann: httpx.Client, hook: Hook) -> None:
    register(ann, hook.url)
    for _ in range(3):
        post(ann)
        with redis.Redis.from_url(site.settings.redis_url) as client:
            client.flushall()
    eventually(lambda: len(hook.got) == 3)


def test_times_in_the_answers_are_of_now(ann: httpx.Client) -> None:
    made = register(ann, "https://example.com/hook")
    created = datetime.fromisoformat(made["created_at"])
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=1)
