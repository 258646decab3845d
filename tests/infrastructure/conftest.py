"""What several tests of this folder stand on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infrastructure.embedded import EmbeddedValkey


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A server of one test's own, to be killed, stopped and emptied."""
    server = EmbeddedValkey(tmp_path / "valkey")
    server.start()
    yield server
    server.process.kill()
    server.process.wait()
    server.stop()
