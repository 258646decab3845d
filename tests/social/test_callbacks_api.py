"""The addresses that accounts are connected with are called, over real HTTP."""

import json
from datetime import UTC, datetime

import psycopg
import pytest
from standardwebhooks import Webhook as Verifier

from tests.site import eventually, running
from tests.webhooks.hook import listening

PLATFORMS = "/api/v1/social/platforms"
POSTS = "/api/v1/social/posts"
CAMPAIGNS = "/api/v1/social/campaigns"
ENDPOINTS = "/api/v1/webhooks/endpoints"
LATER = "2040-01-01T00:00:00Z"
BOTH = ["facebook", "twitter"]
CONNECTED = "social.platform.connected"
DISCONNECTED = "social.platform.disconnected"
OPEN = {"ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8", "RATE_LIMIT_PROFILE": "off"}


@pytest.fixture(scope="module")
def service(create_database, template, valkey_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    with running(create_database(template), valkey_server, folder, **OPEN) as site:
        yield site


@pytest.fixture
def hook():
    with listening() as it:
        yield it


@pytest.fixture
def other_hook():
    with listening() as it:
        yield it


def connect(client, platform, url=None, **more):
    credentials = {"access_token": "token-of-ann", "token_secret": "secret-of-ann"}
    body = {"platform": platform, "credentials": credentials, "webhook_url": url, **more}
    answer = client.post(f"{PLATFORMS}/{platform}/connect", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["connection_id"]


def post(client, *platforms):
    body = {"content": "Hello", "platforms": platforms, "scheduled_for": LATER}
    answer = client.post(POSTS, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["post_id"]


def withdraw(client, post_id):
    assert client.post(f"{POSTS}/{post_id}/withdraw", json={}).status_code == 200


def endpoints(client):
    answer = eventually(lambda: (it := client.get(ENDPOINTS)).status_code == 200 and it)
    return answer.json()["endpoints"]


def endpoint(client, url):
    """The endpoint of an address, once it is there."""
    return eventually(lambda: next((e for e in endpoints(client) if e["url"] == url), None))


def got(hook):
    """What a receiver got, but for the mentions that the sandbox makes up."""
    messages = [(headers, body, json.loads(body)) for headers, body in hook.got]
    return [each for each in messages if each[2]["event"] != "social.mention.detected"]


def heard(hook):
    """The names of it."""
    return [message["event"] for _, _, message in got(hook)]


FOLLOWED = """
SELECT min(f.position) >= (SELECT max(position) FROM log.events)
    AND NOT EXISTS (SELECT FROM jobs.procrastinate_jobs WHERE task_name LIKE 'social.%_callback%')
FROM work.followers f WHERE f.name IN ('policies', 'webhooks')
"""


def settled(site, client):
    """Wait until all that follows from the log, and the receivers, have done what there is."""
    eventually(lambda: site.query(FOLLOWED) == [(True,)])
    eventually(lambda: all(e["pending"] + e["positions_to_replay"] == 0 for e in endpoints(client)))


def test_an_address_is_called_once_for_each_event_of_its_network_and_for_no_other(site, ann, hook):
    connection = connect(ann, "twitter", hook.url)
    made = endpoint(ann, hook.url)
    assert (made["events"], made["status"]) == (["social.*@twitter"], "enabled")
    eventually(lambda: len(got(hook)) == 1)
    assert got(hook)[0][2]["data"] == {
        "platform": "twitter",
        "connection_id": connection,
    }
    connect(ann, "facebook")
    here, there, both = (post(ann, *on) for on in (["twitter"], ["facebook"], BOTH))
    for post_id in (here, there, both):
        withdraw(ann, post_id)
    eventually(lambda: len(got(hook)) == 5)
    settled(site, ann)
    assert heard(hook)[0] == "social.platform.connected"
    said = [(each["event"], each["data"]["post_id"]) for _, _, each in got(hook)[1:]]
    assert sorted(said) == sorted(
        (f"social.post.{event}", post_id)
        for event in ("created", "withdrawn")
        for post_id in (here, both)
    )


def test_its_secret_is_had_by_rotation(ann, hook):
    connect(ann, "twitter", hook.url)
    made = endpoint(ann, hook.url)
    secret = ann.post(f"{ENDPOINTS}/{made['endpoint_id']}/rotate-secret").json()["secret"]
    assert ann.post(f"{ENDPOINTS}/{made['endpoint_id']}/test").status_code == 200
    eventually(lambda: sorted(heard(hook)) == [CONNECTED, "webhook.ping"])
    post_id = post(ann, "twitter")
    headers, body, _ = eventually(lambda: got(hook)[2:] and got(hook)[2])
    assert Verifier(secret).verify(body, headers)["data"]["post_id"] == post_id


def test_two_networks_have_two_addresses(ann, hook, other_hook):
    connect(ann, "twitter", hook.url)
    connect(ann, "facebook", other_hook.url)
    endpoint(ann, hook.url)
    endpoint(ann, other_hook.url)
    post(ann, "twitter")
    post(ann, "facebook")
    post(ann, *BOTH)
    wanted = ["social.platform.connected", "social.post.created", "social.post.created"]
    eventually(lambda: sorted(heard(hook)) == sorted(heard(other_hook)) == wanted)


def test_the_same_network_may_have_one_address_for_both(ann, hook):
    """An endpoint of each network, so what is about both comes twice, under one `webhook-id`."""
    connect(ann, "twitter", hook.url)
    connect(ann, "facebook", hook.url)
    eventually(lambda: len(endpoints(ann)) == 2)
    post(ann, *BOTH)
    eventually(lambda: heard(hook).count("social.post.created") == 2)
    ids = {h["webhook-id"] for h, _, each in got(hook) if each["event"] == "social.post.created"}
    assert len(ids) == 1


def test_connecting_again_leaves_moves_and_removes_it(site, ann, hook, other_hook):
    connect(ann, "twitter", hook.url, account_id="@shop")
    made = endpoint(ann, hook.url)
    eventually(lambda: len(got(hook)) == 1)
    connect(ann, "twitter", hook.url, account_id="@shop")
    eventually(lambda: heard(hook)[1:] == [DISCONNECTED, CONNECTED])
    connect(ann, "twitter", other_hook.url, account_id="@shop")
    moved = endpoint(ann, other_hook.url)
    assert len(endpoints(ann)) == 1
    unchanged = ("endpoint_id", "public_key", "created_at", "events")
    assert [moved[name] for name in unchanged] == [made[name] for name in unchanged]
    settled(site, ann)
    told = len(got(hook))
    post(ann, "twitter")
    eventually(lambda: "social.post.created" in heard(other_hook))
    connect(ann, "twitter", account_id="@shop")
    eventually(lambda: endpoints(ann) == [])
    told_there = len(got(other_hook))
    post(ann, "twitter")
    settled(site, ann)
    assert (len(got(hook)), len(got(other_hook))) == (told, told_there)


def test_accounts_of_one_network_have_addresses_of_their_own(site, ann, hook, other_hook):
    connect(ann, "twitter", hook.url, account_id="@one")
    connect(ann, "twitter", other_hook.url, account_id="@two")
    connect(ann, "twitter", hook.url, account_id="@three")
    connect(ann, "twitter", account_id="@four")
    endpoint(ann, hook.url)
    endpoint(ann, other_hook.url)
    post(ann, "twitter")
    eventually(lambda: "social.post.created" in {*heard(hook)} & {*heard(other_hook)})
    settled(site, ann)
    assert (len(endpoints(ann)), heard(hook).count("social.post.created")) == (2, 1)
    connect(ann, "twitter", account_id="@two")
    eventually(lambda: [each["url"] for each in endpoints(ann)] == [hook.url])


@pytest.mark.parametrize("delete_data", [False, True])
def test_a_disconnect_is_told_and_removes_it(site, ann, tenant, hook, delete_data):
    connect(ann, "twitter", hook.url)
    endpoint(ann, hook.url)
    answer = ann.delete(f"{PLATFORMS}/twitter", params={"delete_data": delete_data})
    assert answer.status_code == 200
    eventually(lambda: sorted(heard(hook)) == [CONNECTED, DISCONNECTED])
    eventually(lambda: endpoints(ann) == [])
    post(ann, "twitter")
    with psycopg.connect(site.settings.database_url) as connection:
        secrets = "SELECT count(*) FROM webhooks.secrets WHERE tenant = %s"
        eventually(lambda: connection.execute(secrets, [tenant]).fetchone() == (0,))
    connect(ann, "twitter", hook.url)
    again = endpoint(ann, hook.url)
    eventually(lambda: heard(hook)[2:] == [CONNECTED])
    assert again["delivered"] <= 1


def test_a_receiver_that_answers_nothing_well_is_given_up_in_the_end(ann, hook, monkeypatch):
    monkeypatch.setattr("application.social.callbacks.LOOK_AGAIN", (0.1, 0.1))
    hook.status = 500
    connect(ann, "twitter", hook.url)
    endpoint(ann, hook.url)
    eventually(lambda: got(hook))
    ann.delete(f"{PLATFORMS}/twitter")
    eventually(lambda: endpoints(ann) == [])

    def statuses() -> set[str]:
        deliveries = ann.get("/api/v1/webhooks/deliveries").json()["deliveries"]
        return {each["status"] for each in deliveries}

    eventually(lambda: statuses() == {"failed"})


def test_what_an_administrator_changes_stays_until_that_network_is_connected_again(
    site, ann, hook, other_hook
):
    connect(ann, "twitter", hook.url, account_id="@one")
    made = endpoint(ann, hook.url)
    path = f"{ENDPOINTS}/{made['endpoint_id']}"
    change = {"url": other_hook.url, "events": ["social.post.*@twitter"], "rate_limit": 50}
    assert ann.patch(path, json=change).status_code == 200
    connect(ann, "twitter", account_id="@two")
    post(ann, "twitter")
    eventually(lambda: "social.post.created" in heard(other_hook))
    connect(ann, "twitter", hook.url, account_id="@one")
    moved = endpoint(ann, hook.url)
    assert (moved["events"], moved["rate_limit"]) == (change["events"], 50)
    assert ann.patch(path, json={"status": "disabled"}).status_code == 200
    connect(ann, "twitter", hook.url, account_id="@one")
    connect(ann, "twitter", account_id="@two")
    settled(site, ann)
    assert [each["status"] for each in endpoints(ann)] == ["disabled"]
    assert ann.delete(path).status_code == 200
    connect(ann, "twitter", account_id="@two")
    settled(site, ann)
    assert endpoints(ann) == []
    connect(ann, "twitter", hook.url, account_id="@one")
    assert endpoint(ann, hook.url)["endpoint_id"] != made["endpoint_id"]


def test_another_tenant_is_told_nothing(site, ann, hook, other_hook):
    connect(ann, "twitter", hook.url)
    endpoint(ann, hook.url)
    with site.client(tenant="somebody-else") as eve:
        connect(eve, "twitter", other_hook.url)
        theirs = endpoint(eve, other_hook.url)
        post(eve, "twitter")
        eventually(lambda: len(got(other_hook)) == 2)
        assert ann.get(f"{ENDPOINTS}/{theirs['endpoint_id']}").status_code == 404
    settled(site, ann)
    assert (len(endpoints(ann)), heard(hook)) == (1, [CONNECTED])


def test_killed_before_the_endpoint_was_made_there_is_one_and_it_has_missed_nothing(
    create_database, template, valkey_server, tmp_path, hook
):
    database = create_database(template)
    with (
        running(database, valkey_server, tmp_path, background=False, **OPEN) as site,
        site.client() as ann,
    ):
        post(ann, "twitter")
        connect(ann, "twitter", hook.url)
        post_id = post(ann, "twitter")
        post(ann, "facebook")
    assert hook.got == []
    with running(database, valkey_server, tmp_path, **OPEN) as site, site.client() as ann:
        endpoint(ann, hook.url)
        eventually(lambda: len(got(hook)) == 2)
        settled(site, ann)
        withdraw(ann, post_id)
        eventually(lambda: len(got(hook)) == 3)
        assert len(endpoints(ann)) == 1
    assert sorted(heard(hook)) == [CONNECTED, "social.post.created", "social.post.withdrawn"]


def test_an_endpoint_of_ones_own_may_be_limited_too(site, ann, hook):
    events = ["social.campaign.*@facebook", "social.post.created@twitter"]
    body = {"url": hook.url, "events": events}
    made = ann.post(ENDPOINTS, json=body).json()
    assert made["events"] == events
    since = datetime.now(UTC).isoformat()
    post(ann, "facebook")
    post_id = post(ann, "twitter")
    eventually(lambda: len(got(hook)) == 1)
    path = f"{ENDPOINTS}/{made['endpoint_id']}"
    answer = ann.post(f"{path}/replay", json={"since": since, "events": ["social.post.*"]}).json()
    assert answer["events"] == ["social.post.created@twitter"]
    eventually(lambda: len(got(hook)) == 2)
    settled(site, ann)
    assert {each["data"]["post_id"] for _, _, each in got(hook)} == {post_id}


@pytest.mark.parametrize(
    "pattern",
    ["social.*@myspace", "social.*@", "payment.*@twitter", "social.nothing@twitter", "@twitter"],
)
def test_a_limit_that_makes_no_sense_is_refused(ann, pattern):
    body = {"url": "https://example.com/hook", "events": [pattern]}
    answer = ann.post(ENDPOINTS, json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "events"
    assert ann.get("/api/v1/webhooks/stream", params={"events": pattern}).status_code == 422
