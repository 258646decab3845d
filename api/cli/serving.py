"""`tidings serve` and `tidings work`."""

import gc
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.house import DataDir, Refused, make_data_dir, run, say, take_data_dir, usage_errors
from infrastructure.settings import Settings, environment, load, own_servers

if TYPE_CHECKING:
    from infrastructure.embedded import EmbeddedServers

BACKGROUND_NICE = 5
"""Background work yields to requests when both want the processor."""


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
    background: Annotated[
        bool, typer.Option("--background/--no-background", help="Do the background work too.")
    ] = True,
    data_dir: DataDir = None,
) -> None:
    """Serve the API and, unless `--no-background`, do the background work."""
    from infrastructure.supervisor import Child, Supervisor, sole_server

    take_data_dir(data_dir)
    directory = make_data_dir()
    with sole_server(directory), _listening(host, port) as listener:
        _share_metrics(directory)
        with _servers(directory) as (settings, servers):
            address = "http://{}:{}".format(*_shown(listener))
            answer = partial(_answer, settings, listener, address)
            children = [Child(f"api-{n}", partial(answer, n == 1)) for n in range(1, workers + 1)]
            if background:
                children.append(Child("work", lambda: _work(settings), nice=BACKGROUND_NICE))
            Supervisor(children, servers, refusals=usage_errors()).run()


def work(
    only: Annotated[
        str | None, typer.Option(help="projections, webhooks or jobs; all of them by default.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Do background work alone; any number of processes on any number of machines share it."""
    from api.work import KINDS
    from infrastructure.supervisor import Child, Supervisor

    take_data_dir(data_dir)
    if only is not None and only not in KINDS:
        raise typer.BadParameter(f"one of {', '.join(KINDS)}", param_hint="--only")
    with _servers(make_data_dir()) as (settings, servers):
        say("Tidings works in the background.")
        sys.stdout.flush()
        child = Child("work", lambda: _work(settings, only))
        Supervisor([child], servers, refusals=usage_errors()).run()


@contextmanager
def _servers(directory: Path) -> Iterator[tuple[Settings, list["EmbeddedServers"]]]:
    """The servers, started while the program itself is still being read in."""
    database_url, redis_url = own_servers(environment)
    load(environment, directory, "", "")  # what cannot be used is refused before anything starts
    from infrastructure.embedded import EmbeddedServers

    embedded = EmbeddedServers(directory, postgres=database_url is None, valkey=redis_url is None)
    failures: list[BaseException] = []

    def start() -> None:
        try:
            embedded.start()
        except Exception as error:  # noqa: BLE001 - told by the thread that waits for it
            failures.append(error)

    starting = Thread(target=start)
    starting.start()
    from api import app, work  # noqa: F401 - before the fork, so that the children share them
    from infrastructure.database import migrate
    from infrastructure.personal_data.rotation import check_keys

    starting.join()
    try:
        if failures:
            raise failures[0]
        settings = load(
            environment,
            directory,
            database_url or embedded.database_url,
            redis_url or embedded.redis_url,
        )
        migrate(settings.database_url)
        check_keys(settings)
        yield settings, [embedded] if embedded.wanted else []
    finally:
        embedded.stop()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """The listening socket, shared by all workers; taken before anything is started."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(2048)
            yield listener
    except OSError as error:
        if error.strerror is None or error.filename:
            raise
        raise Refused(f"Cannot listen on {host} port {port}: {error.strerror}.") from None


def _shown(listener: socket.socket) -> tuple[str, int]:
    host, port = listener.getsockname()[:2]
    return (f"[{host}]" if ":" in host else host), port


def _share_metrics(directory: Path) -> None:
    """Processes of this host add their figures up in files; a new start begins at zero."""
    folder = directory / "metrics"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.db"):
        old.unlink(missing_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def _answer(settings: Settings, listener: socket.socket, address: str, announces: bool) -> None:
    import uvicorn

    from api import app
    from api.logging import configure
    from api.protocol import Protocol

    configure()
    _keep_what_is_there()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if announces and self.started:
                say(f"Tidings is ready at {address}")
                sys.stdout.flush()

    config = uvicorn.Config(
        app.serve(settings),
        loop="uvloop",
        http=Protocol,
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level=logging.WARNING,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=10,
    )
    run(Server(config).serve([listener]))


def _work(settings: Settings, only: str | None = None) -> None:
    from api.logging import configure
    from api.work import work_until_signalled

    configure()
    _keep_what_is_there()
    run(work_until_signalled(settings, only))  # type: ignore[arg-type]


def _keep_what_is_there() -> None:
    """What has been read in stays: the collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
