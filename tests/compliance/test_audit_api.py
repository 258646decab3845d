"""The audit trail, time travel and the ledger over real HTTP, with all the background work."""

import base64
import itertools
import time
from datetime import datetime

import httpx
import psycopg
import pytest

from api.kernel import ADMINS
from infrastructure.tokens import Tokens
from projections.compliance.audit import ACTIONS, AuditTrail
from tests.compliance import rfc6962
from tests.site import eventually, running

AUDIT = "/api/v1/audit"
POSTS = "/api/v1/social/posts"
LATER = {"content": "Hello", "platforms": ["twitter"], "scheduled_for": "2040-01-01T00:00:00Z"}
numbers = itertools.count()


@pytest.fixture(scope="module")
def site(create_database, template, valkey_server, tmp_path_factory):
    place = tmp_path_factory.mktemp("site")
    url = create_database(template)
    with running(url, valkey_server, place, RATE_LIMIT_PROFILE="strict") as site:
        yield site


@pytest.fixture
def tenant():
    """A tenant of this test alone."""
    return f"t{next(numbers)}-{time.monotonic_ns()}"


@pytest.fixture
def ann(site, tenant):
    with site.client(tenant=tenant) as client:
        yield client


def made(client, **changes):
    answer = client.post(POSTS, json={**LATER, **changes})
    assert answer.status_code == 200
    return answer.json()["post_id"], int(answer.headers["event-position"])


def log(client, **params):
    answer = client.get(f"{AUDIT}/log", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()["entries"]


def refusals(client, count, **params):
    """The refusals in the trail, once there are so many of them."""

    def look():
        found = [each for each in log(client, **params) if each["source"] == "refusal"]
        return len(found) >= count and found

    return eventually(look)


def test_the_trail_tells_who_did_what_to_what_when_and_from_where(ann, tenant):
    answer = ann.post(POSTS, json=LATER, headers={"X-Request-ID": "request-7"})
    position = int(answer.headers["event-position"])
    eventually(lambda: log(ann)[0]["address"])
    scheduled, drafted = log(ann)
    assert (drafted["action"], scheduled["action"]) == (
        "social.post.drafted",
        "social.post.scheduled",
    )
    assert drafted["resource"].replace("-", "") == answer.json()["post_id"].removeprefix("post_")
    for entry, version in ((drafted, 1), (scheduled, 2)):
        assert entry["outcome"] == "success"
        assert (entry["actor"], entry["request_id"]) == ("ann", "request-7")
        assert (entry["address"], entry["version"]) == ("127.0.0.1", version)
        assert entry["position"] == position - 2 + version
        assert entry["at"].endswith("Z")


def test_refusals_are_in_the_trail(site, ann, tenant):
    anonymous = {"Authorization": "", "X-Request-ID": f"no-token-{tenant}"}
    assert ann.post(POSTS, json=LATER, headers=anonymous).status_code == 401
    with site.client("read_only", tenant, "eve") as eve:
        assert eve.post(POSTS, json=LATER).status_code == 403
    with site.client("super_admin", tenant, "root") as root:
        for _ in range(31):
            last = root.post(f"{AUDIT}/projections/nothing/rebuild")
        assert last.status_code == 429
        by_action = {each["action"]: each for each in refusals(root, 3)}
        assert set(by_action) == {
            "access.unauthenticated",
            "access.forbidden",
            "access.rate_limited",
        }
        forbidden, limited = by_action["access.forbidden"], by_action["access.rate_limited"]
        assert (forbidden["actor"], forbidden["status"]) == ("eve", 403)
        assert (forbidden["resource"], forbidden["method"]) == ("social.posts.create", "POST")
        assert forbidden["outcome"] == "refused" and forbidden["address"] == "127.0.0.1"
        assert (limited["actor"], limited["resource"]) == ("root", "audit.rebuild")
        stranger = next(e for e in log(root) if e["request_id"] == f"no-token-{tenant}")
        assert (stranger["actor"], stranger["reason"]) == (None, "missing")
        assert stranger["address"] == "127.0.0.1"
    seen = next(e for e in log(ann) if e["request_id"] == f"no-token-{tenant}")
    assert seen["address"] == "127.0.0.0/24"


def test_a_failed_login_is_seen_by_the_tenant_that_it_claims(site, ann, tenant):
    forged = Tokens("a secret that somebody has made up, long enough").issue(
        user="mallory", role="admin", tenant=tenant
    )
    headers = {"Authorization": f"Bearer {forged}"}
    assert ann.get(f"{AUDIT}/log", headers=headers).status_code == 401
    (entry,) = refusals(ann, 1, action="access.unauthenticated", resource="audit.log")
    assert (entry["actor"], entry["reason"], entry["address"]) == (
        None,
        "bad signature",
        "127.0.0.1",
    )
    with site.client(tenant="somebody-else") as other:
        assert not [e for e in log(other, limit=500) if e["request_id"] == entry["request_id"]]


@pytest.mark.parametrize("token", ["a.b.c", "..", "a.e30.c", "a.bnVsbA.c", "x" * 9000])
def test_odd_tokens_are_noted_too(site, ann, token):
    id = f"odd-{time.monotonic_ns()}"
    headers = {"Authorization": f"Bearer {token}", "X-Request-ID": id}
    assert ann.get(f"{AUDIT}/log", headers=headers).status_code == 401
    eventually(lambda: [e for e in log(ann, limit=500) if e["request_id"] == id])


def test_pages_add_up_to_the_whole(site, ann, tenant):
    for _ in range(3):
        made(ann)
    with site.client("read_only", tenant, "eve") as eve:
        for _ in range(4):
            eve.post(POSTS, json=LATER)
    refusals(ann, 4, actor="eve")
    whole = [e for e in log(ann, limit=500) if e["actor"]]
    assert len(whole) == 10
    pages, cursor = [], None
    while True:
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = ann.get(f"{AUDIT}/log", params=params).json()
        pages += [e for e in page["entries"] if e["actor"]]
        assert len(page["entries"]) <= 3
        if not (cursor := page["next_cursor"]):
            break
        if not pages or pages[-1]["id"] == whole[-1]["id"]:
            break
    assert [e["id"] for e in pages] == [e["id"] for e in whole]
    assert [e["at"] for e in whole] == sorted((e["at"] for e in whole), reverse=True)


def test_filters_pick_what_they_say(site, ann, tenant):
    first, _ = made(ann)
    with site.client(tenant=tenant, user="bob") as bob:
        second, _ = made(bob)
        bob.post(f"{POSTS}/{second}/withdraw", json={})
    with site.client("read_only", tenant, "eve") as eve:
        eve.post(POSTS, json=LATER)
    refusals(ann, 1, action="access.forbidden")
    assert {e["actor"] for e in log(ann, actor="bob")} == {"bob"}
    assert [e["action"] for e in log(ann, action="social.post.withdrawn")] == [
        "social.post.withdrawn"
    ]
    assert len(log(ann, action="social")) == len(log(ann, action="social.post")) == 5
    assert log(ann, action="social.po") == []
    assert {e["actor"] for e in log(ann, action="access.forbidden")} == {"eve"}
    assert len(log(ann, resource=first)) == 2
    assert len(log(ann, resource=second)) == 3
    assert {e["source"] for e in log(ann, resource="social.post")} == {"event"}
    assert {e["actor"] for e in log(ann, resource="social.posts.create") if e["actor"]} == {"eve"}
    mine = [e for e in log(ann) if e["actor"]]
    later = log(ann, **{"from": mine[1]["at"]}, to=mine[0]["at"])
    assert mine[1]["id"] in {e["id"] for e in later}
    assert mine[0]["id"] not in {e["id"] for e in later}


def test_filters_together_pick_what_each_of_them_would(site, ann, tenant):
    first, _ = made(ann)
    with site.client(tenant=tenant, user="bob") as bob:
        bob.post(f"{POSTS}/{first}/withdraw", json={})
        made(bob)
    with site.client("read_only", tenant, "eve") as eve:
        eve.post(POSTS, json=LATER)
    refusals(ann, 1, action="access.forbidden")
    whole = [each for each in log(ann) if each["actor"]]
    resources = {
        None: lambda e: True,
        first: lambda e: e["resource"].replace("-", "") == first.removeprefix("post_"),
        "social.post": lambda e: e["resource_kind"] == "social.post",
        "social.posts.create": lambda e: e["resource"] == "social.posts.create",
    }
    for actor, action, resource, (since, until) in itertools.product(
        (None, "bob", "eve"),
        (None, "social.post", "social.post.withdrawn", "access"),
        resources,
        ((None, None), (whole[-2]["at"], whole[1]["at"])),
    ):
        wanted = [
            each["id"]
            for each in whole
            if (actor is None or each["actor"] == actor)
            and (action is None or f"{each['action']}.".startswith(f"{action}."))
            and resources[resource](each)
            and (since is None or since <= each["at"] < until)
        ]
        asked = {"actor": actor, "action": action, "resource": resource, "from": since, "to": until}
        params = {name: value for name, value in asked.items() if value is not None}
        assert [e["id"] for e in log(ann, **params) if e["actor"]] == wanted, params


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": base64.b64encode(b"2030-01-01|1|x").decode()}, "cursor"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2030-01-02T00:00:00Z", "to": "2030-01-01T00:00:00Z"}, "to"),
    ],
)
def test_what_cannot_be_asked_of_the_trail_is_named(ann, params, field):
    answer = ann.get(f"{AUDIT}/log", params=params)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


def test_every_event_there_is_can_be_in_the_trail():
    from domain.kernel import EVENTS, Retired

    today = {
        kind
        for kind in EVENTS.values()
        if not issubclass(kind, Retired) and not kind.__module__.startswith("tests.")
    }
    assert set(AuditTrail.events) == today
    assert {kind.TOPIC for kind in today} <= set(ACTIONS)


def test_an_aggregate_is_shown_as_it_was(ann):
    id, _ = made(ann)
    history = ann.get(f"{AUDIT}/aggregates/{id}/history").json()
    created = history["events"][-1]["at"]
    ann.post(f"{POSTS}/{id}/schedule", json={"scheduled_for": "2041-01-01T00:00:00Z"})
    ann.post(f"{POSTS}/{id}/withdraw", json={"reason": "wrong day"})
    path = f"{AUDIT}/aggregates/{id}"
    history = ann.get(f"{path}/history").json()
    assert [e["action"].rpartition(".")[2] for e in history["events"]] == [
        "drafted",
        "scheduled",
        "rescheduled",
        "withdrawn",
    ]
    assert history["events"][3]["data"] == {"reason": "wrong day", "of_campaign": False}
    assert history["next_after"] is None
    assert ann.get(path).json()["state"]["status"] == "withdrawn"
    assert ann.get(path, params={"version": 1}).json()["state"]["status"] == "draft"
    third = ann.get(path, params={"version": 3}).json()
    assert (third["version"], third["state"]["scheduled_for"]) == (3, "2041-01-01T00:00:00Z")
    then = ann.get(path, params={"at": created}).json()
    assert (then["version"], then["state"]["scheduled_for"]) == (2, "2040-01-01T00:00:00Z")
    page = ann.get(f"{path}/history", params={"limit": 3}).json()
    assert (len(page["events"]), page["next_after"]) == (3, 3)
    rest = ann.get(f"{path}/history", params={"after": 3}).json()
    assert [e["version"] for e in rest["events"]] == [4]
    assert history["aggregate_id"].replace("-", "") == id.removeprefix("post_")


def test_what_there_was_not_is_not_found(site, ann):
    id, _ = made(ann)
    path = f"{AUDIT}/aggregates/{id}"
    for answer in (
        ann.get(f"{path}?version=3"),
        ann.get(f"{path}?at=2020-01-01T00:00:00Z"),
        ann.get(f"{AUDIT}/aggregates/nonsense"),
        ann.get(f"{AUDIT}/aggregates/post_{'0' * 32}/history"),
        ann.get(f"{AUDIT}/proof/99999999"),
        ann.get(f"{AUDIT}/proof/99999999999999999999"),
        ann.get(f"{AUDIT}/proof/x"),
        ann.get(f"{AUDIT}/proof/1?size=99999999"),
        ann.get(f"{AUDIT}/consistency?earlier=99999999"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    both = ann.get(f"{path}?version=1&at=2020-01-01T00:00:00Z")
    assert (both.status_code, both.json()["errors"][0]["field"]) == (422, "at")
    assert ann.get(f"{path}?version=0").status_code == 422
    with site.client(tenant="somebody-else") as other:
        assert other.get(path).status_code == 404
        assert other.get(f"{path}/history").status_code == 404


def test_read_models_are_shown_and_built_anew(site, ann, tenant):
    made(ann)
    listed = ann.get(f"{AUDIT}/projections").json()["projections"]
    assert {"posts", "audit_trail"} <= {each["name"] for each in listed}
    assert {"position", "lag", "version", "state"} <= set(listed[0])
    assert ann.post(f"{AUDIT}/projections/posts/rebuild").status_code == 403
    before = table(site)
    with site.client("super_admin", tenant) as root:
        job = root.post(f"{AUDIT}/projections/posts/rebuild").json()
        assert (job["projection"], job["status"]) == ("posts", "queued") and job["job_id"]
        assert root.post(f"{AUDIT}/projections/nothing/rebuild").status_code == 404
    eventually(lambda: table(site) != before, within=20)


def table(site):
    with psycopg.connect(site.settings.database_url) as connection:
        return connection.execute("SELECT 'read.posts'::regclass::oid").fetchone()


def sealed(client, position):
    """The checkpoint, once the position is in it."""

    def look():
        head = client.get(f"{AUDIT}/checkpoint").json()
        return head["size"] >= position and head

    return eventually(look, within=5)


def test_checkpoints_and_proofs_convince_another_implementation(site, ann):
    _, first = made(ann)
    early = sealed(ann, first)
    _, last = made(ann)
    head = sealed(ann, last)
    (key,) = head["keys"]
    origin, size, root = rfc6962.open_note(head["checkpoint"], key)
    assert (origin, size) == (head["origin"], head["size"])
    assert base64.b64decode(head["root"]) == root

    proof = ann.get(f"{AUDIT}/proof/{first}").json()
    _, size, root = rfc6962.open_note(proof["checkpoint"], key)
    entry = base64.b64decode(proof["entry"])
    path = [base64.b64decode(each) for each in proof["proof"]]
    assert rfc6962.root_of_path(entry, first - 1, size, path) == root
    with psycopg.connect(site.settings.database_url) as connection:
        row = connection.execute(
            "SELECT position, stream_id, version, tenant, topic, state, recorded_at"
            " FROM log.events WHERE position = %s",
            [first],
        ).fetchone()
    assert entry == rfc6962.entry_of(*row)
    earlier = ann.get(f"{AUDIT}/proof/{first}", params={"size": early["size"]}).json()
    assert earlier["root"] == early["root"]

    later = ann.get(f"{AUDIT}/consistency", params={"earlier": early["size"]}).json()
    _, size, root = rfc6962.open_note(later["checkpoint"], key)
    before = base64.b64decode(early["root"])
    steps = [base64.b64decode(each) for each in later["proof"]]
    assert rfc6962.consistent(early["size"], size, before, root, steps)
    with site.client(tenant="somebody-else") as other:
        assert other.get(f"{AUDIT}/proof/{first}").status_code == 404


def test_a_change_behind_the_back_is_told_by_its_position(site, ann):
    _, position = made(ann)
    sealed(ann, position)
    good = ann.get(f"{AUDIT}/verify").json()
    assert (good["valid"], good["first_bad_position"]) == (True, None)
    assert good["checked"] >= position
    with psycopg.connect(site.settings.database_url, autocommit=True) as intruder:
        change = "UPDATE log.events SET topic = %s WHERE position = %s"
        intruder.execute(change, ["social.post.scheduled2", position])
        bad = ann.get(f"{AUDIT}/verify").json()
        refused = ann.get(f"{AUDIT}/proof/{position}")
        intruder.execute(change, ["social.post.scheduled", position])
    assert (bad["valid"], bad["first_bad_position"]) == (False, position)
    assert (refused.status_code, refused.json()["code"]) == (409, "ledger_broken")
    assert ann.get(f"{AUDIT}/verify").json()["valid"]


def test_only_those_who_answer_for_a_tenant_may_look(site, tenant):
    paths = ("log", "projections", "checkpoint", "proof/1", "verify", f"aggregates/{'0' * 32}")
    for role in ("developer", "api_user", "read_only"):
        assert role not in ADMINS
        with site.client(role, tenant) as client:
            assert {client.get(f"{AUDIT}/{path}").status_code for path in paths} == {403}
    assert httpx.get(f"{site.url}{AUDIT}/log").status_code == 401


def test_times_in_the_trail_are_those_of_the_log(site, ann):
    _, position = made(ann)
    entry = log(ann)[0]
    with psycopg.connect(site.settings.database_url) as connection:
        (recorded,) = connection.execute(
            "SELECT recorded_at FROM log.events WHERE position = %s", [position]
        ).fetchone()
    assert datetime.fromisoformat(entry["at"]) == recorded
