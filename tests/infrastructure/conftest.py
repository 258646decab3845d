"""What several tests of this folder stand on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infrastructure.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.infrastructure.embedded_rooms import assert_nothing_runs, remove_sockets


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory with a space in its name, below which no server may be left running."""
    directory = tmp_path / "a place"
    directory.mkdir()
    yield directory
    assert_nothing_runs(directory)
    remove_sockets(directory)


@pytest.fixture
def postgres(place: Path, copy_cluster: Callable[[Path], None]) -> Iterator[EmbeddedPostgres]:
    """A durable server that is not yet started."""
    copy_cluster(place / "postgres")
    server = EmbeddedPostgres(place / "postgres")
    yield server
    server.stop()


@pytest.fixture
def home(place: Path, copy_cluster: Callable[[Path], None]) -> Path:
    """A data directory of which no server is running."""
    copy_cluster(place / "postgres")
    return place


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A server of one test's own, to be killed, stopped and emptied."""
    server = EmbeddedValkey(tmp_path / "valkey")
    server.start()
    yield server
    server.process.kill()
    server.process.wait()
    server.stop()
