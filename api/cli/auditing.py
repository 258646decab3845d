"""`tidings audit`: the ledger verified, its checkpoints, the trail exported, rules tried out."""

import csv
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.house import DataDir, Refused, at_home, instant, run, say, take_data_dir

audit = typer.Typer(help="The ledger, the audit trail, and rules tried on the past.")

CHUNK = 2000
"""Rows that a dry run holds at a time."""


class Form(StrEnum):
    OCSF = "ocsf"
    CSV = "csv"
    JSONL = "jsonl"


class Trial(StrEnum):
    SCREENS = "screens"
    NETWORKS = "networks"
    LIMITS = "limits"


Since = Annotated[str | None, typer.Option("--since", help="From this instant on.")]
Until = Annotated[str | None, typer.Option("--until", help="Before this instant.")]
Tenant = Annotated[str | None, typer.Option(help="Only this tenant.")]


@audit.command()
def verify(
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="A file of checkpoints that were kept; may be given again."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Recompute the ledger and name the first position that does not hold."""
    take_data_dir(data_dir)
    kept = [_text(file) for file in checkpoint or ()]
    with at_home() as settings:
        from infrastructure.ledger.checkpoints import NotTrusted
        from infrastructure.ledger.office import kept_notes, origin_of
        from infrastructure.ledger.sealing import public_keys
        from infrastructure.ledger.sharing import Unfinished
        from infrastructure.ledger.verification import verify

        url = settings.database_url
        here = kept_notes(settings, origin_of(url))
        try:
            verdict = verify(url, public_keys(settings), [*kept, *here])
        except NotTrusted as reason:
            raise Refused(f"The checkpoint cannot be used: {reason}.") from None
        except Unfinished as reason:
            raise Refused(f"Nothing is known of the ledger: {reason}; try again.") from None
    if not verdict.valid:
        where = f"position {verdict.first_bad_position}"
        if verdict.upto and verdict.upto != verdict.first_bad_position:
            where = f"positions {verdict.first_bad_position} to {verdict.upto}"
        raise Refused(f"The ledger does not hold at {where}: {verdict.reason}.")
    pending = f", {verdict.unsealed} more are not sealed yet" if verdict.unsealed else ""
    say(f"The ledger holds: {verdict.checked} events checked{pending}.")


@audit.command()
def checkpoint(data_dir: DataDir = None) -> None:
    """Seal what there is, and print the signed head of the ledger, to be kept elsewhere."""
    take_data_dir(data_dir)
    with at_home() as settings:
        from infrastructure.ledger.sealing import LedgerBroken, seal_now, sealer

        try:
            head = run(seal_now(sealer(settings)))
        except LedgerBroken as reason:
            raise Refused(f"The ledger cannot be continued: {reason}.") from None
    sys.stdout.write(head.note())


@audit.command()
def key(data_dir: DataDir = None) -> None:
    """Print the public keys that checkpoints are signed with, the present one first."""
    take_data_dir(data_dir)
    with at_home() as settings:
        from infrastructure.ledger.checkpoints import Keys
        from infrastructure.ledger.office import origin_of
        from infrastructure.ledger.sealing import public_keys

        keys = Keys(origin_of(settings.database_url), public_keys(settings))
    for each in keys.written():
        say(each)


@audit.command()
def export(
    format: Annotated[Form, typer.Option(help="ocsf and jsonl: one object a line.")] = Form.JSONL,
    tenant: Tenant = None,
    since: Since = None,
    until: Until = None,
    data_dir: DataDir = None,
) -> None:
    """Print the audit trail, the earliest entries first."""
    take_data_dir(data_dir)
    first, last = instant(since) if since else None, instant(until) if until else None
    with at_home() as settings:
        import application.webhooks.catalogue  # noqa: F401 - so that every event class is known
        from infrastructure.audit.export import entries

        _print(format, entries(settings.database_url, tenant, first, last))


def _print(form: Form, entries: Iterable[Any]) -> None:
    import orjson

    from application.compliance.trail import COLUMNS, ocsf

    match form:
        case Form.CSV:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(entry.cells() for entry in entries)
        case Form.JSONL:
            for entry in entries:
                say(orjson.dumps(entry.flat()).decode())
        case Form.OCSF:
            for entry in entries:
                say(orjson.dumps(ocsf(entry)).decode())


@audit.command("dry-run")
def dry_run(
    rule: Annotated[Trial, typer.Option(help="The rule, as this release has it.")],
    limit: Annotated[
        list[str] | None,
        typer.Option(help="With limits: ENDPOINT=COUNT/hour (or second, minute, day)."),
    ] = None,
    tenant: Tenant = None,
    since: Since = None,
    until: Until = None,
    data_dir: DataDir = None,
) -> None:
    """Apply a rule to what was asked in the past, and print what it would decide otherwise."""
    take_data_dir(data_dir)
    if (rule is Trial.LIMITS) != bool(limit):
        raise typer.BadParameter("goes with --rule limits, and it needs one", param_hint="--limit")
    wanted = {
        "tenant": tenant,
        "since": instant(since) if since else None,
        "until": instant(until) if until else None,
    }
    chosen = _rule(rule, limit or [])
    import orjson

    from application.compliance.dry_run import dry_run

    found = 0
    with at_home() as settings:
        for difference in dry_run(chosen, _past(settings.database_url, chosen, wanted)):
            found += 1
            say(orjson.dumps(difference).decode())
    sys.stderr.write(f"{found} decisions would differ.\n")


def _rule(trial: Trial, limits: list[str]) -> Any:
    from application.compliance.rules import LIMITED, RULES, Limits
    from infrastructure.limits import Limit

    if trial is not Trial.LIMITS:
        return RULES[trial]()
    tried = {}
    for each in limits:
        endpoint, _, written = each.partition("=")
        if endpoint not in LIMITED.values():
            known = ", ".join(sorted(LIMITED.values()))
            raise typer.BadParameter(f"{endpoint} is not one of {known}", param_hint="--limit")
        try:
            parsed = Limit.parse(written)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--limit") from None
        tried[endpoint] = (parsed.count, parsed.window)
    return Limits(tried)


def _past(url: str, rule: Any, wanted: dict[str, Any]) -> Iterator[Any]:
    import application.webhooks.catalogue  # noqa: F401 - so that every event class is known
    from application.compliance.dry_run import Past
    from domain.kernel import stored_topics
    from infrastructure.database import connect_sync
    from infrastructure.event_log.codec import SELECT, StoredEvent, decoded
    from infrastructure.personal_data.opening import opened_sync

    with (
        connect_sync(url, "dry-run") as connection,
        connection.transaction(),
        connection.cursor(name="past") as cursor,
    ):
        cursor.itersize = CHUNK
        cursor.execute(
            f"{SELECT} WHERE topic = ANY (%(topics)s)"
            " AND (%(tenant)s::text IS NULL OR tenant = %(tenant)s)"
            " AND (%(since)s::timestamptz IS NULL OR recorded_at >= %(since)s)"
            " AND (%(until)s::timestamptz IS NULL OR recorded_at < %(until)s)"
            " ORDER BY position",
            {**wanted, "topics": stored_topics(kind.TOPIC for kind in rule.events)},
        )
        for row in cursor:
            (stored,) = opened_sync(connection, [StoredEvent(*row)])
            yield Past(stored.position, stored.recorded_at, decoded(stored))


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise Refused(f"The checkpoint file {file} cannot be read: {reason}.") from None
