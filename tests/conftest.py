"""Real servers for the tests: one PostgreSQL and one Valkey for each test process.

TEST_DATABASE_URL and TEST_REDIS_URL take servers of your own instead. The role of the first has
to be allowed to create databases and roles; databases made there are dropped at the end. Of the
second, the database with the number of the test process (0 without pytest-xdist) is emptied again
and again.
"""

import gc
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from psycopg import sql

from infrastructure.embedded import EmbeddedPostgres, EmbeddedValkey
from infrastructure.embedded.directories import try_lock

SHARED_MEMORY = Path("/dev/shm")
ROOM = 4 * 1024**3
"""Bytes free that make shared memory the place: a database takes 8 MB and none is dropped."""

PREFIX = "tidings-tests-"

gc.set_threshold(50_000, 20, 20)  # as the service has it; by default a tenth of the time goes there


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are processors: tests wait for what they have begun."""
    return len(os.sched_getaffinity(0)) + 2


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end: the collector need not look at them again."""
    gc.freeze()


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """Where the servers of this test process have their data; removed at the end."""
    place = Path(tempfile.gettempdir())
    if os.access(SHARED_MEMORY, os.W_OK) and shutil.disk_usage(SHARED_MEMORY).free > ROOM:
        place = SHARED_MEMORY
    _remove_abandoned(place)
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    directory.chmod(0o711)  # root's servers run as another user
    with (directory / "session.lock").open("w") as session:
        try_lock(session.fileno())
        yield directory
        shutil.rmtree(directory)


def _remove_abandoned(place: Path) -> None:
    """What killed sessions left: in shared memory it would take memory until the next boot."""
    for lock in place.glob(f"{PREFIX}*/session.lock"):
        if os.access(lock, os.W_OK) and time.time() - lock.stat().st_mtime > 60:
            with lock.open("a") as session:
                if try_lock(session.fileno()):
                    shutil.rmtree(lock.parent, ignore_errors=True)


def _changed(url: str, **parts: str) -> str:
    """The URL with other parts; `geturl` would drop the slashes of one that names no host."""
    at = urlsplit(url)._replace(**parts)
    return f"{at.scheme}://{at.netloc}{at.path}" + (f"?{at.query}" if at.query else "")


@pytest.fixture(scope="session")
def postgres_server(server_directory: Path) -> Iterator[str]:
    """The URL of a database on the server that test databases are made on."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    server = EmbeddedPostgres(
        server_directory / "postgres", settings={"autovacuum": "off"}, durable=False
    )
    server.start()
    yield server.url()
    server.stop()


@pytest.fixture(scope="session")
def copy_cluster(server_directory: Path) -> Callable[[Path], None]:
    """Makes the data directory of a server that was stopped: quicker than a first start.

    It has a table `kept (n int unique)` in the database `tidings`.
    """
    original = EmbeddedPostgres(server_directory / "original", durable=False)
    original.start()
    with psycopg.connect(original.url()) as connection:
        connection.execute("CREATE TABLE kept (n int UNIQUE)")
    original.stop()
    owner = original.data.stat()

    def copy(directory: Path) -> None:
        shutil.copytree(original.data, directory / "data")
        for each in (directory / "data", *(directory / "data").rglob("*")):
            os.chown(each, owner.st_uid, owner.st_gid)

    return copy


@pytest.fixture(scope="session")
def create_database(postgres_server: str) -> Iterator[Callable[[str | None], str]]:
    """Makes a database from the named template (None: empty) and returns its URL.

    Dropping takes longer than making, so databases go with the server; only on a server of
    somebody else's they are dropped at the end.
    """
    made: list[str] = []
    with psycopg.connect(postgres_server, autocommit=True) as server:

        def create(template: str | None = None) -> str:
            name = f"test_{uuid.uuid4().hex}"
            server.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(name), sql.Identifier(template or "template0")
                )
            )
            made.append(name)
            return _changed(postgres_server, path=f"/{name}")

        yield create
        if os.environ.get("TEST_DATABASE_URL"):
            for name in made:
                drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
                server.execute(drop.format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def template(create_database: Callable[[str | None], str]) -> str:
    """The name of a database with the schema of this release, to make others from."""
    from infrastructure.database import migrate

    url = create_database(None)
    migrate(url)
    return urlsplit(url).path.removeprefix("/")


@pytest.fixture
def database_url(create_database: Callable[[str | None], str], template: str) -> str:
    """A database of this test alone, with the schema and nothing in it."""
    return create_database(template)


@pytest.fixture(scope="session")
def valkey_server(server_directory: Path) -> Iterator[str]:
    """The URL of a database of a Redis-protocol server that only this test process uses."""
    if given := os.environ.get("TEST_REDIS_URL"):
        number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
        is_socket = given.startswith("unix:")
        yield _changed(
            given, **({"query": f"db={number}"} if is_socket else {"path": f"/{number}"})
        )
        return
    server = EmbeddedValkey(server_directory / "valkey")
    server.start()
    yield server.url()
    server.stop()


@pytest.fixture
def redis_url(valkey_server: str) -> str:
    """The same, emptied."""
    with redis.Redis.from_url(valkey_server) as client:
        client.flushdb()
    return valkey_server
