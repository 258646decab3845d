"""Signatures that others accept, and secrets that nobody reads."""

import asyncio
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from infrastructure import database
from infrastructure.webhooks.lanes import Signing
from infrastructure.webhooks.messages import delivery_id, message_id, position_of
from infrastructure.webhooks.signing import Sealed, Secret, Vault, signature

ONE = Secret.from_bytes(bytes(range(64)))
TWO = Secret.from_bytes(bytes(range(1, 65)))
ID = UUID(int=7)
BODY = b'{"test": 2432232314}'


def now() -> int:
    return int(datetime.now(UTC).timestamp())


def headers(at: int, signed: str, id: str = "msg_1") -> dict[str, str]:
    return {"webhook-id": id, "webhook-timestamp": str(at), "webhook-signature": signed}


def test_the_signature_is_that_of_the_independent_package() -> None:
    at = now()
    theirs = Verifier(ONE.text).sign("msg_1", datetime.fromtimestamp(at, UTC), BODY.decode())
    assert signature([ONE], False, "msg_1", at, BODY) == theirs


@given(body=st.text().map(str.encode), asymmetric=st.booleans())
def test_every_body_is_accepted(body: bytes, asymmetric: bool) -> None:
    at = now()
    signed = signature([ONE], asymmetric, "msg_1", at, body)
    Verifier(ONE.text).verify(body, headers(at, signed), json_parse=False)


def test_with_two_secrets_either_is_accepted_and_no_third() -> None:
    at = now()
    signed = headers(at, signature([ONE, TWO], True, "msg_1", at, BODY))
    Verifier(ONE.text).verify(BODY, signed)
    Verifier(TWO.text).verify(BODY, signed)
    with pytest.raises(WebhookVerificationError):
        Verifier(Secret.from_bytes(bytes(64)).text).verify(BODY, signed)


def test_the_asymmetric_signature_is_of_the_same_content() -> None:
    assert ONE.public_key.startswith("whpk_")
    key = Ed25519PublicKey.from_public_bytes(b64decode(ONE.public_key.removeprefix("whpk_")))
    v1, v1a = signature([ONE], True, "msg_1", 1772452800, BODY).split(" ")
    assert v1.startswith("v1,")
    assert v1a.startswith("v1a,")
    key.verify(b64decode(v1a.removeprefix("v1a,")), b"msg_1.1772452800." + BODY)


def test_a_secret_is_long_enough_and_says_what_it_is() -> None:
    assert ONE.text.startswith("whsec_")
    assert len(b64decode(ONE.text.removeprefix("whsec_"))) == 32


def test_a_lapsed_secret_signs_no_more() -> None:
    at = datetime.now(UTC)
    signing = Signing([(ONE, None), (TWO, at + timedelta(hours=1))], asymmetric=False)

    def signatures(when: datetime) -> int:
        return signing.headers("msg_1", when, BODY).count(b"v1,")

    assert signatures(at) == 2
    assert signatures(at + timedelta(hours=1, seconds=1)) == 1


def test_ids_are_stable_and_hold_no_full_stop() -> None:
    assert message_id(4711, "social.post.created") == message_id(4711, "social.post.created")
    assert message_id(4711, "social.post.created") != message_id(4711, "social.post.failed")
    assert "." not in message_id(4711, "social.post.created")
    assert position_of(delivery_id(4711, ID, "social.post.created")) == 4711
    assert delivery_id(1, ID, "z") < delivery_id(2, ID, "a")


def test_secrets_are_kept_sealed_for_one_tenant_and_one_key(database_url: str) -> None:
    async def go() -> None:
        vault = Vault("a key")
        async with database.pool(database_url, "test") as pool, pool.connection() as connection:
            id, secret = await vault.keep_secret(connection, "demo")
            at = await vault.keep_headers(connection, "demo", {"authorization": "Bearer abc"})
            cursor = await connection.execute("SELECT id, sealed FROM webhooks.secrets")
            kept = dict(await cursor.fetchall())
        assert vault.secret("demo", id, kept[id]).text == secret.text
        assert vault.headers("demo", at, kept[at]) == {"authorization": "Bearer abc"}
        assert secret.symmetric not in kept[id]
        assert b"Bearer" not in kept[at]
        for other, tenant, place in ((vault, "other", id), (Vault("b key"), "demo", id)):
            with pytest.raises(Sealed, match="was sealed with another key"):
                other.secret(tenant, place, kept[place])
        with pytest.raises(Sealed):
            vault.headers("demo", at, kept[id])

    asyncio.run(go())
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM log.events").fetchone() == (0,)


def test_a_secret_does_not_show_itself() -> None:
    assert "symmetric" not in repr(ONE)
