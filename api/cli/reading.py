"""`tidings replay` and `tidings state`: the log, read by people."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID, uuid4

import orjson
import typer

from api.cli.house import (
    OPERATOR,
    DataDir,
    Refused,
    at_home,
    instant,
    run,
    say,
    take_data_dir,
)
from domain.positions import GREATEST
from infrastructure.settings import Settings

if TYPE_CHECKING:
    from infrastructure.event_log.codec import StoredEvent

CHUNK = 2000
"""Rows that a replay holds at a time."""

MASK = "[personal]"
"""What stands for personal data that nobody asked to see."""


class Format(StrEnum):
    JSON = "json"
    TABLE = "table"


def replay(
    from_: Annotated[int, typer.Option("--from", min=1, max=GREATEST, help="First position.")] = 1,
    to: Annotated[int | None, typer.Option(min=1, max=GREATEST, help="Last position.")] = None,
    at: Annotated[str | None, typer.Option(help="Only what was recorded until then.")] = None,
    stream: Annotated[str | None, typer.Option(help="Only this stream.")] = None,
    topic: Annotated[str | None, typer.Option(help="Only topics that begin so.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    format: Annotated[Format, typer.Option(help="json: one object a line.")] = Format.JSON,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show personal data, and leave a note of it.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Print events in order; personal data only as "[personal]"."""
    take_data_dir(data_dir)
    if to is not None and to < from_:
        raise Refused(f"--to {to} lies before --from {from_}.")
    conditions = ["position >= %s"]
    values: list[Any] = [from_]
    for condition, value in (
        ("position <= %s", to),
        ("recorded_at <= %s", instant(at) if at else None),
        ("stream_id = %s", _stream(stream) if stream else None),
        ("starts_with(topic, %s)", topic),
        ("tenant = %s", tenant),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    with at_home() as settings:
        from infrastructure.database import connect_sync
        from infrastructure.event_log.codec import SELECT, StoredEvent
        from infrastructure.personal_data.opening import opened_sync

        show = _as_json if format is Format.JSON else _as_line
        mask = None if reveal else MASK
        with connect_sync(settings.database_url, "replay") as connection:
            selected = " AND ".join(conditions)
            query = f"{SELECT} WHERE {selected} ORDER BY position"
            if reveal and format is Format.JSON:
                asked = {"from": str(from_), "to": to, "at": at, "stream": stream, "topic": topic}
                given = {name: str(value) for name, value in asked.items() if value is not None}
                _note_reveal(settings, _tenants(connection, selected, values), given)
            with connection.transaction(), connection.cursor(name="replay") as cursor:
                cursor.itersize = CHUNK
                cursor.execute(query, values)
                if format is Format.TABLE:
                    say(
                        LINE.format(
                            "position", "recorded at", "tenant", "topic", "stream", "version"
                        )
                    )
                while rows := cursor.fetchmany(CHUNK):
                    events = [StoredEvent(*row) for row in rows]
                    for event in opened_sync(connection, events, mask=mask):
                        say(show(event))


def _tenants(connection: Any, selected: str, values: list[Any]) -> list[str]:
    """Those whose persons are about to be seen."""
    from infrastructure.personal_data.sealing import SEALED

    rows = connection.execute(
        f"SELECT DISTINCT tenant FROM log.events WHERE {selected}"  # noqa: S608 - no values in it
        " AND substring(state FROM 1 FOR 11) = %s",
        [*values, SEALED],
    )
    return [tenant for (tenant,) in rows.fetchall()]


def _note_reveal(settings: Settings, tenants: list[str], selection: dict[str, str]) -> None:
    """Each of the tenants has it in their log before anything is seen."""
    from application.compliance.erasures import NoteReveal
    from application.kernel import NO_ANSWER, Desk
    from infrastructure.event_log.log import open_log

    async def note() -> None:
        async with open_log(settings, "reveal") as log:
            for tenant in tenants:
                desk = Desk(log, tenant, OPERATOR, f"replay-{uuid4()}", follows=False)
                await desk.create(NoteReveal(selection=selection), lambda _: NO_ANSWER)

    run(note())


LINE = "{:>10}  {:<26}  {:<12}  {:<34}  {:<36}  {:>7}"


def _as_line(event: "StoredEvent") -> str:
    when = event.recorded_at.isoformat(timespec="microseconds")[:26]
    return LINE.format(
        event.position, when, event.tenant, event.topic, str(event.stream_id), event.version
    )


def _as_json(event: "StoredEvent") -> str:
    return orjson.dumps(
        {
            "position": event.position,
            "recorded_at": event.recorded_at,
            "tenant": event.tenant,
            "topic": event.topic,
            "stream_id": event.stream_id,
            "version": event.version,
            "state": orjson.Fragment(event.state),
        }
    ).decode()


def state(
    stream: Annotated[str, typer.Argument(help="The stream's id, with or without its prefix.")],
    version: Annotated[
        int | None, typer.Option(min=1, max=GREATEST, help="As it was at this version.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="As it was at this instant.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Print an aggregate as it is, or was."""
    take_data_dir(data_dir)
    stream_id, until = _stream(stream), instant(at) if at else None
    with at_home() as settings:
        import application.webhooks.catalogue  # noqa: F401 - so that every event class is known
        from application.compliance.time_travel import shown
        from domain.folding import fold
        from domain.kernel import Aggregate
        from infrastructure.database import connect_sync
        from infrastructure.event_log.codec import SELECT, StoredEvent, UnreadableEvent, decoded
        from infrastructure.personal_data.opening import opened_sync

        with connect_sync(settings.database_url, "state") as connection:
            rows = connection.execute(
                f"{SELECT} WHERE stream_id = %s AND (%s::bigint IS NULL OR version <= %s)"
                " AND (%s::timestamptz IS NULL OR recorded_at <= %s) ORDER BY version",
                (stream_id, version, version, until, until),
            ).fetchall()
            events = opened_sync(connection, [StoredEvent(*row) for row in rows], mask=MASK)
        if not rows:
            raise Refused(f"There is no stream {stream}{' then' if until else ''}.")
        if version is not None and rows[-1][2] < version:
            raise Refused(f"The stream {stream} ends at version {rows[-1][2]}.")
        try:
            aggregate = fold(Aggregate, map(decoded, events))
        except UnreadableEvent as error:
            raise Refused(str(error)) from None
    assert aggregate is not None
    say(orjson.dumps(shown(aggregate), option=orjson.OPT_INDENT_2).decode())


def _stream(text: str) -> UUID:
    try:
        return UUID(text.rpartition("_")[2])
    except ValueError:
        raise Refused(f"{text} is not the id of a stream.") from None
