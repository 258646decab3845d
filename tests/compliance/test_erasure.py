import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
import redis

from application.kernel import NO_ANSWER, Decision, Desk, Idempotency
from domain.kernel import NotFound, Unavailable
from domain.personal import ERASED
from domain.social.engagement import Comment, Engagement
from domain.social.networks import Network
from domain.social.posts import Post
from infrastructure.event_log.log import open_log
from infrastructure.ledger.checkpoints import Signer
from infrastructure.ledger.sealing import Sealer, seal_now
from infrastructure.ledger.verification import verify
from infrastructure.personal_data.keyring import LEASE
from infrastructure.personal_data.receipts import NotGenuine, ReceiptSigner, check
from infrastructure.read_models import rebuild as rebuilding
from infrastructure.read_models.rebuild import rebuild
from tests.compliance.people import (
    LETTERS,
    SECRET,
    Content,
    Letter,
    Letters,
    caught_up,
    places_of,
    post,
    projector,
)
from tests.infrastructure.read_side import contents
from tests.rooms import NOW, somebody
from tests.site import eventually, running

ANN, BOB, CEM = "ann@example.com", "bob@example.com", "cem@example.com"
FOX = 'The quick "brown" fox — übermütig'


@pytest.fixture
def short_lease(monkeypatch):
    """For what happens within one process; `LEASE` itself is tested with two."""
    for module in ("keyring", "erasure"):
        monkeypatch.setattr(f"infrastructure.personal_data.{module}.LEASE", 0.1)


def letters(url):
    with psycopg.connect(url, autocommit=True) as admin:
        return contents(admin, LETTERS)


def query(url, sql, *values):
    with psycopg.connect(url, autocommit=True) as admin:
        cursor = admin.execute(sql, values)
        return cursor.fetchall() if cursor.description else None


def test_nothing_is_left_of_a_person_anywhere(database_url, redis_url, tmp_path, short_lease):
    sealer = Sealer(database_url, Signer(SECRET), tmp_path / "ledger")

    async def main():
        async with post(database_url, redis_url, tmp_path) as it:
            key = Idempotency.of("clerk", "POST /letters", "k", b"")
            mine = await it.write(ANN, BOB, FOX, idempotency=key)
            theirs = await it.write(CEM, BOB, "Nobody asked for this to go")
            acme = await it.write(ANN, BOB, FOX, tenant="acme")
            _leave_copies(database_url, mine)
            await caught_up(database_url)
            await seal_now(sealer)
            found = set(places_of(database_url, FOX[-9:]))
            assert {"log.answers", "jobs.procrastinate_jobs", "webhooks.attempts"} <= found
            before = query(
                database_url, "SELECT * FROM read.letters WHERE id = ANY (%s)", [theirs, acme]
            )
            receipt = await it.eraser.erase("demo", ANN, "dpo")
            await caught_up(database_url)
            after = query(
                database_url, "SELECT * FROM read.letters WHERE id = ANY (%s)", [theirs, acme]
            )
            assert after == before
            assert (await it.read(mine)).content.text == ERASED
            assert (await it.read(mine)).recipient == BOB
            assert (await it.read(acme)).sender == ANN
            await it.eraser.erase("acme", ANN, "dpo")
            await caught_up(database_url)
            again = await it.log.answered("demo", key.key, key.request)
            await seal_now(sealer)
            return receipt, again

    receipt, again = asyncio.run(main())
    assert again.answer.endswith(b'{"success":true,"erased":true}')
    kinds = ("answers", "snapshots", "webhook_answers", "jobs", "timers", "audit_notes")
    assert receipt["purged"] == dict.fromkeys(kinds, 1) | {"audit_notes": 2}
    assert places_of(database_url, ANN, "quick", "mütig", "m\\u00fctig") == []
    assert places_of(database_url, CEM) == ["read.letters"]
    verdict = verify(database_url, [sealer.signer.public])
    assert verdict.valid
    assert verdict.checked == receipt["position"] + 3  # its end, and the other erasure
    with redis.Redis.from_url(redis_url) as client:
        for name in client.scan_iter():
            assert b"ann" not in name + (client.dump(name) or b"")
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or ANN.encode() not in file.read_bytes()


def _leave_copies(url, stream):
    """Copies where some might be, as the worst of programs would leave them."""
    text = json.dumps({"tenant": "demo", "text": FOX}, ensure_ascii=False)
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(
            "INSERT INTO jobs.procrastinate_jobs (queue_name, task_name, args)"
            " VALUES ('default', 'x', %s)",
            [text],
        )
        admin.execute(
            "INSERT INTO work.timers (due, name, arguments) VALUES ('2040-01-01', 'x', %s)", [text]
        )
        admin.execute(
            "INSERT INTO log.snapshots (stream_id, version, tenant, shape, state)"
            " VALUES (%s, 1, 'demo', '', %s)",
            (stream, FOX.encode()),
        )
        admin.execute(
            "INSERT INTO webhooks.deliveries (id, tenant, endpoint_id, stream_id, position, name,"
            " status, created_at) VALUES (%(id)s, 'demo', %(id)s, %(id)s, 1, 'x', 'failed', now())",
            {"id": stream},
        )
        admin.execute(
            "INSERT INTO webhooks.attempts (delivery_id, at, milliseconds, answer)"
            " VALUES (%s, now(), 1, %s)",
            (stream, FOX.encode()),
        )
        admin.execute(
            "INSERT INTO audit.origins (tenant, actor, request_id, at, address)"
            " VALUES ('demo', %s, 'r', now(), '192.0.2.1')",
            [ANN],
        )
        _refuse(admin, ANN)


def _refuse(admin, actor, tenant="demo"):
    admin.execute(
        "INSERT INTO audit.refusals (at, tenant, actor, endpoint, method, status, reason, address,"
        " request_id) VALUES (now(), %s, %s, 'x', 'GET', 403, 'forbidden', '192.0.2.1', 'r')",
        (tenant, actor),
    )


def test_a_user_of_whom_only_the_audit_knows_is_erased_from_it(
    database_url, redis_url, tmp_path, short_lease
):
    with psycopg.connect(database_url) as admin:
        for actor, tenant in ((ANN, "demo"), (ANN, "acme"), (BOB, "demo")):
            _refuse(admin, actor, tenant)

    async def main():
        async with post(database_url, redis_url, tmp_path) as it:
            receipt = await it.eraser.erase("demo", ANN, "dpo")
            assert (receipt["purged"]["audit_notes"], receipt["events"]) == (1, 0)
            assert await it.eraser.erase("demo", ANN, "dpo") == receipt

    asyncio.run(main())
    left = query(database_url, "SELECT tenant, actor FROM audit.refusals ORDER BY 1")
    assert left == [("acme", ANN), ("demo", BOB)]


def test_tables_built_anew_are_those_in_use(database_url, redis_url, tmp_path, short_lease):
    async def main():
        async with post(database_url, redis_url, tmp_path) as it:
            people = [ANN, BOB, CEM]
            for n in range(24):
                await it.write(people[n % 3], people[n % 2], f"text {n}")
            await it.eraser.erase("demo", ANN, "dpo")
            await it.write(ANN, BOB, "back again")
            await it.eraser.erase("demo", BOB, "dpo")
            await it.eraser.erase("demo", ANN, "dpo")
            for n in range(6):
                await it.write(people[n % 3], people[n % 2], f"later {n}")
            await caught_up(database_url)
            live = letters(database_url)
            for processes in (1, 2):
                await rebuild(database_url, Letters(), processes=processes)
                assert letters(database_url) == live

    asyncio.run(main())
    texts = [text for (text,) in query(database_url, "SELECT text FROM read.letters ORDER BY id")]
    kept = [f"text {n}" for n in range(24) if n % 3 == 2]
    assert [t for t in texts if t != ERASED] == kept + [f"later {n}" for n in range(6)]


def test_a_rebuild_that_began_before_the_erasure_ends_without_the_person(
    database_url, redis_url, tmp_path, monkeypatch
):
    loaded, go_on = asyncio.Event(), asyncio.Event()
    catch_up = rebuilding.Build._catch_up

    async def wait_first(self, *args):
        loaded.set()
        await go_on.wait()
        return await catch_up(self, *args)

    async def main():
        async with post(database_url, redis_url, tmp_path) as it:
            await it.write(ANN, BOB, FOX)
            await caught_up(database_url)
            monkeypatch.setattr(rebuilding.Build, "_catch_up", wait_first)
            building = asyncio.create_task(rebuild(database_url, Letters()))
            await loaded.wait()
            erasing = asyncio.create_task(it.eraser.erase("demo", ANN, "dpo"))
            await asyncio.sleep(LEASE + 0.3)
            assert not erasing.done()
            assert len(places_of(database_url, ANN)) == 1  # the tables that are being built
            go_on.set()
            await building
            await erasing
            assert places_of(database_url, ANN) == []

    asyncio.run(main())


def test_what_a_killed_rebuild_left_goes_too(database_url, redis_url, tmp_path, short_lease):
    schema = f"read_build_{uuid4().hex}"

    async def main():
        async with post(database_url, redis_url, tmp_path) as it:
            await it.write(ANN, BOB, FOX)
            await caught_up(database_url)
            query(database_url, f"SELECT read.open_build('{schema}')")
            query(database_url, f"CREATE TABLE {schema}.letters AS SELECT '{ANN}' AS sender")
            query(database_url, f"ALTER TABLE {schema}.letters OWNER TO tidings_projector")
            query(
                database_url,
                "INSERT INTO read.builds (model, schema, version, phase)"
                " VALUES ('letters', %s, 1, 'folding')",
                schema,
            )
            await it.eraser.erase("demo", ANN, "dpo")

    asyncio.run(main())
    assert places_of(database_url, ANN) == []


def test_no_process_reads_a_person_for_long(database_url, redis_url, tmp_path):
    """The bound: two seconds after the key was destroyed."""

    async def main():
        async with post(database_url, redis_url, tmp_path) as it:
            id = await it.write(ANN, BOB, FOX)
            other = subprocess.Popen(
                [sys.executable, "-m", "tests.compliance.reader", database_url, str(id)],
                stdout=subprocess.PIPE,
                cwd=Path(__file__).parents[2],
            )
            try:
                first = await asyncio.to_thread(other.stdout.readline)
                assert json.loads(first)["sender"] == ANN
                await it.eraser.erase("demo", ANN, "dpo")
                there = json.loads(await asyncio.to_thread(other.stdout.readline))
                assert there["sender"] == ERASED
                ((destroyed,),) = query(
                    database_url, "SELECT extract(epoch FROM erased_at)::float8 FROM vault.erasures"
                )
                assert there["at"] - destroyed < 2
            finally:
                other.kill()
                other.wait()

    asyncio.run(main())


def test_what_was_decided_before_and_stored_after_reads_as_erased(
    database_url, redis_url, tmp_path, short_lease
):
    async def main():
        async with post(database_url, redis_url, tmp_path) as it:
            await it.write(ANN, BOB, FOX)
            with somebody():
                events = Letter(ANN, CEM, Content("late", FOX)).collect_events()
            keys = await it.log.persons.keys_of(events)
            await it.eraser.erase("demo", ANN, "dpo")
            await it.log.committer.submit(Decision("demo", events), keys)
            await caught_up(database_url)
            live = letters(database_url)
            await rebuild(database_url, Letters())
            assert letters(database_url) == live

    asyncio.run(main())
    assert places_of(database_url, ANN, FOX) == []


@pytest.mark.parametrize("by", ["the job", "the operator"])
def test_an_erasure_whose_process_died_is_taken_up(
    database_url, redis_url, tmp_path, short_lease, by
):
    async def main():
        async with post(database_url, redis_url, tmp_path) as it:
            await it.write(ANN, BOB, FOX)
            await caught_up(database_url)
            traces = await it.eraser._begin("demo", ANN, "dpo")  # and here it dies
            (job,) = query(database_url, "SELECT name, arguments FROM work.timers")
            arguments = {"tenant": "demo", "person": str(traces.person)}
            assert job == ("compliance.finish_erasure", arguments)
            assert await it.eraser.receipt("demo", traces.person) is None
            if by == "the job":
                assert list(await it.eraser.finish(**job[1])) == []
            receipt = await it.eraser.erase("demo", ANN, "dpo")
            assert await it.eraser.receipt("demo", traces.person) == receipt
            assert list(await it.eraser.finish(**job[1])) == []
            with pytest.raises(NotFound):
                await it.eraser.receipt("acme", traces.person)

    asyncio.run(main())
    assert places_of(database_url, ANN, FOX) == []
    topics = query(database_url, "SELECT topic FROM log.events WHERE topic ~ '^compliance'")
    assert topics == [("compliance.erasure.begun",), ("compliance.erasure.completed",)]


def test_a_stopped_read_model_keeps_an_erasure_open(database_url, redis_url, tmp_path, short_lease):
    async def main():
        async with post(database_url, redis_url, tmp_path, projecting=False) as it:
            async with projector(database_url):
                await it.write(ANN, BOB, FOX)
                await caught_up(database_url)
            query(database_url, "UPDATE read.models SET state = 'failed'")
            with pytest.raises(Unavailable, match="letters has stopped"):
                await it.eraser.erase("demo", ANN, "dpo")
            ((id,),) = query(database_url, "SELECT id FROM vault.erasures")
            (again,) = await it.eraser.finish("demo", str(id))
            assert again.arguments == {"tenant": "demo", "person": str(id)}
            async with projector(database_url):  # a new process gives it another chance
                await it.eraser.finish("demo", str(id))
            assert await it.eraser.receipt("demo", id) is not None

    asyncio.run(main())
    assert places_of(database_url, ANN, FOX) == []


def test_nobody_is_not_erased(database_url, redis_url, tmp_path):
    async def main():
        async with post(database_url, redis_url, tmp_path) as it:
            await it.write(ANN, BOB, FOX)
            for tenant, subject in (("demo", "nobody"), ("acme", ANN), ("demo", ANN.upper())):
                with pytest.raises(NotFound, match="No personal data"):
                    await it.eraser.erase(tenant, subject, "dpo")

    asyncio.run(main())
    assert query(database_url, "SELECT count(*) FROM vault.erasures") == [(0,)]


def test_a_receipt_proves_itself():
    signer = ReceiptSigner(SECRET)
    receipt = signer.sign({"erasure_id": "1", "purged": {"jobs": 1}})
    check(receipt, [signer.public])
    check(json.loads(json.dumps(receipt)), [ReceiptSigner("other").public, signer.public])
    for bad, why in (
        ({**receipt, "erasure_id": "2"}, "does not hold"),
        (ReceiptSigner("other").sign({"erasure_id": "1"}), "not known"),
        ({"erasure_id": "1"}, "not a receipt"),
        ({**receipt, "signature": 5}, "not a receipt"),
    ):
        with pytest.raises(NotGenuine, match=why):
            check(bad, [signer.public])


def test_over_the_api(database_url, redis_url, tmp_path):
    path = "/api/v1/audit/erasures"
    hello = {"content": "Hello", "platforms": ["twitter"], "scheduled_for": "2040-01-01T00:00:00Z"}
    with (
        running(database_url, redis_url, tmp_path) as site,
        site.client() as ann,
        site.client(role="developer") as dev,
    ):
        made = ann.post("/api/v1/social/posts", json=hello)
        id = UUID(made.json()["post_id"].removeprefix("post_"))
        asyncio.run(_comment(site, id))
        detail = f"/api/v1/social/posts/post_{id.hex}?include_comments=true"
        seen = eventually(lambda: ann.get(detail).json()["comments_preview"])
        assert {c["author"] for c in seen} == {"Amira Unique", "Bo"}
        history = f"/api/v1/audit/aggregates/{Engagement.create_id(id)}/history"
        assert "Amira Unique" in ann.get(history).text
        subject = {"subject": "twitter:Amira Unique"}
        assert dev.post(path, json=subject).status_code == 403
        assert ann.post(path, json={"subject": "nobody"}).status_code == 404
        assert ann.post(path, json={"subject": ""}).status_code == 422
        began = time.monotonic()
        done = ann.post(path, json=subject)
        assert (done.status_code, done.json()["status"]) == (200, "completed")
        assert time.monotonic() - began < 5
        check(done.json()["receipt"], [ReceiptSigner(site.settings.encryption_key).public])
        assert ann.get(f"{path}/{done.json()['erasure_id']}").json() == done.json()
        for look in (detail, history, "/api/v1/audit/log", "/api/v1/social/analytics", path):
            assert "Amira" not in ann.get(look).text
        left = ann.get(detail).json()["comments_preview"]
        assert sorted((c["author"], c["text"]) for c in left) == [("Bo", "Fine."), (ERASED, ERASED)]
        with redis.Redis.from_url(redis_url) as client:
            assert not [n for n in client.scan_iter() if b"Amira" in n + (client.dump(n) or b"")]
    assert places_of(database_url, "Amira", "Not again, please") == []
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"Amira" not in file.read_bytes()


async def _comment(site, post_id):
    class Receive:
        def handle(self):
            engagement = Engagement(post_id)
            said = [("1", "Amira Unique", "Not again, please"), ("2", "Bo", "Fine.")]
            comments = [Comment(n, author, text, NOW, 0.0) for n, author, text in said]
            engagement.receive(Network.TWITTER, comments)
            return engagement

    async with open_log(site.settings, "test") as log:
        assert await log.load(Post, post_id)
        await Desk(log, "demo", "tidings:engagement", "r").create(Receive(), lambda _: NO_ANSWER)
