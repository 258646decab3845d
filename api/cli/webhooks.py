"""`tidings webhooks`: endpoints with their deliveries, and sending again from the log."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from api.cli.house import DataDir, Refused, at_home, instant, run, say, take_data_dir
from infrastructure.settings import Settings

webhooks = typer.Typer(help="Endpoints and their deliveries.")

LINE = "{:<12} {:<41} {:<9} {:>9} {:>9} {:>9}  {}"

FIGURES = """
SELECT e.tenant, e.id, CASE WHEN e.enabled THEN 'enabled' ELSE 'disabled' END, e.url,
    coalesce(q.delivered, 0), coalesce(q.pending, 0), coalesce(q.failed, 0)
FROM webhooks.endpoints e LEFT JOIN webhooks.queues q ON q.endpoint_id = e.id
WHERE (%(id)s::uuid IS NULL OR e.id = %(id)s) ORDER BY e.tenant, e.id
"""


@webhooks.callback(invoke_without_command=True)
def overview(context: typer.Context, data_dir: DataDir = None) -> None:
    """Every endpoint with its deliveries."""
    take_data_dir(data_dir)
    if context.invoked_subcommand is None:
        list_endpoints()


@webhooks.command("list")
def list_endpoints(data_dir: DataDir = None) -> None:
    """Every endpoint with its deliveries."""
    take_data_dir(data_dir)
    with at_home() as settings:
        rows = run(_endpoints(settings, None))
    say(LINE.format("tenant", "endpoint", "status", "delivered", "pending", "failed", "url"))
    for tenant, id, status, url, delivered, pending, failed in rows:
        say(LINE.format(tenant, f"endpoint_{id.hex}", status, delivered, pending, failed, url))


@webhooks.command("replay")
def replay(
    since: Annotated[str, typer.Option(help="Send again what was recorded since then.")],
    until: Annotated[str | None, typer.Option(help="And before then.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="To this endpoint alone.")] = None,
    only_failed: Annotated[bool, typer.Option(help="Only what has failed.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Put past events in again, straight from the log, with the ids that they always had."""
    take_data_dir(data_dir)
    try:
        id = UUID(endpoint.rpartition("_")[2]) if endpoint else None
    except ValueError:
        raise Refused(f"{endpoint} is not the id of an endpoint.") from None
    span = instant(since), instant(until) if until else None
    with at_home() as settings:
        replayed = run(_replay(settings, id, span, only_failed))
    say(f"{replayed} endpoints are sent past events again.")


async def _endpoints(settings: Settings, id: UUID | None) -> list[tuple[Any, ...]]:
    from infrastructure.database import connect

    async with await connect(settings.database_url, "webhooks-list") as connection:
        cursor = await connection.execute(FIGURES, {"id": id})
        return await cursor.fetchall()


async def _replay(
    settings: Settings, id: UUID | None, span: tuple[datetime, datetime | None], failed: bool
) -> int:
    import application.webhooks.catalogue  # noqa: F401 - so that every event class is known
    from application.kernel import Desk
    from application.webhooks.endpoints import ReplayEvents, ReplayRequest
    from domain.webhooks.endpoints import WebhookEndpoint
    from infrastructure.event_log.log import open_log
    from infrastructure.webhooks.management import Webhooks

    found = await _endpoints(settings, id)
    if id is not None and not found:
        raise Refused("There is no such endpoint.")
    request = ReplayRequest(since=span[0], until=span[1], only_failed=failed)
    async with open_log(settings, "webhooks-replay") as log:
        positions = Webhooks.of(settings, log.pool).positions
        command = ReplayEvents(request, *await positions(*span))
        for tenant, endpoint, *_ in found:
            desk = Desk(log, tenant, "tidings:operator", correlation_id="cli", follows=False)
            await desk.carry_out(WebhookEndpoint, endpoint, command)
    return len(found)
