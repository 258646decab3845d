"""Connecting and disconnecting over real HTTP, with all the background work running."""

import asyncio
import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from domain.social.networks import Network
from infrastructure.event_log.log import open_log
from infrastructure.networks.store import Store
from infrastructure.read_models.rebuild import rebuild
from infrastructure.secrets import SecretVault
from projections.social.posts import Posts
from tests.site import eventually, running
from tests.social.fake_networks import (
    APPS,
    CREDENTIALS,
    LOST_AFTER,
    FakeFacebook,
    FakeTwitter,
    refuses,
    serving,
)

PLATFORMS = "/api/v1/social/platforms"
POSTS = "/api/v1/social/posts"
BOTH = {"access_token": "token-of-ann", "token_secret": "secret-of-ann"}
TWITTER = {"platform": "twitter", "credentials": BOTH}
PINTEREST = {"platform": "pinterest", "credentials": {"access_token": "token-of-ann"}}
KEY = "another secret of the tests, also long"


@pytest.fixture(scope="module")
def database(create_database, template):
    return create_database(template)


@pytest.fixture(scope="module")
def site(database, valkey_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with running(database, valkey_server, folder, RATE_LIMIT_PROFILE="off") as site:
        yield site


@pytest.fixture
def ann(site, tenant):
    with site.client(tenant=tenant) as client:
        yield client


_numbers = itertools.count(1)


@pytest.fixture
def tenant():
    return f"tenant-{next(_numbers)}"


def said(site, tenant):
    """The topics of the tenant's events about connections, in order."""
    rows = site.query(
        "SELECT topic FROM log.events WHERE tenant = %s AND topic LIKE 'social.connection.%%'"
        " ORDER BY position",
        tenant,
    )
    return [topic.removeprefix("social.connection.") for (topic,) in rows]


def credentials(site, tenant):
    return site.query("SELECT network, sealed FROM work.credentials WHERE tenant = %s", tenant)


def connect(client, body, **headers):
    return client.post(f"{PLATFORMS}/{body['platform']}/connect", json=body, headers=headers)


def test_an_account_is_connected_and_cut(site, ann, tenant):
    answer = connect(ann, TWITTER)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["success"], body["status"], body["platform"]) == (True, "active", "twitter")
    assert body["account_info"]["provider"] == "sandbox"
    assert body["permissions_granted"] == ["read", "write"]
    assert body["connection_id"].startswith("conn_")
    assert (body["expires_at"], body["error_message"]) == (None, None)
    assert body["connected_at"].endswith("Z")
    (account,) = ann.get(PLATFORMS).json()["accounts"]
    assert (account["connection_id"], account["status"]) == (body["connection_id"], "active")
    assert account["connected_by"] == "ann"
    cut = ann.delete(f"{PLATFORMS}/Twitter")
    assert cut.status_code == 200
    assert cut.json()["success"] is True
    assert (cut.json()["data_deleted"], cut.json()["tokens_revoked"]) == (False, True)
    assert cut.json()["disconnected_at"].endswith("Z")
    assert ann.get(PLATFORMS).json()["accounts"] == []
    assert ann.delete(f"{PLATFORMS}/twitter").status_code == 404
    assert said(site, tenant) == ["opened", "connected", "disconnected"]


def test_secrets_are_nowhere_in_the_clear(site, ann, tenant):
    answer = connect(ann, TWITTER)
    assert "of-ann" not in answer.text
    ((network, sealed),) = credentials(site, tenant)
    assert network == "twitter"
    assert b"of-ann" not in sealed
    with psycopg.connect(site.settings.database_url) as connection:
        kept = "SELECT string_agg(encode(state, 'escape'), '') FROM log.events WHERE tenant = %s"
        (states,) = connection.execute(kept, [tenant]).fetchone()
        assert "connection_id" in states
        assert "of-ann" not in states
        answers = "SELECT string_agg(encode(answer, 'escape'), '') FROM log.answers"
        assert "of-ann" not in (connection.execute(answers).fetchone()[0] or "")
    ann.delete(f"{PLATFORMS}/twitter")
    assert credentials(site, tenant) == []


def test_secrets_are_forgotten_even_when_the_request_dies(site, ann, tenant, monkeypatch):
    forget, deaths = Store.forget, []

    async def die_once(self, tenant, connection_id):
        if not deaths:
            deaths.append(connection_id)
            raise RuntimeError("as if the process had died here")
        await forget(self, tenant, connection_id)

    connect(ann, TWITTER)
    monkeypatch.setattr(Store, "forget", die_once)
    ann.delete(f"{PLATFORMS}/twitter")
    assert deaths
    eventually(lambda: credentials(site, tenant) == [])


def test_the_same_account_again_replaces_the_older_link(site, ann, tenant):
    first = connect(ann, {**TWITTER, "account_id": "@shop"}).json()
    second = connect(ann, {**TWITTER, "account_id": "@shop"}).json()
    other = connect(ann, {**TWITTER, "account_id": "@other"}).json()
    assert said(site, tenant) == ["opened", "connected", "disconnected", "connected", "connected"]
    ids = [each["connection_id"] for each in ann.get(PLATFORMS).json()["accounts"]]
    assert ids == [second["connection_id"], other["connection_id"]]
    assert first["connection_id"] not in ids
    eventually(lambda: len(credentials(site, tenant)) == 2)
    cut = ann.delete(f"{PLATFORMS}/twitter?revoke_tokens=false").json()
    assert cut["tokens_revoked"] is False
    assert said(site, tenant)[-2:] == ["disconnected", "disconnected"]


@pytest.mark.parametrize(
    ("path", "change", "field"),
    [
        ("twitter", {"platform": "facebook"}, "platform"),
        ("myspace", {"platform": "myspace"}, "platform"),
        ("myspace", {}, "platform"),
        ("twitter", {"platform": None}, "platform"),
        ("twitter", {"credentials": {"access_token": "of-ann"}}, "credentials"),
        ("twitter", {"credentials": {"token_secret": "of-ann"}}, "credentials"),
        ("twitter", {"credentials": {}}, "credentials"),
        ("twitter", {"credentials": "of-ann"}, "credentials"),
        ("twitter", {"credentials": {**BOTH, "access_token": 5}}, "credentials.access_token"),
        ("twitter", {"credentials": {**BOTH, "access_token": ""}}, "credentials.access_token"),
        ("twitter", {"account_id": "../me"}, "account_id"),
        ("twitter", {"account_id": "x" * 201}, "account_id"),
        ("twitter", {"permissions": [""]}, "permissions.0"),
        ("twitter", {"permissions": "read"}, "permissions"),
        ("twitter", {"webhook_url": "http://example.com/hook"}, "webhook_url"),
        ("twitter", {"webhook_url": "https://127.0.0.1/hook"}, "webhook_url"),
        ("twitter", {"webhook_url": "https://0x7f.1/hook"}, "webhook_url"),
        ("twitter", {"webhook_url": "https://169.254.169.254/latest"}, "webhook_url"),
        ("twitter", {"webhook_url": "https://localhost/hook"}, "webhook_url"),
        ("twitter", {"webhook_url": "ftp://example.com/"}, "webhook_url"),
        ("twitter", {"webhook_url": "https://example.com/#part"}, "webhook_url"),
        ("twitter", {"webhook_url": "https://example.com:22/"}, "webhook_url"),
        ("twitter", {"webhook_url": ""}, "webhook_url"),
        ("twitter", {"webhook_url": "https://user:of-ann@example.com/"}, "webhook_url"),
        ("twitter", {"unknown": 1}, "unknown"),
    ],
)
def test_bad_input_names_the_field_and_keeps_nothing(site, ann, tenant, path, change, field):
    answer = ann.post(f"{PLATFORMS}/{path}/connect", json={**TWITTER, **change})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert "of-ann" not in answer.text
    assert (said(site, tenant), credentials(site, tenant)) == ([], [])


def test_networks_of_oauth_2_need_one_token(ann):
    for platform in ("facebook", "instagram", "linkedin", "tiktok", "pinterest"):
        body = {"platform": platform.upper(), "credentials": {"access_token": "token-of-ann"}}
        answer = ann.post(f"{PLATFORMS}/{platform}/connect", json=body)
        assert (answer.status_code, answer.json()["platform"]) == (200, platform)


def test_who_may_not_and_what_is_not_there(site, ann, tenant):
    connect(ann, PINTEREST)
    for role in ("developer", "api_user", "read_only"):
        with site.client(role, tenant=tenant) as other:
            assert connect(other, PINTEREST).status_code == 403
            assert other.delete(f"{PLATFORMS}/pinterest").status_code == 403
            assert other.get(PLATFORMS).status_code == 403
    with site.client(tenant=f"{tenant}-other") as other:
        assert other.delete(f"{PLATFORMS}/pinterest").status_code == 404
        assert other.get(PLATFORMS).json() == {"accounts": []}
    assert ann.delete(f"{PLATFORMS}/myspace").status_code == 422
    assert ann.delete(f"{PLATFORMS}/pinterest?delete_data=maybe").status_code == 422
    assert said(site, tenant) == ["opened", "connected"]


def test_a_key_is_answered_once(site, ann, tenant):
    key = {"Idempotency-Key": "k1"}
    first, again = connect(ann, PINTEREST, **key), connect(ann, PINTEREST, **key)
    assert first.content == again.content
    assert again.headers["idempotency-replayed"] == "true"
    assert len(credentials(site, tenant)) == 1
    cut = [ann.delete(f"{PLATFORMS}/pinterest", headers=key) for _ in range(2)]
    assert [each.status_code for each in cut] == [200, 200]
    assert cut[0].content == cut[1].content
    assert said(site, tenant) == ["opened", "connected", "disconnected"]


def test_many_at_once_leave_one_link(site, ann, tenant):
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: connect(ann, PINTEREST), range(6)))
    assert {each.status_code for each in answers} == {200}
    assert len(ann.get(PLATFORMS).json()["accounts"]) == 1
    eventually(lambda: len(credentials(site, tenant)) == 1)


def test_tokens_end_when_they_are_said_to(site, ann):
    body = {**PINTEREST, "credentials": {"access_token": "token-of-ann", "expires_in": "1"}}
    answer = connect(ann, body).json()
    assert answer["expires_at"] > answer["connected_at"]

    def expired():
        (account,) = ann.get(PLATFORMS).json()["accounts"]
        return account["status"] == "expired" and account

    account = eventually(expired)
    assert "connect again" in account["error_message"]
    post = ann.post(POSTS, json={"content": "Hello", "platforms": ["pinterest"],
                                 "media_urls": ["https://example.com/a.jpg"]}).json()  # fmt: skip
    assert post["status"] == "failed"
    assert post["platform_results"]["pinterest"]["error"]["code"] == "reconnect"
    connect(ann, PINTEREST)
    assert ann.get(PLATFORMS).json()["accounts"][0]["status"] == "active"


def test_erased_data_stay_erased_when_views_are_rebuilt(site, ann, tenant, database):
    connect(ann, TWITTER)
    body = ann.post(POSTS, json={"content": "Hello", "platforms": ["twitter", "facebook"]}).json()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "UPDATE sandbox.posts SET published_at = published_at - interval '9 days'"
            " WHERE tenant = %s",
            [tenant],
        )
    path = f"{POSTS}/{body['post_id']}"

    def networks():
        return set(ann.get(path).json()["analytics"]["platform_breakdown"])

    eventually(lambda: networks() == {"twitter", "facebook"})
    cut = ann.delete(f"{PLATFORMS}/twitter?delete_data=true")
    assert cut.json()["data_deleted"] is True
    assert networks() == {"facebook"}
    figures = ann.get(f"{path}?include_comments=true").json()
    assert {each["platform"] for each in figures["comments_preview"]} == {"facebook"}
    asyncio.run(rebuild(database, Posts()))
    assert networks() == {"facebook"}
    with psycopg.connect(database) as connection:
        left = "SELECT network FROM sandbox.posts WHERE tenant = %s"
        rows = eventually(
            lambda: (r := connection.execute(left, [tenant]).fetchall()) == [("facebook",)] and r
        )
    assert rows == [("facebook",)]


def test_what_an_older_key_sealed_is_sealed_anew(site, ann, tenant, database):
    connect(ann, PINTEREST)
    ((_, before),) = credentials(site, tenant)

    async def look(vault):
        async with open_log(site.settings, "test") as log:
            store = Store(log.pool, vault)
            with psycopg.connect(database) as connection:
                query = "SELECT connection_id, network FROM work.credentials WHERE tenant = %s"
                id, network = connection.execute(query, [tenant]).fetchone()
            return await store.kept(tenant, Network(network), id)

    assert asyncio.run(look(SecretVault("lost", purpose="credentials"))) is None
    changed = SecretVault("new key", (KEY,), purpose="credentials")
    assert asyncio.run(look(changed))["access_token"] == "token-of-ann"
    ((_, after),) = credentials(site, tenant)
    assert after != before
    only_new = SecretVault("new key", purpose="credentials")
    assert asyncio.run(look(only_new))["access_token"] == "token-of-ann"


@pytest.fixture(scope="module")
def facebook():
    network = FakeFacebook()
    with serving(network) as url:
        network.url = url
        yield network


@pytest.fixture(scope="module")
def twitter():
    network = FakeTwitter()
    with serving(network) as url:
        network.url = url
        yield network


@pytest.fixture(scope="module")
def real(create_database, template, valkey_server, tmp_path_factory, facebook, twitter):
    """An installation that is registered with two networks."""
    with running(
        create_database(template),
        valkey_server,
        tmp_path_factory.mktemp("real"),
        RATE_LIMIT_PROFILE="off",
        FACEBOOK_BASE_URL=facebook.url,
        TWITTER_BASE_URL=twitter.url,
        **APPS,
    ) as site:
        yield site


@pytest.fixture
def bob(real, tenant):
    with real.client(tenant=tenant, user="bob") as client:
        yield client


def test_a_post_goes_to_the_tenants_own_account(real, bob, tenant, facebook, twitter):
    for name in ("facebook", "twitter"):
        body = connect(bob, {"platform": name, "credentials": CREDENTIALS[name]}).json()
        assert (body["status"], body["account_info"]["provider"]) == ("active", name)
    assert body["account_info"] == {
        "provider": "twitter", "id": "42", "name": "Shop", "username": "shop"}  # fmt: skip
    post = {"content": f"Hello from {tenant}", "platforms": ["facebook", "twitter"],
            "ai_optimize": False}  # fmt: skip
    results = bob.post(POSTS, json=post, headers={"Prefer": "wait=5"}).json()["platform_results"]
    assert {each["provider"] for each in results.values()} == {"facebook", "twitter"}
    assert results["twitter"]["post_id"] == twitter.posts[-1]["id"]
    assert results["facebook"]["post_id"] == facebook.posts[-1]["id"]
    assert facebook.posts[-1]["text"] == f"Hello from {tenant}"


def test_refused_credentials_fail_and_are_not_kept(real, bob, tenant):
    wrong = {"access_token": "wrong", "token_secret": "wrong"}
    body = connect(bob, {"platform": "twitter", "credentials": wrong}).json()
    assert (body["success"], body["status"]) == (False, "failed")
    assert body["error_message"] == "Unauthorized"
    assert body["permissions_granted"] == []
    assert credentials(real, tenant) == []
    assert bob.get(PLATFORMS).json()["accounts"] == []
    assert said(real, tenant) == ["opened", "refused"]
    assert bob.delete(f"{PLATFORMS}/twitter").status_code == 404


def test_a_limited_post_goes_out_after_the_pause(real, bob, tenant, twitter):
    connect(bob, {"platform": "twitter", "credentials": CREDENTIALS["twitter"]})
    twitter.fails("POST /2/tweets", refuses(429, {"detail": "Slow down."}, retry_after="1"))
    post = {"content": f"Later, {tenant}", "platforms": ["twitter"], "ai_optimize": False}
    began = time.monotonic()
    body = bob.post(POSTS, json=post, headers={"Prefer": "respond-async"}).json()
    path = f"{POSTS}/{body['post_id']}"
    eventually(lambda: bob.get(path).json()["status"] == "published")
    assert time.monotonic() - began >= 1
    assert [each["text"] for each in twitter.posts].count(f"Later, {tenant}") == 1
    with psycopg.connect(real.settings.database_url) as connection:
        failed = (
            "SELECT count(*) FROM log.events WHERE tenant = %s AND topic = 'social.post.failed'"
        )
        assert connection.execute(failed, [tenant]).fetchone() == (0,)


def test_a_post_without_an_answer_is_looked_for(real, bob, tenant, twitter, monkeypatch):
    monkeypatch.setattr("application.social.publishing.ASK_AGAIN", (0.5,) * 9)
    connect(bob, {"platform": "twitter", "credentials": CREDENTIALS["twitter"]})
    twitter.fails("POST /2/tweets", LOST_AFTER)
    post = {"content": f"Lost & found, {tenant}", "platforms": ["twitter"], "ai_optimize": False}
    body = bob.post(POSTS, json=post, headers={"Prefer": "respond-async"}).json()
    path = f"{POSTS}/{body['post_id']}"
    eventually(lambda: bob.get(path).json()["status"] == "unconfirmed")
    eventually(lambda: bob.get(path).json()["status"] == "published")
    assert [each["text"] for each in twitter.posts].count(f"Lost & found, {tenant}") == 1


def test_a_disconnect_asks_the_network(real, bob, facebook):
    connect(bob, {"platform": "facebook", "credentials": CREDENTIALS["facebook"]})
    facebook.fails("DELETE /v22.0/me/permissions", refuses(500), refuses(500), refuses(500))
    assert bob.delete(f"{PLATFORMS}/facebook").json()["tokens_revoked"] is False
    facebook.faults.clear()
    connect(bob, {"platform": "facebook", "credentials": CREDENTIALS["facebook"]})
    assert bob.delete(f"{PLATFORMS}/facebook").json()["tokens_revoked"] is True
    assert facebook.revoked == ["token-1"]
