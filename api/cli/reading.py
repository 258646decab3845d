"""`tidings replay` and `tidings state`: the log, read by people."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import orjson
import typer

from api.cli.house import DataDir, Refused, at_home, instant, say, take_data_dir

CHUNK = 2000
"""Rows that a replay holds at a time."""


class Format(StrEnum):
    JSON = "json"
    TABLE = "table"


def replay(
    from_: Annotated[int, typer.Option("--from", min=1, help="First position.")] = 1,
    to: Annotated[int | None, typer.Option(min=1, help="Last position.")] = None,
    at: Annotated[str | None, typer.Option(help="Only what was recorded until then.")] = None,
    stream: Annotated[str | None, typer.Option(help="Only this stream.")] = None,
    topic: Annotated[str | None, typer.Option(help="Only topics that begin so.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    format: Annotated[Format, typer.Option(help="json: one object a line.")] = Format.JSON,
    data_dir: DataDir = None,
) -> None:
    """Print events in order."""
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
        from infrastructure.event_log.codec import SELECT

        show = _as_json if format is Format.JSON else _as_line
        with connect_sync(settings.database_url, "replay") as connection:
            query = f"{SELECT} WHERE {' AND '.join(conditions)} ORDER BY position"
            with connection.transaction(), connection.cursor(name="replay") as cursor:
                cursor.itersize = CHUNK
                cursor.execute(query, values)
                if format is Format.TABLE:
                    say(
                        LINE.format(
                            "position", "recorded at", "tenant", "topic", "stream", "version"
                        )
                    )
                for row in cursor:
                    say(show(row))


LINE = "{:>10}  {:<26}  {:<12}  {:<34}  {:<36}  {:>7}"


def _as_line(row: tuple[Any, ...]) -> str:
    position, stream, version, tenant, topic, _, recorded_at = row
    when = recorded_at.isoformat(timespec="microseconds")[:26]
    return LINE.format(position, when, tenant, topic, str(stream), version)


def _as_json(row: tuple[Any, ...]) -> str:
    position, stream, version, tenant, topic, state, recorded_at = row
    return orjson.dumps(
        {
            "position": position,
            "recorded_at": recorded_at,
            "tenant": tenant,
            "topic": topic,
            "stream_id": stream,
            "version": version,
            "state": orjson.Fragment(state),
        }
    ).decode()


def state(
    stream: Annotated[str, typer.Argument(help="The stream's id, with or without its prefix.")],
    version: Annotated[int | None, typer.Option(min=1, help="As it was at this version.")] = None,
    at: Annotated[str | None, typer.Option(help="As it was at this instant.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Print an aggregate as it is, or was."""
    take_data_dir(data_dir)
    stream_id, until = _stream(stream), instant(at) if at else None
    with at_home() as settings:
        import api.wiring  # noqa: F401 - so that every event class is known
        from application.compliance.time_travel import shown
        from domain.kernel import Aggregate, fold
        from infrastructure.database import connect_sync
        from infrastructure.event_log.codec import SELECT, StoredEvent, UnreadableEvent, decoded

        with connect_sync(settings.database_url, "state") as connection:
            rows = connection.execute(
                f"{SELECT} WHERE stream_id = %s AND (%s::bigint IS NULL OR version <= %s)"
                " AND (%s::timestamptz IS NULL OR recorded_at <= %s) ORDER BY version",
                (stream_id, version, version, until, until),
            ).fetchall()
        if not rows:
            raise Refused(f"There is no stream {stream}{' then' if until else ''}.")
        if version is not None and rows[-1][2] < version:
            raise Refused(f"The stream {stream} ends at version {rows[-1][2]}.")
        try:
            aggregate = fold(Aggregate, (decoded(StoredEvent(*row)) for row in rows))
        except UnreadableEvent as error:
            raise Refused(str(error)) from None
    assert aggregate is not None
    say(orjson.dumps(shown(aggregate), option=orjson.OPT_INDENT_2).decode())


def _stream(text: str) -> UUID:
    try:
        return UUID(text.rpartition("_")[2])
    except ValueError:
        raise Refused(f"{text} is not the id of a stream.") from None
