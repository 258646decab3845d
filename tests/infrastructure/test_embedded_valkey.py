"""The embedded Valkey."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from infrastructure.embedded import (
    EmbeddedServerError,
    EmbeddedValkey,
)
from tests.infrastructure.embedded_rooms import assert_nothing_runs, line_of, python


@pytest.fixture
def valkey(place: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(place / "valkey")
    server.start()
    yield server
    server.stop()


def test_valkey_listens_on_its_socket_alone_and_is_bounded(valkey: EmbeddedValkey) -> None:
    with redis.Redis.from_url(valkey.url(), decode_responses=True) as client:
        assert client.set("a", "b") and client.get("a") == "b"
        settings = client.config_get("*")
    assert settings["port"] == "0" and settings["save"] == "" and settings["appendonly"] == "no"
    assert int(settings["maxmemory"]) == 128 * 1024**2
    assert settings["maxmemory-policy"] == "allkeys-lru"


def test_valkey_starts_again_after_a_kill_and_is_found_by_others(valkey: EmbeddedValkey) -> None:
    assert valkey.process is not None
    valkey.process.kill()
    valkey.process.wait()
    assert not valkey.alive()
    valkey.start()
    other = EmbeddedValkey(valkey.directory)
    other.start()
    assert other.process is None and other.alive()
    other.stop()
    assert valkey.alive()


def test_valkey_ends_at_once_with_its_starter(place: Path) -> None:
    program = """
from infrastructure.embedded import EmbeddedValkey
EmbeddedValkey(Path(sys.argv[1])).start()
print("started", flush=True)
sys.stdin.read()
"""
    starter = python(program, place / "valkey")
    assert line_of(starter) == "started"
    starter.kill()
    starter.communicate()
    assert_nothing_runs(place)


def test_what_keeps_valkey_from_starting_is_told_in_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.embedded.valkey.MEMORY", "much")
    server = EmbeddedValkey(place)
    with pytest.raises(EmbeddedServerError) as refusal:
        server.start()
    assert str(refusal.value).startswith(f"Valkey in {place} did not start: ")
    assert "memory" in str(refusal.value) and "\n" not in str(refusal.value)
    assert server.process is None


def test_valkey_of_another_directory_is_not_taken_for_ours(valkey: EmbeddedValkey) -> None:
    other = EmbeddedValkey(valkey.directory.parent / "other")
    other.sockets.mkdir(parents=True)
    other.socket.symlink_to(valkey.socket)
    with pytest.raises(EmbeddedServerError, match=r"valkey\.sock is taken by another server"):
        other.start()
