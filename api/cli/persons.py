"""`tidings erase` and `tidings keys`: personal data, and the key that guards it."""

import asyncio
import sys
from typing import Annotated, Any

import orjson
import typer

from api.cli.house import OPERATOR, DataDir, Refused, at_home, run, say, take_data_dir
from infrastructure.settings import Settings

keys = typer.Typer(help="ENCRYPTION_KEY, and what is wrapped under it.")


def erase(
    subject: Annotated[
        str, typer.Argument(help="The person, such as twitter:amira for who comments there.")
    ],
    tenant: Annotated[str, typer.Option(help="The tenant's slug.")] = "demo",
    data_dir: DataDir = None,
) -> None:
    """Shred a person's key, purge every copy, and print the receipt."""
    take_data_dir(data_dir)
    with at_home() as settings:
        receipt = run(_erase(settings, tenant, subject))
    say(orjson.dumps(receipt, option=orjson.OPT_INDENT_2).decode())


async def _erase(settings: Settings, tenant: str, subject: str) -> Any:
    from api.wiring import READ_MODELS
    from infrastructure import rate_limits
    from infrastructure.event_log.log import open_log
    from infrastructure.personal_data.erasure import eraser_of
    from infrastructure.read_models.projector import Projector

    async with (
        open_log(settings, "erase") as log,
        rate_limits.connect(settings.redis_url) as redis,
    ):
        eraser = eraser_of(settings, log, redis, READ_MODELS)
        # Read models have to come up with it, whether or not the service is running.
        projecting = asyncio.create_task(Projector(settings.database_url, READ_MODELS).run())
        try:
            return await eraser.erase(tenant, subject, OPERATOR)
        finally:
            projecting.cancel()
            await asyncio.wait([projecting])


@keys.command("rotate")
def rotate(data_dir: DataDir = None) -> None:
    """Wrap under ENCRYPTION_KEY whatever is under one of ENCRYPTION_KEYS. Events stay as they are,
    and everything goes on meanwhile."""
    take_data_dir(data_dir)
    with at_home() as settings:
        from rich.console import Console
        from rich.progress import Progress

        from infrastructure.personal_data.keyring import KeyUnusable
        from infrastructure.personal_data.rotation import Rotation

        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("", total=None)
            try:
                done = Rotation(
                    settings,
                    lambda what, n, total: bar.update(
                        task, description=what, completed=n, total=total
                    ),
                ).run()
            except KeyUnusable as error:
                raise Refused(f"{error} Add the key it was kept with to ENCRYPTION_KEYS.") from None
    say("Wrapped anew: " + ", ".join(f"{n} {what}" for what, n in done.items()) + ".")
