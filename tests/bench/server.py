"""A server for benchmarks: the embedded one as it is shipped, durable, with nothing in it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from infrastructure.database import migrate
from infrastructure.embedded import EmbeddedPostgres

Databases = Callable[[str], str]
"""Name → URL of a new, empty database."""


@contextmanager
def server() -> Iterator[tuple[Databases, Path]]:
    """Databases on a server of its own, and a folder; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tidings-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        postgres = EmbeddedPostgres(folder / "postgres")
        postgres.start()

        def create(database: str) -> str:
            with psycopg.connect(postgres.url(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {database}".encode())
            return urlsplit(postgres.url())._replace(path=f"/{database}").geturl()

        try:
            yield create, folder
        finally:
            postgres.stop()


def migrated(url: str) -> str:
    """The same database, with the schema of this release."""
    migrate(url)
    return url
