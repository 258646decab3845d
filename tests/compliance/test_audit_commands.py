"""`tidings audit`, as it is called."""

import csv
import io
import json
import sys

import psycopg
import pytest

from api.cli import main
from application.compliance.trail import COLUMNS
from infrastructure.ledger.checkpoints import public_key
from infrastructure.ledger.verification import verify
from tests.compliance import rfc6962
from tests.compliance.test_trail import validator
from tests.site import running

POSTS = "/api/v1/social/posts"
SECRETS = {
    "JWT_SECRET_KEY": "a secret of the tests that is long enough",
    "ENCRYPTION_KEY": "another secret of the tests, also long",
}


@pytest.fixture(scope="module")
def place(create_database, template, valkey_server, tmp_path_factory):
    """A database where something has happened, and the data directory that goes with it."""
    directory = tmp_path_factory.mktemp("commands")
    url = create_database(template)
    with (
        running(url, valkey_server, directory, background=False) as site,
        site.client() as ann,
        site.client("read_only", user="=eve") as eve,
    ):
        for text in ("Hello", "Hello again"):
            body = {"content": text, "platforms": ["twitter"]}
            body["scheduled_for"] = "2040-01-01T00:00:00Z"
            assert ann.post(POSTS, json=body).status_code == 200
        assert eve.post(POSTS, json={}).status_code == 403
        assert ann.get(POSTS + "/x", headers={"Authorization": ""}).status_code == 401
    return url, valkey_server, directory


@pytest.fixture
def tidings(place, monkeypatch, capsys):
    url, redis, directory = place
    environment = {"DATABASE_URL": url, "REDIS_URL": redis, **SECRETS}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    # The streams of a test end with it: logging must not be set up to write to them for ever.
    monkeypatch.setattr("api.logging.configure", lambda *_: None)

    def call(*arguments, status=0):
        monkeypatch.setattr(sys, "argv", ["tidings", "--data-dir", str(directory), *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert (end.value.code or 0) == status, said.err
        if status == 1:
            assert said.err.startswith("tidings: ") and said.err.count("\n") == 1
        return said.out if status == 0 else said.err

    return call


def test_a_checkpoint_is_made_kept_and_verified(tidings, place, tmp_path):
    note = tidings("audit", "checkpoint")
    (key,) = tidings("audit", "key").split()
    assert public_key(key)
    _, size, _ = rfc6962.open_note(note, key)
    kept = tmp_path / "kept"
    kept.write_text(note)
    said = tidings("audit", "verify", "--checkpoint", str(kept))
    assert said == f"The ledger holds: {size} events checked.\n"
    with psycopg.connect(place[0], autocommit=True) as intruder:
        change = "UPDATE log.events SET version = %s WHERE position = 3"
        intruder.execute(change, [9])
        said = tidings("audit", "verify", "--checkpoint", str(kept), status=1)
        assert "does not hold at position 3:" in said
        intruder.execute(change, [1])
    kept.write_text(note.replace(f"\n{size}\n", f"\n{size + 1}\n"))
    assert "cannot be used" in tidings("audit", "verify", "--checkpoint", str(kept), status=1)
    missing = str(tmp_path / "missing")
    assert missing in tidings("audit", "verify", "--checkpoint", missing, status=1)


def test_a_verification_that_did_not_end_is_no_verdict(tidings, monkeypatch):
    monkeypatch.setitem(verify.__kwdefaults__, "processes", 2)
    monkeypatch.setitem(verify.__kwdefaults__, "piece", 1)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert "Nothing is known" in tidings("audit", "verify", status=1)


def test_seals_cut_off_with_their_rows_are_found_by_the_head_kept_on_this_machine(
    create_database, template, valkey_server, tmp_path, monkeypatch, capsys
):
    from tests.compliance.ledger import Ledger

    ledger = Ledger(create_database(template), tmp_path / "ledger", SECRETS["ENCRYPTION_KEY"])
    ledger.log(6)
    ledger.seal()
    ledger.log(6)
    ledger.seal()
    with ledger.intruder() as intruder:
        intruder.execute("DELETE FROM log.events WHERE position > 6")
        intruder.execute("DELETE FROM ledger.seals WHERE size > 6")
    environment = {"DATABASE_URL": ledger.url, "REDIS_URL": valkey_server, **SECRETS}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("api.logging.configure", lambda *_: None)
    for command in ("verify", "checkpoint"):
        monkeypatch.setattr(sys, "argv", ["tidings", "--data-dir", str(tmp_path), "audit", command])
        with pytest.raises(SystemExit, match="1"):
            main()
        assert "7" in capsys.readouterr().err or command == "checkpoint"


def test_the_trail_is_exported_as_json_lines(tidings):
    entries = [json.loads(line) for line in tidings("audit", "export").splitlines()]
    assert all(tuple(entry) == COLUMNS for entry in entries)
    assert [entry["outcome"] for entry in entries] == ["success"] * 4 + ["refused"] * 2
    assert entries[0]["address"] == "127.0.0.1"
    assert entries[0]["resource_kind"] == "social.post"
    assert entries == sorted(entries, key=lambda entry: entry["at"])
    ours = tidings("audit", "export", "--tenant", "demo").splitlines()
    assert len(ours) == 5  # the request without a token is nobody's
    assert tidings("audit", "export", "--tenant", "acme") == ""
    since = entries[4]["at"]
    assert len(tidings("audit", "export", "--since", since).splitlines()) == 2
    assert len(tidings("audit", "export", "--until", since).splitlines()) == 4


def test_the_trail_is_exported_as_csv(tidings):
    header, *rows = csv.reader(io.StringIO(tidings("audit", "export", "--format", "csv")))
    assert tuple(header) == COLUMNS
    assert [row[COLUMNS.index("actor")] for row in rows] == ["ann"] * 4 + ["'=eve", ""]


def test_the_trail_is_exported_as_ocsf(tidings):
    events = [
        json.loads(each) for each in tidings("audit", "export", "--format", "ocsf").splitlines()
    ]
    assert [event["class_uid"] for event in events] == [6003] * 5 + [3002]
    for event in events:
        validator(event["class_uid"]).validate(event)


def test_rules_are_tried_on_the_past(tidings, place):
    assert tidings("audit", "dry-run", "--rule", "screens") == ""
    assert tidings("audit", "dry-run", "--rule", "networks") == ""
    limit = ("--rule", "limits", "--limit", "social.posts.create=1/hour")
    (line,) = tidings("audit", "dry-run", *limit).splitlines()
    difference = json.loads(line)
    assert (difference["position"], difference["actor"]) == (3, "ann")
    assert (difference["then"], difference["now"]) == ("accepted", "refused: more than 1 in 3600 s")
    assert tidings("audit", "dry-run", *limit, "--tenant", "acme") == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("dry-run", "--rule", "limits"),
        ("dry-run", "--rule", "screens", "--limit", "social.posts.create=1/hour"),
        ("dry-run", "--rule", "limits", "--limit", "nothing=1/hour"),
        ("dry-run", "--rule", "limits", "--limit", "social.posts.create=many"),
        ("export", "--format", "xml"),
    ],
)
def test_wrong_usage_is_told(tidings, arguments):
    tidings("audit", *arguments, status=2)


def test_an_instant_that_is_none_is_refused(tidings):
    assert "soon" in tidings("audit", "export", "--since", "soon", status=1)


def test_an_aggregate_is_printed_as_it_was(tidings, place):
    with psycopg.connect(place[0]) as connection:
        (stream,) = connection.execute(
            "SELECT stream_id FROM log.events ORDER BY position LIMIT 1"
        ).fetchone()
    now = json.loads(tidings("state", f"post_{stream.hex}"))
    then = json.loads(tidings("state", str(stream), "--version", "1"))
    assert (now["kind"], now["status"], then["status"]) == ("social.post", "scheduled", "draft")
