"""The audit trail, time travel and the ledger over real HTTP, with all the background work."""

import base64
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.site import eventually, running

AUDIT = "/api/v1/audit"
POSTS = "/api/v1/social/posts"
LATER = {"content": "Hello", "platforms": ["twitter"], "scheduled_for": "2040-01-01T00:00:00Z"}


@pytest.fixture(scope="module")
def site(create_database, template, valkey_server, tmp_path_factory):
    place = tmp_path_factory.mktemp("site")
    with running(create_database(template), valkey_server, place) as site:
        yield site


@pytest.fixture
def ann(site):
    with site.client(user=f"ann-{time.monotonic_ns()}") as client:
        yield client


def test_smoke(site, ann):
    made = ann.post(POSTS, json=LATER)
    assert made.status_code == 200
    for path in ("log", "projections", "checkpoint", "verify", "proof/1", "consistency?earlier=1"):
        time.sleep(0.6)
        a = ann.get(f"{AUDIT}/{path}")
        print(path, a.status_code, a.text)
    id = made.json()["post_id"]
    for path in (f"aggregates/{id}/history", f"aggregates/{id}", f"aggregates/{id}?version=1"):
        a = ann.get(f"{AUDIT}/{path}")
        print(path, a.status_code, a.text)
    ann.get(f"{AUDIT}/log", headers={"Authorization": ""})
    time.sleep(0.6)
    print(ann.get(f"{AUDIT}/log?limit=1").text)
    with site.client(role="super_admin") as root:
        print(root.post(f"{AUDIT}/projections/posts/rebuild", json={}).text)
        print(root.post(f"{AUDIT}/projections/posts/rebuild").text)
