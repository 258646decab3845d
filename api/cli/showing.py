"""`tidings demo` and `tidings projections`."""

import asyncio
import signal
import sys
from typing import Annotated

import typer

from api.cli.house import DataDir, Refused, at_home, run, say, take_data_dir
from infrastructure.settings import Settings

projections = typer.Typer(help="Read models: where they stand, and building them anew.")


def demo(data_dir: DataDir = None) -> None:
    """Load the demonstration tenant `demo`, through commands only."""
    take_data_dir(data_dir)
    with at_home() as settings:
        from api.demo import DAYS, TENANT, load

        loaded = run(load(settings))
    if loaded:
        say(f"The tenant {TENANT} has {loaded} posts of the last {DAYS} days, with engagement.")
    else:
        say(f"The tenant {TENANT} was loaded before.")


@projections.callback(invoke_without_command=True)
def overview(context: typer.Context, data_dir: DataDir = None) -> None:
    """Position, lag and version of each read model."""
    take_data_dir(data_dir)
    if context.invoked_subcommand is None:
        list_models()


@projections.command("list")
def list_models(data_dir: DataDir = None) -> None:
    """Position, lag and version of each read model."""
    take_data_dir(data_dir)
    with at_home() as settings:
        run(_list(settings))


@projections.command("rebuild")
def rebuild_models(
    names: Annotated[list[str] | None, typer.Argument(help="Which read models.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every read model.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Build read models anew beside the live tables, then switch."""
    take_data_dir(data_dir)
    if bool(names) == all_:
        raise typer.BadParameter("name read models, or say --all", param_hint="NAME…")
    with at_home() as settings:
        from api.wiring import READ_MODELS

        known = {model.name: model for model in READ_MODELS}
        if unknown := [name for name in names or () if name not in known]:
            raise Refused(f"There is no read model {unknown[0]}; there are {', '.join(known)}.")
        for name in names or known:
            run(_rebuild(settings, name))


async def _list(settings: Settings) -> None:
    from infrastructure.database import connect
    from infrastructure.read_models.registry import status

    async with await connect(settings.database_url, "projections") as connection:
        models = await status(connection)
    line = "{:<24} {:>8} {:>12} {:>10} {:>9}  {}"
    say(line.format("read model", "version", "position", "lag", "seconds", "state"))
    for model in models:
        state: str = model.state
        if model.error:
            state += f" at {model.error.get('position')}: {model.error.get('message')}"
        say(
            line.format(
                model.name,
                model.version,
                model.position,
                model.lag,
                f"{model.lag_seconds:.1f}",
                state,
            )
        )


async def _rebuild(settings: Settings, name: str) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from api.wiring import READ_MODELS
    from infrastructure.read_models import progress as reports
    from infrastructure.read_models.rebuild import (
        RebuildCancelled,
        RebuildFailed,
        RebuildRefused,
        rebuild,
    )

    model = next(each for each in READ_MODELS if each.name == name)
    cancel = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, cancel.set)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rate]:,.0f} events/s"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task(name, rate=0.0, total=None)

        def show(report: reports.Progress) -> None:
            bar.update(
                task,
                description=f"{name}: {report.phase}",
                completed=report.done,
                total=report.total,
                rate=report.rate,
            )

        try:
            rebuilt = await rebuild(settings.database_url, model, on_progress=show, cancel=cancel)
        except RebuildCancelled:
            raise Refused(f"{name}: cancelled; the tables in use are as they were.") from None
        except (RebuildRefused, RebuildFailed) as error:
            raise Refused(f"{name}: {error}") from None
    assert rebuilt is not None
    say(f"{name} is built anew, up to position {rebuilt.position}.")
