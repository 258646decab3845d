"""Responses over real HTTP, with all the background work running."""

import asyncio
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from application.kernel import NO_ANSWER, Desk
from domain.personal import ERASED
from domain.social.engagement import Comment, Engagement
from domain.social.mentions import Mention, Priority, Tone
from domain.social.networks import Network
from infrastructure.event_log.log import open_log
from infrastructure.read_models.rebuild import rebuild
from projections.social.brand_voice import BrandVoices
from projections.social.response_templates import ResponseTemplates
from projections.social.responses import Responses
from tests.commands import TIDINGS
from tests.compliance.people import places_of
from tests.infrastructure.read_side import contents
from tests.site import eventually, running
from tests.social.fake_networks import (
    APPS,
    CREDENTIALS,
    FAKES,
    HANGS_AFTER,
    LOST_AFTER,
    refuses,
    serving,
)

RESPONSES = "/api/v1/social/responses"
TEMPLATES = "/api/v1/social/response-templates"
VOICE = "/api/v1/social/brand-voice"
TOO_LATE = {"response_mode": "manual", "response_content": "We are sorry, Amira."}


@pytest.fixture
def alone(database_url, redis_url, tmp_path):
    """A service with nothing in its tables but what the test puts there."""
    with running(database_url, redis_url, tmp_path, RATE_LIMIT_PROFILE="off") as site:
        yield site


def hear(site, text="I love it!", *, tenant=None, network="twitter", **facts):
    """A mention as the listener would bring it in; its public id."""

    class Hear:
        def handle(self):
            return Mention(
                **{
                    "network": Network(network),
                    "network_mention_id": uuid4().hex,
                    "url": None,
                    "author": "Amira Haddad",
                    "author_handle": "amira",
                    "followers": 10,
                    "text": text,
                    "written_at": datetime.now(UTC),
                    "language": "en",
                    "sentiment": 0.6,
                    "tone": Tone.POSITIVE,
                    "priority": Priority.LOW,
                    "likes": 0,
                    "shares": 0,
                    "comments": 0,
                    "requires_response": True,
                    "keywords": (),
                    "hashtags": (),
                    **facts,
                }
            )

    async def bring():
        async with open_log(site.settings, "test") as log:
            answer = await Desk(log, tenant or site.tenant, "tidings:listener", "r").create(
                Hear(), lambda _: NO_ANSWER
            )
            return f"men_{answer.id.hex}"

    return asyncio.run(bring())


def answer(client, mention_id, **fields):
    return client.post(RESPONSES, json={"mention_id": mention_id, **fields})


def replies(site):
    ours = "SELECT network_reply_id, replied_at FROM sandbox.replies WHERE tenant = %s"
    return site.query(ours, site.tenant)


def topics(site):
    ours = "SELECT topic FROM log.events WHERE topic ~ 'response' AND tenant = %s"
    found = site.query(f"{ours} ORDER BY position", site.tenant)
    return [topic.rpartition(".")[2] for (topic,) in found]


def once(client, response_id, status):
    """The response as it reads once it stands so."""
    return eventually(
        lambda: (r := client.get(f"{RESPONSES}/{response_id}").json())["status"] == status and r
    )


def test_an_answer_goes_out_and_the_mention_is_answered(site, ann):
    mention_id = hear(site)
    given = answer(ann, mention_id, tone="friendly")
    assert given.status_code == 200
    body = given.json()
    assert (body["success"], body["posted_to_platform"]) == (True, True)
    assert body["mention_id"] == mention_id
    assert "Amira" in body["response_content"]
    assert 0 < body["ai_confidence"] < 1
    assert body["sentiment_improvement"] is None
    assert body["posted_at"].endswith("Z")
    ((kept, at),) = replies(site)
    assert datetime.fromisoformat(body["posted_at"]) == at
    with site.client("read_only", user="eve") as eve:
        seen = once(eve, body["response_id"], "posted")
        mention = eventually(
            lambda: [
                m
                for m in eve.get("/api/v1/social/mentions").json()["mentions"]
                if m["mention_id"] == mention_id and not m["requires_response"]
            ]
        )
    assert len(mention) == 1
    assert (seen["provider"], seen["writer"], seen["created_by"]) == ("sandbox", "embedded", "ann")
    assert seen["url"].endswith(kept)
    assert seen["response_content"] == body["response_content"]
    assert seen["error"] is None


def test_of_fifty_who_answer_one_does(site, ann, tmp_path):
    """In two processes' worth of services, so that no lock within one is what decides."""
    mention_id, kept = hear(site), (site.settings.database_url, site.settings.redis_url)
    with (
        running(*kept, tmp_path, background=False, RATE_LIMIT_PROFILE="off") as other,
        other.client(user="bob", tenant=site.tenant) as bob,
        ThreadPoolExecutor(50) as crowd,
    ):

        def one(n):
            text = {"response_mode": "manual", "response_content": f"Thank you {n}!"}
            return answer((ann, bob)[n % 2], mention_id, **text)

        answers = list(crowd.map(one, range(50)))
    assert sorted(a.status_code for a in answers) == [200] + [409] * 49
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"already_answered"}
    eventually(lambda: "posted" in topics(site))
    assert topics(site) == ["drafted", "posting_started", "posted"]
    assert len(replies(site)) == 1
    late = answer(ann, mention_id, **TOO_LATE)
    assert (late.status_code, late.json()["state"]) == (409, "posted")


def test_a_key_is_answered_once(site, ann):
    body = {"mention_id": hear(site), **TOO_LATE}
    headers = {"Idempotency-Key": "k1"}
    with ThreadPoolExecutor(20) as crowd:
        answers = list(
            crowd.map(lambda _: ann.post(RESPONSES, json=body, headers=headers), range(20))
        )
    assert {a.status_code for a in answers} == {200}
    assert len({a.content for a in answers}) == 1
    assert topics(site).count("drafted") == 1


@pytest.mark.parametrize(
    ("fields", "culprit", "code"),
    [
        ({"response_mode": "manual"}, "response_content", "value_error"),
        ({"response_mode": "manual", "response_content": "  "}, "response_content", "value_error"),
        ({"response_mode": "manual", "response_content": "x" * 281}, "response_content",
         "text_too_long"),
        ({"response_mode": "manual", "response_content": "<script>alert(1)</script>"},
         "response_content", "markup"),
        ({"response_mode": "manual", "response_content": "x'; DROP TABLE posts; --"},
         "response_content", "sql_injection"),
        ({"response_mode": "template"}, "template_id", "value_error"),
        ({"response_mode": "template", "template_id": "nothing"}, "template_id",
         "unknown_template"),
        ({"response_mode": "telepathy"}, "response_mode", "enum"),
        ({"tone": "sarcastic"}, "tone", "enum"),
        ({"include_brand_voice": "perhaps"}, "include_brand_voice", "bool_parsing"),
        ({"unknown": 1}, "unknown", "extra_forbidden"),
    ],
)  # fmt: skip
def test_bad_input_names_the_field_and_writes_nothing(site, ann, fields, culprit, code):
    refused = answer(ann, hear(site), **fields)
    assert refused.status_code == 422
    assert (refused.json()["errors"][0]["field"], refused.json()["errors"][0]["code"]) == (
        culprit,
        code,
    )
    assert topics(site) == []


def test_what_is_not_there_and_who_may_not(site, ann):
    theirs = hear(site, tenant="acme")
    for mention_id in (theirs, f"men_{'0' * 32}", "men_1", "nonsense", ""):
        missing = answer(ann, mention_id, **TOO_LATE)
        assert (missing.status_code, missing.json()["detail"]) == (
            404,
            "There is no such mention.",
        )
    missing = ann.get(f"{RESPONSES}/resp_{'0' * 32}")
    assert (missing.status_code, missing.json()["detail"]) == (404, "There is no such response.")
    for role in ("api_user", "read_only"):
        with site.client(role) as reader:
            assert answer(reader, theirs).status_code == 403
            assert reader.put(f"{TEMPLATES}/hello", json={"text": "x"}).status_code == 403
    with site.client("developer") as developer:
        assert developer.put(VOICE, json={"emoji": False}).status_code == 403
    with site.client(tenant="acme") as bob:
        given = answer(bob, theirs, **TOO_LATE)
        assert given.status_code == 200
    assert ann.get(f"{RESPONSES}/{given.json()['response_id']}").status_code == 404


def test_templates_are_there_can_be_written_and_discarded(site, ann):
    def filled(name, **facts):
        given = answer(ann, hear(site, **facts), response_mode="template", template_id=name)
        assert given.status_code == 200, given.text
        return given.json()["response_content"]

    assert filled("thanks") == "Thank you so much for your kind words, Amira Haddad!"
    assert filled("thanks", language="de").startswith("Vielen Dank")
    assert filled("thanks", author="", author_handle="urn:li:person:1") == (
        "Thank you so much for your kind words!"
    )
    own = ann.put(f"{TEMPLATES}/thanks", json={"text": "Cheers {{ first_name }} ({{handle}})!"})
    assert own.json() == {
        "template_id": "thanks",
        "text": "Cheers {{ first_name }} ({{handle}})!",
        "built_in": False,
    }
    assert filled("thanks") == "Cheers Amira (@amira)!"
    listed = ann.get(TEMPLATES).json()["templates"]
    assert [(t["template_id"], t["built_in"]) for t in listed] == [
        ("thanks", False),
        ("apology", True),
        ("question", True),
    ]
    assert ann.delete(f"{TEMPLATES}/thanks").json()["built_in"] is True
    assert ann.delete(f"{TEMPLATES}/thanks").status_code == 404
    assert ann.delete(f"{TEMPLATES}/never").status_code == 404
    assert filled("thanks").startswith("Thank you so much")
    assert ann.put(f"{TEMPLATES}/thanks", json={"text": "Back, {{ author }}"}).status_code == 200
    assert filled("thanks") == "Back, Amira Haddad"
    for name, text, culprit in (
        ("a b", "x", "name"),
        ("UPPER", "x", "name"),
        ("ok", "", "text"),
        ("ok", "{{ secret }}", "text"),
        ("ok", "x" * 2001, "text"),
        ("ok", "<script>x()</script>", "text"),
    ):
        refused = ann.put(f"{TEMPLATES}/{name}", json={"text": text})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, culprit)
    ann.put(f"{TEMPLATES}/branded", json={"text": "Yours, {{ brand }}"})
    refused = answer(ann, hear(site), response_mode="template", template_id="branded")
    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {
            "field": "template_id",
            "message": "The template needs brand, which is not known here.",
            "code": "missing_variable",
        }
    ]
    with site.client(tenant="acme") as bob:
        assert len(bob.get(TEMPLATES).json()["templates"]) == 3


def test_the_brand_voice_is_followed_unless_it_is_left_out(site, ann):
    assert ann.get(VOICE).json()["formality"] == "neutral"
    rules = {
        "brand": "Shop",
        "formality": "informal",
        "emoji": False,
        "sign_off": "— Shop",
        "forbidden": {"cheap": "affordable"},
        "spelling": {},
    }
    assert ann.put(VOICE, json=rules).json() == rules
    assert ann.get(VOICE).json() == rules
    manual = {"response_mode": "manual", "response_content": "Cheap 😊 and good"}
    assert answer(ann, hear(site), **manual).json()["response_content"] == (
        "Affordable and good — Shop"
    )
    plain = answer(ann, hear(site), **manual, include_brand_voice=False)
    assert plain.json()["response_content"] == "Cheap 😊 and good"
    with site.client(tenant="acme") as bob:
        assert bob.get(VOICE).json()["brand"] is None
    again = ann.put(VOICE, json={"sign_off": None})
    assert (again.status_code, again.json()["forbidden"]) == (200, {})
    refused = ann.put(VOICE, json={"forbidden": {"a": "x", "A": "y"}})
    assert refused.json()["errors"][0]["field"] == "forbidden"


def test_an_answer_that_was_accepted_goes_out_after_a_restart(database_url, redis_url, tmp_path):
    with running(database_url, redis_url, tmp_path, background=False) as site:
        mention_id = hear(site)
        with site.client() as ann:
            given = answer(ann, mention_id, **TOO_LATE).json()
            assert (given["success"], given["posted_to_platform"]) == (True, False)
    with running(database_url, redis_url, tmp_path) as site, site.client() as ann:
        once(ann, given["response_id"], "posted")
        assert len(replies(site)) == 1


def test_how_the_addressee_speaks_afterwards_is_an_improvement(site, ann):
    bad = hear(site, "Terrible", sentiment=-0.8, tone=Tone.NEGATIVE)
    response_id = answer(ann, bad, **TOO_LATE).json()["response_id"]
    assert once(ann, response_id, "posted")["sentiment_improvement"] is None
    later = datetime.now(UTC) + timedelta(hours=1)
    hear(site, "Fine now", sentiment=0.3, written_at=later)
    hear(site, "Great", sentiment=0.5, written_at=later)
    hear(site, "Awful", sentiment=-1.0, written_at=later, author_handle="somebody else")
    hear(site, "Awful", sentiment=-1.0, written_at=later - timedelta(days=2))
    hear(site, "Awful", sentiment=-1.0, written_at=later + timedelta(days=31))
    asyncio.run(comment(site, "amira", 0.1, later))
    asyncio.run(comment(site, "somebody else", -1.0, later))
    eventually(lambda: ann.get(f"{RESPONSES}/{response_id}").json()["sentiment_improvement"] == 1.1)


async def comment(site, author, sentiment, at):
    """A comment on some post of the tenant's."""

    class Receive:
        def handle(self):
            engagement = Engagement(uuid4())
            engagement.receive(Network.TWITTER, [Comment("c", author, "Hm", at, sentiment)])
            return engagement

    async with open_log(site.settings, "test") as log:
        await Desk(log, site.tenant, "tidings:engagement", "r").create(
            Receive(), lambda _: NO_ANSWER
        )


def test_tables_built_anew_are_those_in_use(alone):
    with alone.client() as ann:
        ann.put(VOICE, json={"brand": "Shop"})
        ann.put(VOICE, json={"brand": "Shop", "emoji": False})
        ann.put(f"{TEMPLATES}/one", json={"text": "One"})
        ann.put(f"{TEMPLATES}/two", json={"text": "Two"})
        ann.delete(f"{TEMPLATES}/one")
        for _ in range(3):
            once(ann, answer(ann, hear(alone)).json()["response_id"], "posted")
        url = alone.settings.database_url
        with psycopg.connect(url, autocommit=True) as admin:
            for model in (Responses(), BrandVoices(), ResponseTemplates()):
                live = contents(admin, *model.tables)
                assert live
                asyncio.run(rebuild(url, model))
                assert contents(admin, *model.tables) == live


def test_nothing_of_an_erased_person_is_left_and_nobody_answers_them(alone):
    with alone.client() as ann:
        first, second = hear(alone), hear(alone)
        body = answer(ann, first).json()
        once(ann, body["response_id"], "posted")
        assert "Amira" in body["response_content"]
        done = ann.post("/api/v1/audit/erasures", json={"subject": "twitter:amira"})
        assert done.json()["status"] == "completed"
        seen = ann.get(f"{RESPONSES}/{body['response_id']}").json()
        assert (seen["response_content"], seen["status"]) == (ERASED, "posted")
        refused = answer(ann, second)
        assert (refused.status_code, refused.json()["code"]) == (409, "erased")
        assert places_of(alone.settings.database_url, "Amira", "amira") == []


# A real network --------------------------------------------------------------------------------


@pytest.fixture
def network():
    fake = FAKES["twitter"]()
    with serving(fake) as url:
        fake.url = url
        yield fake


def environment(fake):
    return {
        "ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8",
        "RATE_LIMIT_PROFILE": "off",
        "TWITTER_BASE_URL": fake.url,
        **APPS,
    }


def connect(client):
    linked = client.post(
        "/api/v1/social/platforms/twitter/connect",
        json={"platform": "twitter", "credentials": dict(CREDENTIALS["twitter"])},
    )
    assert linked.json()["status"] == "active", linked.text


def test_what_the_network_refuses_may_be_said_otherwise(database_url, redis_url, tmp_path, network):
    with (
        running(database_url, redis_url, tmp_path, **environment(network)) as site,
        site.client() as ann,
    ):
        connect(ann)
        mention_id = hear(site, network_mention_id="4711")
        network.fails("POST /2/tweets", refuses(400, {"detail": "Not like this."}))
        wait = {"Prefer": "wait=10"}
        body = {"mention_id": mention_id, **TOO_LATE}
        refused = ann.post(RESPONSES, json=body, headers=wait).json()
        assert (refused["success"], refused["posted_to_platform"]) == (False, False)
        seen = once(ann, refused["response_id"], "refused")
        assert seen["error"] == {"code": "bad_post", "message": "Not like this."}
        assert seen["provider"] == "twitter"
        body["response_content"] = "We are so sorry, Amira."
        given = ann.post(RESPONSES, json=body, headers=wait).json()
        assert (given["success"], given["posted_to_platform"]) == (True, True)
        assert given["response_id"] == refused["response_id"]
        seen = once(ann, refused["response_id"], "posted")
        assert (seen["error"], seen["response_content"]) == (None, "We are so sorry, Amira.")
        assert [(p["text"], p["to"]) for p in network.posts] == [
            ("We are so sorry, Amira.", "4711")
        ]


def test_a_network_that_says_nothing_is_asked_later(
    database_url, redis_url, tmp_path, network, monkeypatch
):
    monkeypatch.setattr("application.social.responding.ASK_AGAIN", (0.3,) * 40)
    with (
        running(database_url, redis_url, tmp_path, **environment(network)) as site,
        site.client() as ann,
    ):
        connect(ann)
        mention_id = hear(site)
        network.fails("POST /2/tweets", LOST_AFTER)
        network.hidden = True
        given = ann.post(
            RESPONSES, json={"mention_id": mention_id, **TOO_LATE}, headers={"Prefer": "wait=1"}
        ).json()
        assert (given["success"], given["posted_to_platform"]) == (True, False)
        once(ann, given["response_id"], "unconfirmed")
        again = answer(ann, mention_id, **TOO_LATE)
        assert (again.status_code, again.json()["state"]) == (409, "unconfirmed")
        network.hidden = False
        seen = once(ann, given["response_id"], "posted")
        assert seen["error"] is None
        assert len(network.posts) == len(network.calls("POST /2/tweets")) == 1


@pytest.mark.slow
def test_killed_between_intention_and_outcome_it_is_posted_once(
    database_url, redis_url, tmp_path, network
):
    """The worker dies while the network, which has the reply, keeps it waiting."""
    secrets = {
        "JWT_SECRET_KEY": "a secret of the tests that is long enough",
        "ENCRYPTION_KEY": "another secret of the tests, also long",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
    }
    command = [TIDINGS, "--data-dir", tmp_path, "work", "--only", "jobs"]
    with running(
        database_url, redis_url, tmp_path, background=False, **environment(network)
    ) as site:
        with site.client() as ann:
            connect(ann)
            network.fails("POST /2/tweets", HANGS_AFTER)
            given = answer(ann, hear(site), **TOO_LATE).json()
        worker = subprocess.Popen(
            command,
            env=os.environ | environment(network) | secrets,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            eventually(lambda: network.posts, within=20)
        finally:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        assert topics(site) == ["drafted", "posting_started"]
    network.released.set()
    with (
        running(database_url, redis_url, tmp_path, **environment(network)) as site,
        site.client() as ann,
    ):
        eventually(
            lambda: ann.get(f"{RESPONSES}/{given['response_id']}").json()["status"] == "posted",
            within=40,
        )
        assert topics(site) == ["drafted", "posting_started", "posted"]
        assert len(network.posts) == len(network.calls("POST /2/tweets")) == 1
        mention = UUID(given["mention_id"].removeprefix("men_"))
        assert site.query("SELECT count(*) FROM log.events WHERE stream_id = %s", mention) == [(2,)]
