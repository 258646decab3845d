"""What has become of the log after the drill."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

from tests.event_log.rooms import Counter

MINE = [Counter.Opened.TOPIC, Counter.Increased.TOPIC]


def caught_up(url: str, seconds: float = 60) -> list[str]:
    """Wait for follower and projector; complains when they do not arrive."""
    until = time.monotonic() + seconds
    while True:
        with psycopg.connect(url) as admin:
            row = admin.execute(
                "SELECT (SELECT max(position) FROM log.events),"
                " (SELECT position FROM work.followers WHERE name = 'drill'),"
                " (SELECT position FROM read.models WHERE name = 'drill_counts')"
            ).fetchone()
        if row and row[0] == row[1] == row[2]:
            return []
        if time.monotonic() > until:
            return [f"follower and projector stand still: {row}"]
        time.sleep(0.2)


def faults_found(url: str, folder: Path) -> list[str]:
    """Everything that is lost, passed by or doubled, in words; nothing when all is well."""
    lines = [
        json.loads(line)
        for file in sorted(folder.glob("*.jsonl"))
        for line in file.read_text().splitlines()
        if line.endswith("}")  # a killed process may leave half a line
    ]
    with psycopg.connect(url) as admin:
        return [
            *[line["bug"] for line in lines if "bug" in line],
            *_holes(admin),
            *_acknowledged(admin, lines),
            *_passed_by(admin, lines),
            *_effects(admin),
        ]


def _rows(admin: Connection[Any], query: str, *values: Any) -> list[Any]:
    return admin.execute(query.encode(), values).fetchall()


def _holes(admin: Connection[Any]) -> list[str]:
    ((count, low, high),) = _rows(
        admin, "SELECT count(*), min(position), max(position) FROM log.events"
    )
    found = [] if (low, high) == (1, count) else [f"{count} events at {low} to {high}"]
    broken = _rows(
        admin,
        "SELECT stream_id FROM log.events GROUP BY 1 HAVING count(*) <> max(version)"
        " OR count(DISTINCT version) <> count(*) OR min(version) <> 1",
    )
    return found + [f"stream {stream} is broken" for (stream,) in broken]


def _acknowledged(admin: Connection[Any], lines: list[dict[str, Any]]) -> list[str]:
    """Each request is in the log once at most, and where its caller was told that it is."""
    at: dict[str, int] = {}
    found = []
    for token, position in _rows(
        admin,
        "SELECT convert_from(state, 'UTF8')::jsonb ->> 'correlation_id', position FROM log.events"
        " WHERE tenant = 'demo'",
    ):
        if token in at:
            found.append(f"{token} is at {at[token]} and {position}")
        at[token] = position
    bodies: dict[str, str] = {}
    for line in lines:
        if "token" in line:
            token = line["token"]
            if at.get(token) != line["position"]:
                found.append(f"{token} was told {line['position']}, is at {at.get(token)}")
            if bodies.setdefault(token, line["body"]) != line["body"]:
                found.append(f"{token} got two answers")
    return found


def _passed_by(admin: Connection[Any], lines: list[dict[str, Any]]) -> list[str]:
    ((head,),) = _rows(admin, "SELECT max(position) FROM log.events")
    seen = [line["seen"] for line in lines if "seen" in line]
    if not seen:
        return ["no reader has finished"]
    return [f"a reader ended at {each} of {head}" for each in seen if each != head]


def _effects(admin: Connection[Any]) -> list[str]:
    found = []
    for position, count in _rows(
        admin,
        "SELECT e.position, count(f.position) FROM log.events e LEFT JOIN drill.effects f"
        " USING (position) WHERE e.topic = ANY (%s) GROUP BY 1 HAVING count(f.position) <> 1",
        MINE,
    ):
        found.append(f"the event at {position} had {count} effects")
    for stream, total, truth in _rows(
        admin,
        "SELECT e.stream_id, c.total, e.total FROM (SELECT stream_id, sum(coalesce("
        "  (convert_from(state, 'UTF8')::jsonb ->> 'by')::int, 0)) AS total"
        "  FROM log.events GROUP BY 1) AS e LEFT JOIN read.drill_counts c ON c.id = e.stream_id"
        " WHERE c.total IS DISTINCT FROM e.total",
    ):
        found.append(f"the read model says {total} of {stream}, the log {truth}")
    return found
