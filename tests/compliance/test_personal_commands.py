"""`tidings erase` and `tidings keys rotate`, as processes of their own."""

import asyncio
import os
import subprocess
from uuid import uuid4

import orjson
import psycopg
import pytest
from uuid_utils.compat import uuid7

from application.kernel import NO_ANSWER, Desk
from domain.personal import ERASED
from domain.social.engagement import Comment, Engagement
from domain.social.networks import Network
from infrastructure import database
from infrastructure.personal_data.keyring import Keyring
from infrastructure.personal_data.receipts import ReceiptSigner, check
from infrastructure.webhooks.signing import Vault
from tests.commands import TIDINGS, tidings
from tests.compliance.people import SECRET, places_of, post
from tests.rooms import NOW
from tests.site import eventually

OLD, NEW = SECRET, "a new secret of the tests, long enough"
AMIRA, TEXT = "Amira Unique", "Not again, please"


@pytest.fixture
def call(database_url, redis_url, tmp_path):
    """Runs a command; refusals have to be one line without anything personal or secret in it."""

    def call(*arguments, status=0, **environment):
        environment = {"DATABASE_URL": database_url, "REDIS_URL": redis_url} | environment
        done = tidings("--data-dir", tmp_path, *arguments, **environment)
        assert done.returncode == status, done.stderr
        if status:
            assert done.stdout == ""
            assert done.stderr.startswith("tidings: ")
            assert done.stderr.count("\n") == 1
            assert not {part for part in (AMIRA, OLD, NEW) if part in done.stderr}
        return done.stderr if status else done.stdout

    return call


@pytest.fixture
def commented(database_url, redis_url, tmp_path):
    """A stream with comments of two persons, kept under the key `OLD`."""

    class Receive:
        def handle(self):
            engagement = Engagement(uuid4())
            said = [("1", AMIRA, TEXT), ("2", "Bo", "Fine.")]
            comments = [Comment(n, author, text, NOW, 0.0) for n, author, text in said]
            engagement.receive(Network.TWITTER, comments)
            return engagement

    async def main():
        async with post(database_url, redis_url, tmp_path, projecting=False) as it:
            desk = Desk(it.log, "demo", "tidings:engagement", "r", follows=False)
            return (await desk.create(Receive(), lambda _: NO_ANSWER)).id

    return asyncio.run(main())


def query(url, sql, *values):
    with psycopg.connect(url, autocommit=True) as admin:
        cursor = admin.execute(sql, values)
        return cursor.fetchall() if cursor.description else []


def shown(call, stream, **environment):
    """The comments of a stream, as an operator sees them."""
    lines = call("replay", "--stream", stream, "--reveal", **environment).splitlines()
    states = [orjson.loads(line)["state"] for line in lines]
    return {(s["comment"]["author"], s["comment"]["text"]) for s in states if "comment" in s}


def test_a_person_is_erased_and_nobody_else(call, commented, database_url):
    key = {"ENCRYPTION_KEY": OLD}
    receipt = orjson.loads(call("erase", f"twitter:{AMIRA}", **key))
    check(receipt, [ReceiptSigner(OLD).public])
    assert receipt["tenant"] == "demo"
    assert receipt["events"] == 1
    assert AMIRA not in str(receipt)
    assert shown(call, commented, **key) == {(ERASED, ERASED), ("Bo", "Fine.")}
    assert places_of(database_url, AMIRA, TEXT) == []


def test_who_is_unknown_is_not_erased(call, commented, database_url):
    key = {"ENCRYPTION_KEY": OLD}
    for arguments in (["twitter:nobody"], [f"twitter:{AMIRA}", "--tenant", "acme"]):
        said = call("erase", *arguments, status=1, **key)
        assert "No personal data" in said
    assert query(database_url, "SELECT count(*) FROM vault.erasures") == [(0,)]
    assert query(database_url, "SELECT count(*) FROM vault.keys") == [(2,)]


def test_with_another_key_nobody_is_erased_and_nothing_wrapped(call, commented, database_url):
    kept = query(database_url, "SELECT * FROM vault.keys ORDER BY id")
    for arguments in (["erase", f"twitter:{AMIRA}"], ["keys", "rotate"]):
        said = call(*arguments, status=1, ENCRYPTION_KEY=NEW, ENCRYPTION_KEYS="a wrong one")
        assert "ENCRYPTION_KEY does not open the personal data" in said
    assert query(database_url, "SELECT * FROM vault.keys ORDER BY id") == kept


def _many_persons(url, number):
    """As many persons with keys; the ids in the order in which keys are wrapped anew."""
    ring, ids = Keyring(OLD), [uuid7() for _ in range(number)]
    with psycopg.connect(url) as admin, admin.cursor() as cursor:
        columns = "id, tenant, subject, wrapping, wrapped"
        with cursor.copy(f"COPY vault.keys ({columns}) FROM STDIN") as copy:
            for id in ids:
                wrapped = ring.wrap("demo", id, os.urandom(32))
                copy.write_row((id, "demo", id.bytes * 2, ring.vault.key_id, wrapped))
    return ids


def test_a_change_of_key_that_was_killed_is_taken_up_where_it_was(
    call, commented, database_url, redis_url, tmp_path
):
    last = _many_persons(database_url, 2500)[-1]
    both = {"ENCRYPTION_KEY": NEW, "ENCRYPTION_KEYS": f"an even older one, {OLD}"}
    under = "SELECT count(*) FROM vault.keys WHERE wrapping = %s"
    new = Keyring(NEW).vault.key_id
    with psycopg.connect(database_url) as other:
        other.execute("SELECT FROM vault.keys WHERE id = %s FOR UPDATE", [last])
        here = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
        rotating = subprocess.Popen(
            [TIDINGS, "--data-dir", tmp_path, "keys", "rotate"],
            env=os.environ | here | both,
            stdout=subprocess.PIPE,
        )
        try:
            eventually(lambda: query(database_url, under, new) == [(2000,)], within=30)
        finally:
            rotating.kill()
            assert rotating.communicate()[0] == b""

    said = call("keys", "rotate", status=1, ENCRYPTION_KEY=NEW)
    assert "ENCRYPTION_KEY does not open the personal data" in said
    assert call("keys", "rotate", **both).startswith("Wrapped anew: 0 lookup hashes, 502 persons,")
    assert query(database_url, under, new) == [(2502,)]
    assert shown(call, commented, ENCRYPTION_KEY=NEW) == {(AMIRA, TEXT), ("Bo", "Fine.")}


def _webhook_secret(url, key):
    """A webhook's secret as it was kept with this key, and where."""

    async def keep():
        async with database.pool(url, "test") as pool, pool.connection() as connection:
            return await Vault(key).keep_secret(connection, "demo")

    return asyncio.run(keep())


def test_webhook_secrets_have_a_key_of_their_own_which_can_be_changed(call, database_url):
    id, secret = _webhook_secret(database_url, OLD)

    def opens(key):
        ((sealed,),) = query(database_url, "SELECT sealed FROM webhooks.secrets WHERE id = %s", id)
        return Vault(key).secret("demo", id, sealed).text == secret.text

    said = call("keys", "rotate", status=1, ENCRYPTION_KEY=NEW)
    assert "Neither WEBHOOK_SECRET_KEY nor ENCRYPTION_KEY opens the webhook secrets" in said
    own = {"ENCRYPTION_KEY": OLD, "WEBHOOK_SECRET_KEY": "one of their own"}
    assert call("keys", "rotate", **own).endswith(" 1 webhook secrets.\n")
    newer = {"WEBHOOK_SECRET_KEY": "a newer one", "WEBHOOK_SECRET_KEYS": "one of their own"}
    assert call("keys", "rotate", ENCRYPTION_KEY=OLD, **newer).endswith(" 1 webhook secrets.\n")
    assert call("keys", "rotate", ENCRYPTION_KEY=NEW, **newer).endswith(" 0 webhook secrets.\n")
    assert opens("a newer one")
    said = call("keys", "rotate", status=1, ENCRYPTION_KEY=OLD, WEBHOOK_SECRET_KEYS="a newer one")
    assert "WEBHOOK_SECRET_KEYS needs a present WEBHOOK_SECRET_KEY" in said
