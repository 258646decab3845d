"""What the commands share: the data directory, the servers, and one line for every error."""

import asyncio
import os
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from infrastructure.settings import (
    Settings,
    UnusableSetting,
    data_dir_of,
    environment,
    load,
    own_servers,
)

T = TypeVar("T")

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Where the embedded servers, secrets and files live (default .tidings).",
        envvar="TIDINGS_DATA_DIR",
        show_envvar=True,
        show_default=False,
    ),
]

OPERATOR = "tidings:operator"
"""The actor of what is done from the command line."""

_given: dict[str, Path | None] = {"data_dir": None}


class Refused(Exception):
    """One line for standard error; exit status 1."""


def options(data_dir: DataDir = None) -> None:
    """One event-sourced backend for what a company says to its customers and hears from them."""
    from api.logging import configure

    configure("WARNING")
    _given["data_dir"] = data_dir


def data_dir() -> Path:
    """The data directory of this run."""
    return data_dir_of(os.environ, _given["data_dir"])


def usage_errors() -> tuple[type[Exception], ...]:
    """Exceptions whose text is one line for the operator."""
    from domain.kernel import Refusal
    from infrastructure.database import DatabaseUnusable
    from infrastructure.embedded import EmbeddedServerError
    from infrastructure.supervisor import AlreadyServing, ChildRefused

    return (
        AlreadyServing,
        ChildRefused,
        DatabaseUnusable,
        EmbeddedServerError,
        Refusal,
        Refused,
        UnusableSetting,
    )


def make_data_dir() -> Path:
    """The data directory, made when it is missing. Raises `Refused` when that cannot be."""
    directory = data_dir()
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        probe = directory / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Refused(f"The data directory {directory} is unusable: {error.strerror}.") from None
    return directory


@contextmanager
def at_home() -> Iterator[Settings]:
    """Settings with the servers behind them: one's own, else the embedded ones, which are
    started when nobody has yet and stopped when nobody needs them any more."""
    from infrastructure.database import migrate
    from infrastructure.embedded import EmbeddedServers
    from infrastructure.personal_data import keyring
    from infrastructure.personal_data.rotation import check_keys, secrets_of

    directory = make_data_dir()
    database_url, redis_url = own_servers(environment)
    load(environment, directory, "", "")  # what cannot be used is refused before anything starts
    servers = EmbeddedServers(directory, postgres=database_url is None, valkey=redis_url is None)
    with servers:
        settings = load(
            environment,
            directory,
            database_url or servers.database_url,
            redis_url or servers.redis_url,
        )
        migrate(settings.database_url)
        check_keys(settings)
        keyring.use(secrets_of(settings))
        yield settings


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on the faster loop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def say(text: str) -> None:
    """One line of result on standard output."""
    sys.stdout.write(text + "\n")


def instant(text: str) -> datetime:
    """An instant that an operator typed; without a zone it is UTC. Raises `Refused`."""
    from domain.kernel import utc

    try:
        return utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise Refused(f"{text} is not an instant such as 2026-01-31T12:00:00Z.") from None


def token(
    role: Annotated[str, typer.Option(help="super_admin, admin, developer, api_user, read_only")],
    user: Annotated[str, typer.Option(help="Who the caller is (the `sub` claim).")],
    tenant: Annotated[str, typer.Option(help="The tenant's slug.")] = "demo",
    ttl: Annotated[int, typer.Option(min=1, help="Seconds until it expires.")] = 3600,
    data_dir: DataDir = None,
) -> None:
    """Print an access token and nothing else."""
    from domain.identity import Role
    from infrastructure.settings import secret
    from infrastructure.tokens import Tokens

    _take(data_dir)
    if role not in set(Role):
        raise typer.BadParameter(f"one of {', '.join(Role)}", param_hint="--role")
    directory = make_data_dir()
    try:
        tokens = Tokens(secret(environment, directory, "JWT_SECRET_KEY"))
        say(tokens.issue(user=user, role=Role(role), tenant=tenant, ttl=ttl))
    except ValueError as error:
        raise Refused(str(error)) from None


def _take(directory: Path | None) -> None:
    """`--data-dir` behind the command counts like one before it."""
    if directory is not None:
        _given["data_dir"] = directory


take_data_dir = _take
