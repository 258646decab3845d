"""What networks tell by themselves, over real HTTP, becomes mentions: once each, whatever dies."""

import asyncio
import hmac
import itertools
import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from api.social.network_webhooks import Delivery
from application.social import notices
from application.social.notices import Notice
from domain.kernel import Unavailable
from domain.social.mentions import Mention
from domain.social.networks import Network
from infrastructure.settings import UnusableSetting, load
from tests.site import PLAIN, eventually, running
from tests.social.fake_networks import (
    APPS,
    CREDENTIALS,
    HANGS_AFTER,
    LOST_BEFORE,
    graph_error,
    refuses,
    serving,
)
from tests.social.fake_networks.mentioning import MENTIONING, Mentioned
from tests.social.test_adapters import playing

TIDINGS = Path(sys.executable).parent / "tidings"
META = ("facebook", "instagram")
PLATFORMS = "/api/v1/social/platforms"
TOKENS = {
    "FACEBOOK_WEBHOOK_VERIFY_TOKEN": "said by the operator",
    "INSTAGRAM_WEBHOOK_VERIFY_TOKEN": "said by the operator",
}
OBJECTS = {"facebook": "page", "instagram": "instagram"}
FIELDS = {"facebook": "mention", "instagram": "mentions"}
ACCOUNTS = {"facebook": "page-1", "instagram": "ig-1"}
ASKS = {"facebook": "GET /v22.0/*", "instagram": "GET /v22.0/ig-1"}
GONE = graph_error(100, "Unsupported get request.", 400, 33)

_numbers = itertools.count(1)


@contextmanager
def world(create_database, template, valkey_server, folder):
    """Both networks, and how this installation is registered with them."""
    fakes = {name: MENTIONING[name]() for name in META}
    with ExitStack() as stack:
        for fake in fakes.values():
            fake.url = stack.enter_context(serving(fake))
        urls = {f"{name.upper()}_BASE_URL": fake.url for name, fake in fakes.items()}
        database = create_database(template)

        def start(**options):
            return running(database, valkey_server, folder, **APPS, **TOKENS, **urls, **options)

        yield start, fakes


@pytest.fixture(scope="module")
def told(create_database, template, valkey_server, tmp_path_factory):
    """The service with both networks, and the networks."""
    folder = tmp_path_factory.mktemp("told")
    with (
        world(create_database, template, valkey_server, folder) as (start, fakes),
        start(RATE_LIMIT_PROFILE="off") as site,
    ):
        site.fakes = fakes
        yield site


@pytest.fixture(autouse=True)
def brisk(monkeypatch):
    monkeypatch.setattr(notices, "ASK_AGAIN", (0.05, 0.1, 0.2))


@pytest.fixture
def tenant(told):
    """Somebody who has connected nothing yet, and will have cut everything afterwards: the fakes
    know one account each."""
    tenant = f"told-{next(_numbers)}"
    yield tenant
    for each in told.query("SELECT DISTINCT tenant FROM read.network_account_holders"):
        for name in META:
            disconnect(told, *each, name)


def connect(site, tenant, name):
    with site.client(tenant=tenant) as client:
        body = {"platform": name, "credentials": CREDENTIALS[name]}
        answer = client.post(f"{PLATFORMS}/{name}/connect", json=body)
        assert answer.json()["status"] == "active", answer.text
        eventually(lambda: client.get(PLATFORMS).json().get("accounts"))


def disconnect(site, tenant, name):
    with site.client(tenant=tenant) as client:
        assert client.delete(f"{PLATFORMS}/{name}").status_code in (200, 404)


def hook(name):
    return f"/api/v1/social/networks/{name}/webhook"


def value(name, id, *, comment=False):
    """What the network tells of a mention; on Instagram a comment goes by `media_comment`."""
    if name == "facebook":
        post = {"post_id": "900_1", "comment_id": id} if comment else {"post_id": id}
        return {"item": "comment" if comment else "post", "verb": "add", "message": "…", **post}
    media, _, below = id.partition("_")
    return {"media_id": media, "comment_id": below} if comment else {"media_id": media}


def body_of(name, *values, account=None, **more):
    changes = [{"field": FIELDS[name], "value": each} for each in values]
    entry = {"id": account or ACCOUNTS[name], "time": 1_763_800_000, "changes": changes}
    return {"object": OBJECTS[name], "entry": [entry], **more}


def deliver(site, name, body, *, secret="app-secret", **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    digest = hmac.digest(secret.encode(), raw, sha256).hex()
    headers = {"X-Hub-Signature-256": f"sha256={digest}", **headers}
    return httpx.post(
        f"{site.url}{hook(name)}", content=raw, headers=headers, timeout=15, verify=PLAIN
    )


def say(fakes, name, *, comment=False, **more):
    """Something that nobody finds by asking who mentions the account; the id of the mention."""
    number = next(_numbers)
    given = {"author": "amira", "at": datetime.now(UTC).replace(microsecond=0), **more}
    said = Mentioned(f"77{number}", "I love the tea of @shop!", comment=comment, **given)
    fakes[name].noticed.append(said)
    return f"55{number}_{said.id}" if comment and name == "instagram" else said.id


def detected(site, name, id, tenant):
    """How often the mention is in the log."""
    stream = Mention.create_id(Network(name), id, tenant)
    asked = "SELECT count(*) FROM log.events WHERE stream_id = %s AND topic = %s"
    ((count,),) = site.query(asked, stream, Mention.Detected.TOPIC)
    return count


def waiting(site):
    """Jobs about what networks have told."""
    names = ["social.pass_on_notice", "social.fetch_mention"]
    asked = (
        "SELECT (SELECT count(*) FROM jobs.procrastinate_jobs WHERE task_name = ANY(%s))"
        " + (SELECT count(*) FROM work.timers WHERE name = ANY(%s))"
    )
    return site.query(asked, names, names)[0][0]


def settled(site):
    return eventually(lambda: waiting(site) == 0, 20)


def mentions(site, tenant):
    with site.client(tenant=tenant) as client:
        return client.get("/api/v1/social/mentions").json()["mentions"]


def test_the_network_makes_sure_of_the_address(told):
    asked = {
        "hub.mode": "subscribe",
        "hub.verify_token": "said by the operator",
        "hub.challenge": "1158201444",
    }
    for name in META:
        answer = httpx.get(f"{told.url}{hook(name)}", params=asked, verify=PLAIN)
        assert (answer.status_code, answer.text) == (200, "1158201444")
        assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"hub.verify_token": "said by nobody"}, 403),
        ({"hub.verify_token": ""}, 403),
        ({"hub.verify_token": "ünsaid"}, 403),
        ({"hub.mode": "unsubscribe"}, 422),
        ({"hub.challenge": ""}, 422),
        ({"hub.challenge": "<script>"}, 422),
        ({"hub.challenge": "1" * 201}, 422),
    ],
)
def test_whoever_asks_for_something_else_is_refused(told, changed, status):
    asked = {
        "hub.mode": "subscribe",
        "hub.verify_token": "said by the operator",
        "hub.challenge": "1",
        **changed,
    }
    assert (
        httpx.get(f"{told.url}{hook('facebook')}", params=asked, verify=PLAIN).status_code == status
    )


@pytest.mark.parametrize("name", ["twitter", "linkedin", "nowhere"])
def test_other_networks_have_no_webhook_here(told, name):
    assert httpx.get(f"{told.url}{hook(name)}", verify=PLAIN).status_code == 404
    assert deliver(told, name, {"object": "page"}).status_code == 404


def test_nothing_is_there_where_it_is_not_set_up(site):
    asked = {"hub.mode": "subscribe", "hub.verify_token": "", "hub.challenge": "1"}
    for name in META:
        for answer in (
            httpx.get(f"{site.url}{hook(name)}", params=asked, verify=PLAIN),
            deliver(site, name, body_of(name, value(name, "1")), secret=""),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("name", META)
def test_who_connects_an_account_has_the_network_tell_of_it(told, tenant, name):
    fake = told.fakes[name]
    fake.subscribed.clear()
    fake.fails(f"POST /v22.0/{ACCOUNTS[name]}/subscribed_apps", graph_error(10, "Not allowed."))
    connect(told, tenant, name)
    (asked,) = eventually(lambda: fake.subscribed)
    assert asked["subscribed_fields"] == FIELDS[name]


def test_nobody_is_asked_to_tell_where_the_webhook_is_not_set_up(database_url):
    async def run():
        for name in META:
            async with playing(name, database_url) as case:
                assert await (await case.account()).subscribe() is False
                assert case.fake.subscribed == []
            async with playing(name, database_url, **TOKENS) as case:
                assert await (await case.account()).subscribe() is True
                assert len(case.fake.subscribed) == 1

    asyncio.run(run())


@pytest.mark.parametrize("name", META)
@pytest.mark.parametrize("comment", [False, True])
def test_what_a_network_tells_becomes_a_mention(told, tenant, name, comment):
    connect(told, tenant, name)
    id = say(told.fakes, name, comment=comment)
    answer = deliver(told, name, body_of(name, value(name, id, comment=comment)))
    assert (answer.status_code, answer.text) == (200, "")
    (shown,) = eventually(lambda: mentions(told, tenant))
    assert (shown["content"], shown["platform"]) == ("I love the tea of @shop!", name)
    assert shown["sentiment_score"] > 0
    assert detected(told, name, id, tenant) == 1
    stored = "SELECT convert_from(state, 'UTF8')::json->>'actor' FROM log.events WHERE topic = %s"
    assert told.query(f"{stored} AND tenant = %s", Mention.Detected.TOPIC, tenant) == [
        ("tidings:listener",)
    ]


@pytest.mark.parametrize("name", META)
def test_what_is_told_again_or_found_by_listening_is_the_same_mention(told, tenant, name):
    connect(told, tenant, name)
    fake = told.fakes[name]
    ids = [say(told.fakes, name) for _ in range(3)]
    first, second, third = (value(name, id) for id in ids)
    body = body_of(name, first, second, first)
    body["entry"] += body_of(name, third, second)["entry"]
    for _ in range(3):
        assert deliver(told, name, body).status_code == 200
    settled(told)
    fake.mentioned += fake.noticed  # so that listening finds them as well
    heard = "UPDATE work.listening SET due = now(), turn = turn + 1 WHERE tenant = %s"
    turns = "SELECT turn FROM work.listening WHERE tenant = %s AND due > now() + interval '3 min'"
    with psycopg.connect(told.settings.database_url, autocommit=True) as connection:
        connection.execute(heard, [tenant])
    eventually(lambda: told.query(turns, tenant))
    fake.mentioned.clear()
    assert deliver(told, name, body).status_code == 200
    settled(told)
    assert [detected(told, name, id, tenant) for id in ids] == [1, 1, 1]


def test_only_the_network_itself_is_listened_to(told, tenant):
    connect(told, tenant, "instagram")
    id = say(told.fakes, "instagram")
    body = json.dumps(body_of("instagram", value("instagram", id))).encode()
    good = "sha256=" + hmac.digest(b"app-secret", body, sha256).hex()
    refused = [
        deliver(told, "instagram", body, secret="another-secret"),
        deliver(told, "instagram", body + b" ", **{"X-Hub-Signature-256": good}),
        deliver(told, "instagram", body, **{"X-Hub-Signature-256": ""}),
        deliver(told, "instagram", body, **{"X-Hub-Signature-256": good.removeprefix("sha256=")}),
        deliver(told, "instagram", body, **{"X-Hub-Signature-256": "sha256=é".encode()}),
        httpx.post(f"{told.url}{hook('instagram')}", content=body, verify=PLAIN),
        deliver(told, "instagram", b"{", secret="another-secret"),
    ]
    assert {(each.status_code, each.json()["code"]) for each in refused} == {(403, "bad_signature")}
    assert waiting(told) == 0
    assert detected(told, "instagram", id, tenant) == 0
    noted = "SELECT reason, tenant FROM audit.refusals WHERE endpoint = 'social.networks.tell'"
    rows = eventually(lambda: len(found := told.query(noted)) >= len(refused) and found)
    assert set(rows) == {("bad_signature", None)}


def test_what_cannot_be_read_is_refused(told):
    assert deliver(told, "facebook", b"{").status_code == 400
    assert deliver(told, "facebook", b"[" * 5000).status_code == 400
    assert deliver(told, "facebook", b" " * (1024 * 1024 + 1)).status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        [],
        7,
        {},
        {"object": "user", "entry": body_of("facebook", {"post_id": "1"})["entry"]},
        {"object": "page", "entry": {"id": "page-1"}},
        {"object": "page", "entry": [7, {"id": "page-1"}, {"id": "page-1", "changes": [None]}]},
        {"object": "page", "entry": [{"id": "page-1", "changes": [{"field": "feed"}]}]},
        body_of("facebook", {}, None, [], "post_id", {"post_id": None}, {"post_id": {"id": "1"}}),
        body_of("facebook", {"post_id": "../me"}, {"post_id": "1" * 101}, {"post_id": "1,name"}),
        body_of("facebook", {"post_id": "1", "verb": "remove"}, {"post_id": "2", "verb": "hide"}),
        body_of("facebook", {"post_id": "1"}, account="page 1"),
    ],
)
def test_what_is_no_mention_is_passed_over(told, tenant, body):
    connect(told, tenant, "facebook")
    asked = len(told.fakes["facebook"].calls(ASKS["facebook"]))
    assert deliver(told, "facebook", body).status_code == 200
    assert waiting(told) == 0
    assert len(told.fakes["facebook"].calls(ASKS["facebook"])) == asked


def test_a_change_may_stand_in_the_entry_itself(told, tenant):
    connect(told, tenant, "instagram")
    id = say(told.fakes, "instagram")
    entry = {"id": "ig-1", "field": "mentions", "value": {"media_id": int(id)}}
    assert deliver(told, "instagram", {"object": "instagram", "entry": [entry]}).status_code == 200
    eventually(lambda: detected(told, "instagram", id, tenant) == 1)


def test_each_tenant_with_the_account_gets_its_own_and_nobody_else_any(told, tenant):
    tenants = [f"{tenant}-{n}" for n in range(4)]
    for each in tenants[:3]:
        connect(told, each, "instagram")
    disconnect(told, tenants[2], "instagram")
    with told.client(tenant=tenants[3]) as client:  # who only says that it is theirs
        body = {"platform": "instagram", "credentials": CREDENTIALS["instagram"]}
        body["account_id"] = "ig-1"
        told.fakes["instagram"].fails("GET /v22.0/me", *[LOST_BEFORE] * 9)
        answer = client.post(f"{PLATFORMS}/instagram/connect", json=body)
        assert answer.json()["status"] == "pending"
        told.fakes["instagram"].faults.clear()
    id = say(told.fakes, "instagram")
    assert deliver(told, "instagram", body_of("instagram", value("instagram", id))).is_success
    settled(told)
    assert [detected(told, "instagram", id, each) for each in tenants] == [1, 1, 0, 0]
    assert [len(mentions(told, each)) for each in (tenants[0], tenants[1], tenants[3])] == [1, 1, 0]


def test_an_account_that_nobody_has_is_dropped(told, tenant, monkeypatch):
    """And is not taken for another's: somebody else has connected one."""
    monkeypatch.setattr(notices, "JUST_CONNECTED", notices.timedelta(seconds=0.1))
    connect(told, tenant, "instagram")
    id = say(told.fakes, "instagram")
    body = body_of("instagram", value("instagram", id), account="ig-unknown")
    assert deliver(told, "instagram", body).status_code == 200
    settled(told)
    asked = [f"{each.path} {each.query}" for each in told.fakes["instagram"].asked]
    assert any("ig-1" in each for each in asked)
    assert not any("ig-unknown" in each or id in each for each in asked)
    assert detected(told, "instagram", id, tenant) == 0


def test_an_account_that_is_connected_a_moment_later_is_found(
    create_database, template, valkey_server, tmp_path, monkeypatch
):
    monkeypatch.setattr(notices, "JUST_CONNECTED", notices.timedelta(seconds=1.5))
    with (
        world(create_database, template, valkey_server, tmp_path) as (start, fakes),
        start(RATE_LIMIT_PROFILE="off") as site,
    ):
        id = say(fakes, "instagram")
        assert deliver(site, "instagram", body_of("instagram", value("instagram", id))).is_success
        timers = "SELECT count(*) FROM work.timers WHERE name = 'social.pass_on_notice'"
        eventually(lambda: site.query(timers) == [(1,)])
        connect(site, "late", "instagram")
        eventually(lambda: detected(site, "instagram", id, "late") == 1)


@pytest.mark.parametrize("name", META)
@pytest.mark.parametrize(
    "fault", [LOST_BEFORE, refuses(503, {}), refuses(200, {"nothing": 1}), GONE, refuses(200, [])]
)
def test_a_network_that_does_not_show_it_is_asked_again(told, tenant, name, fault):
    connect(told, tenant, name)
    eventually(lambda: not _listening_now(told, tenant))
    id = say(told.fakes, name)
    told.fakes[name].fails(ASKS[name], *[fault] * 2)
    assert deliver(told, name, body_of(name, value(name, id))).status_code == 200
    eventually(lambda: detected(told, name, id, tenant) == 1, 20)
    assert not told.fakes[name].faults[ASKS[name]]


@pytest.mark.parametrize("name", META)
def test_what_is_gone_is_given_up(told, tenant, name):
    connect(told, tenant, name)
    settled(told)
    told.fakes[name].fails(ASKS[name], *[GONE] * 50)
    assert deliver(told, name, body_of(name, value(name, "gone1"))).status_code == 200
    settled(told)
    told.fakes[name].fails(ASKS[name])
    assert detected(told, name, "gone1", tenant) == 0
    assert mentions(told, tenant) == []


def test_what_the_page_itself_says_is_no_mention(told, tenant):
    connect(told, tenant, "facebook")
    id = say(told.fakes, "facebook", author="")
    assert deliver(told, "facebook", body_of("facebook", value("facebook", id))).is_success
    settled(told)
    assert detected(told, "facebook", id, tenant) == 0


def test_what_has_been_acknowledged_outlives_the_process(
    create_database, template, valkey_server, tmp_path
):
    with world(create_database, template, valkey_server, tmp_path) as (start, fakes):
        with start() as site:
            connect(site, "demo", "instagram")
        id = say(fakes, "instagram")
        with start(background=False) as site:
            body = body_of("instagram", value("instagram", id))
            assert deliver(site, "instagram", body).status_code == 200
            assert waiting(site) == 1
            answers = [httpx.get(f"{site.url}{hook('facebook')}", verify=PLAIN) for _ in range(61)]
            # Guessing the token is limited by the address.
            assert [each.status_code for each in answers] == [403] * 60 + [429]
        with start() as site:
            eventually(lambda: detected(site, "instagram", id, "demo") == 1)


@pytest.mark.slow
def test_killed_while_the_network_is_asked_it_is_asked_again(
    create_database, template, valkey_server, tmp_path
):
    with world(create_database, template, valkey_server, tmp_path) as (start, fakes):
        with start() as site:
            connect(site, "demo", "instagram")
            settled(site)
        with start(background=False) as site:
            fakes["instagram"].fails(ASKS["instagram"], *[HANGS_AFTER] * 9)
            id = say(fakes, "instagram")
            assert deliver(
                site, "instagram", body_of("instagram", value("instagram", id))
            ).is_success
            with worker(site, tmp_path, fakes):
                eventually(lambda: fakes["instagram"].calls(ASKS["instagram"]), 20)
            assert detected(site, "instagram", id, "demo") == 0
        fakes["instagram"].faults.clear()
        fakes["instagram"].released.set()
        with start() as site:
            eventually(lambda: detected(site, "instagram", id, "demo") == 1, 40)


@contextmanager
def worker(site, folder, fakes):
    """A process that does background work until it is killed."""
    urls = {f"{name.upper()}_BASE_URL": fake.url for name, fake in fakes.items()}
    environment = {
        "JWT_SECRET_KEY": site.settings.jwt_secret,
        "ENCRYPTION_KEY": site.settings.encryption_key,
        "DATABASE_URL": site.settings.database_url,
        "REDIS_URL": site.settings.redis_url,
        **APPS,
        **TOKENS,
        **urls,
    }
    process = subprocess.Popen(
        [TIDINGS, "--data-dir", folder, "work"],
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_without_a_database_the_network_is_to_tell_it_again():
    async def run():
        pool = AsyncConnectionPool("postgresql://127.0.0.1:9/nothing", open=False)
        notice = Notice(Network.INSTAGRAM, "ig-1", "5")
        with pytest.raises(Unavailable):
            await Delivery(pool, [notice]).keep()
        await Delivery(pool, []).keep()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("FACEBOOK_WEBHOOK_VERIFY_TOKEN", " needs FACEBOOK_APP_SECRET beside it"),
        ("TWITTER_WEBHOOK_VERIFY_TOKEN", ": no webhooks of twitter are received"),
    ],
)
def test_a_verify_token_that_is_of_no_use_stops_the_start(tmp_path, setting, says):
    with pytest.raises(UnusableSetting, match=setting + says):
        load({setting: "x"}, tmp_path, "postgresql://nowhere", "redis://nowhere")


def _listening_now(site, tenant):
    asked = "SELECT 1 FROM work.listening WHERE tenant = %s AND provider IS NULL"
    return site.query(asked, tenant)
