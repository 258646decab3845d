"""What a connection decides, and what becomes of secrets; no network is asked here."""

import uuid
from datetime import timedelta

import pytest
from pydantic import ValidationError

from application.social.accounts import NotAccepted
from application.social.connecting import renew_at
from application.social.connections import (
    ConnectPlatform,
    DisconnectPlatform,
    NoteConnected,
    NoteExpired,
    NoteRefreshed,
    NoteRefused,
    NoteRequested,
    Opening,
    dated,
    expiry_of,
)
from application.social.policies import POLICIES
from domain.kernel import NotFound
from domain.social.connections import Connection, ConnectionStatus, DisconnectedBecause, Link
from domain.social.networks import Network
from infrastructure.networks.apps import apps_of
from infrastructure.secrets import CannotOpen, Sealed, SecretVault
from infrastructure.settings import UnusableSetting, load
from tests.kernel import NOW, at, given, heard, said, when

X = Network.TWITTER
FIRST, SECOND, THIRD = (uuid.UUID(int=n) for n in (1, 2, 3))
MONTH = NOW + timedelta(days=30)
BOTH = {"access_token": "token-1", "token_secret": "secret-1"}


def link(id, minutes=0, expires_at=None):
    at = NOW + timedelta(minutes=minutes)
    return Link(id, "twitter", ("read", "write"), None, at, expires_at)


def connected(id, account="42", minutes=0, expires_at=None):
    return NoteConnected(link(id, minutes, expires_at), account, "Shop")


def disconnected(id, because=DisconnectedBecause.ASKED, deleted=False, revoked=False):
    return said(
        Connection.Disconnected,
        network=X,
        connection_id=id,
        because=because,
        data_deleted=deleted,
        tokens_revoked=revoked,
    )


def kinds(events):
    return [event.kind for event in events]


def test_the_first_account_opens_the_stream():
    with at():
        events = heard(Opening(X, connected(FIRST)).handle())
    assert events == [
        said(Connection.Opened, network=X),
        said(
            Connection.Connected, network=X, link=link(FIRST), account_id="42", account_name="Shop"
        ),
    ]


def test_the_same_account_again_replaces_the_older_link():
    connection = given(Opening(X, connected(FIRST)), connected(SECOND, account="43"))
    events = when(connection, connected(THIRD, minutes=5))
    assert events[0] == disconnected(FIRST, DisconnectedBecause.REPLACED)
    assert kinds(events) == [Connection.Disconnected, Connection.Connected]
    assert set(connection.accounts) == {SECOND, THIRD}
    assert when(connection, connected(THIRD)) == []


def test_the_account_connected_last_speaks_unless_it_has_expired():
    connection = given(Opening(X, connected(FIRST)), connected(SECOND, "43", minutes=1))
    assert connection.current.account_id == "43"
    assert kinds(when(connection, NoteExpired(SECOND, "gone"))) == [Connection.Expired]
    assert connection.current.account_id == "42"
    assert when(connection, NoteExpired(SECOND, "gone")) == []
    assert kinds(when(connection, NoteExpired(FIRST, "gone"))) == [Connection.Expired]
    assert connection.current.status is ConnectionStatus.EXPIRED


def test_new_tokens_are_noted_once_and_revive_an_account():
    connection = given(Opening(X, connected(FIRST, expires_at=NOW)))
    news = NoteRefreshed(FIRST, MONTH)
    assert when(connection, news, news) == [
        said(Connection.Refreshed, network=X, connection_id=FIRST, expires_at=MONTH)
    ]
    assert when(connection, NoteRefreshed(SECOND, MONTH)) == []
    when(connection, NoteExpired(FIRST, "gone"), news)
    assert connection.current.status is ConnectionStatus.ACTIVE


def test_an_account_that_waits_is_confirmed_or_dropped():
    waiting = Opening(X, NoteRequested(link(FIRST), None))
    why = NotAccepted("reconnect", "Unauthorized")
    refusal = NoteRefused(FIRST, "twitter", None, why)
    confirmation = NoteConnected(link(FIRST), "42", "Shop", awaited=True)
    connection = given(waiting)
    assert connection.current.status is ConnectionStatus.PENDING
    assert kinds(when(connection, confirmation, confirmation)) == [Connection.Connected]
    assert when(connection, refusal) == []
    connection = given(waiting)
    assert kinds(when(connection, refusal)) == [Connection.Refused]
    assert connection.current is None
    assert when(connection, confirmation) == []


def test_a_refused_request_leaves_other_links_alone():
    connection = given(Opening(X, connected(FIRST)))
    no = NoteRefused(SECOND, "twitter", "42", NotAccepted("reconnect", "Unauthorized"))
    assert kinds(when(connection, no)) == [Connection.Refused]
    assert set(connection.accounts) == {FIRST}


def test_a_disconnect_cuts_every_account_and_can_erase():
    connection = given(Opening(X, connected(FIRST)), connected(SECOND, "43"))
    cut = DisconnectPlatform({FIRST: True}, delete_data=True)
    assert when(connection, cut) == [
        disconnected(FIRST, deleted=True, revoked=True),
        disconnected(SECOND, deleted=True),
        said(Connection.DataErased, network=X),
    ]
    with pytest.raises(NotFound):
        when(connection, cut)


def test_tokens_are_renewed_in_time():
    connected_at = NOW - timedelta(days=30)
    assert renew_at(connected_at, NOW + timedelta(days=30)) == NOW + timedelta(days=23)
    assert renew_at(NOW, NOW + timedelta(hours=1)) == NOW + timedelta(minutes=48)
    assert renew_at(NOW, NOW - timedelta(days=1)) == NOW - timedelta(days=1)
    with at():
        events = Opening(X, connected(FIRST, expires_at=MONTH)).handle().collect_events()
    job, *_ = POLICIES[Connection.Connected](events[1])
    assert (job.name, job.at) == ("social.renew_connection", MONTH - timedelta(days=6))
    assert job.arguments["connection_id"] == FIRST.hex


def test_the_end_of_tokens_is_read_in_both_forms():
    assert expiry_of({}, NOW) is None
    assert expiry_of({"expires_in": "60"}, NOW) == NOW + timedelta(minutes=1)
    assert expiry_of({"expires_at": "2030-01-31T14:00:00+02:00"}, NOW) == MONTH
    for bad in ({"expires_in": "soon"}, {"expires_at": "soon"}):
        with pytest.raises(ValueError, match="expires"):
            expiry_of(bad, NOW)
    assert dated({"access_token": "t", "expires_in": "60"}, MONTH) == {
        "access_token": "t",
        "expires_at": MONTH.isoformat(),
    }


@pytest.mark.parametrize(
    ("platform", "credentials", "word"),
    [
        ("twitter", {"access_token": "token-1"}, "token_secret"),
        ("twitter", {"token_secret": "secret-1"}, "access_token"),
        ("facebook", {}, "access_token"),
        ("facebook", {"access_token": ""}, "at least 1"),
        ("facebook", {"access_token": "a\r\nb"}, "printable"),
        ("facebook", {"access_token": "a b"}, "spaces"),
        ("facebook", {"access_token": "clé"}, "ASCII"),
        ("facebook", {"access_token": "x" * 8193}, "at most"),
        ("facebook", {"access_token": "t", "expires_in": "soon"}, "expires_in"),
        ("facebook", {f"n{n}": "t" for n in range(21)}, "at most"),
    ],
)
def test_credentials_that_cannot_be_are_refused_by_name(platform, credentials, word):
    with pytest.raises(ValidationError, match=word) as refused:
        ConnectPlatform(platform=platform, credentials=credentials)
    assert refused.value.errors()[0]["loc"][0] == "credentials"


def test_credentials_do_not_show():
    request = ConnectPlatform(platform="Twitter", credentials=BOTH)
    assert request.platform is X
    assert "token-1" not in repr(request)
    assert "secret-1" not in str(request)


def test_a_secret_opens_for_its_own_context_alone():
    vault = SecretVault("key", purpose="credentials")
    sealed = vault.seal(b"token-1", "acme", "twitter", "1")
    assert b"token-1" not in sealed.data
    assert vault.open(sealed, "acme", "twitter", "1") == b"token-1"
    assert vault.seal(b"token-1", "acme", "twitter", "1").data != sealed.data
    for other in (("acme", "twitter", "2"), ("acme2", "twitter", "1"), ("acmet", "witter", "1")):
        with pytest.raises(CannotOpen):
            vault.open(sealed, *other)
    for n in range(len(sealed.data)):
        broken = bytearray(sealed.data)
        broken[n] ^= 1
        with pytest.raises(CannotOpen):
            vault.open(Sealed(sealed.key_id, bytes(broken)), "acme", "twitter", "1")
    with pytest.raises(CannotOpen):
        vault.open(Sealed(sealed.key_id, b"short"), "acme", "twitter", "1")


def test_keys_are_changed_without_losing_what_older_ones_sealed():
    before = SecretVault("old key", purpose="credentials")
    after = SecretVault("new key", ("older key", "old key"), purpose="credentials")
    sealed = before.seal(b"token-1", "acme")
    assert after.open(sealed, "acme") == b"token-1"
    assert after.seal(b"token-1", "acme").key_id == after.key_id != before.key_id
    with pytest.raises(CannotOpen, match="ENCRYPTION_KEY"):
        before.open(after.seal(b"token-1", "acme"), "acme")
    with pytest.raises(CannotOpen):
        SecretVault("old key", purpose="another purpose").open(sealed, "acme")


def test_registration_comes_from_the_environment(tmp_path):
    assert not any(app.configured for app in apps_of({}).values())
    apps = apps_of({"TWITTER_API_KEY": "k", "TWITTER_API_SECRET": "s"})
    assert apps[X].configured
    assert apps[X].base_url == "https://api.x.com"
    assert "'s'" not in repr(apps[X])
    own = apps_of({"LINKEDIN_BASE_URL": "http://127.0.0.1:9/"})[Network.LINKEDIN]
    assert (own.configured, own.base_url, own.login_url) == (
        True, "http://127.0.0.1:9", "http://127.0.0.1:9")  # fmt: skip
    for environment, name in (
        ({"FACEBOOK_APP_ID": "x"}, "FACEBOOK_APP_SECRET"),
        ({"TIKTOK_CLIENT_SECRET": "x"}, "TIKTOK_CLIENT_KEY"),
        ({"PINTEREST_BASE_URL": "ftp://x"}, "PINTEREST_BASE_URL"),
        ({"PINTEREST_BASE_URL": "http://"}, "PINTEREST_BASE_URL"),
    ):
        with pytest.raises(UnusableSetting, match=name):
            load(environment, tmp_path, "postgresql://x", "redis://x")
