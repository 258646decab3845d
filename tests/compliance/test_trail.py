"""What leaves of the audit trail: OCSF against its schema, CSV that no spreadsheet executes."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import jsonschema_rs
import pytest

from application.compliance.trail import COLUMNS, Entry, ocsf

MADE = Entry(
    number=7,
    at=datetime(2030, 1, 1, 12, 0, 0, 123000, tzinfo=UTC),
    tenant="demo",
    actor="ann",
    action="social.post.drafted",
    resource="01a203d0-8dba-7142-a16b-745b09ba5e20",
    resource_kind="social.post",
    address="192.0.2.7",
    request_id="r-1",
    version=1,
)
REFUSED = Entry(
    number=3,
    at=datetime(2030, 1, 1, 12, tzinfo=UTC),
    tenant="demo",
    actor="bob",
    action="access.forbidden",
    resource="social.posts.create",
    resource_kind="endpoint",
    address="2001:db8::1",
    request_id="r-2",
    method="POST",
    status=403,
    reason="forbidden",
)
STRANGER = replace(
    REFUSED, tenant=None, actor=None, action="access.unauthenticated", status=401, reason="expired"
)
HOUSE = replace(MADE, actor="publisher", address=None, version=3, caused_by="x/2")
GONE = replace(MADE, action="webhooks.endpoint.deleted", version=4)


@cache
def validator(kind):
    schema = Path(__file__).parent / "ocsf" / f"{kind}.json"
    return jsonschema_rs.Draft202012Validator(json.loads(schema.read_text()), validate_formats=True)


@pytest.mark.parametrize(
    ("entry", "kind", "type_uid", "status_id"),
    [
        (MADE, 6003, 600301, 1),
        (HOUSE, 6003, 600303, 1),
        (GONE, 6003, 600304, 1),
        (REFUSED, 6003, 600301, 2),
        (replace(REFUSED, method="GET", status=429), 6003, 600302, 2),
        (STRANGER, 3002, 300201, 2),
    ],
)
def test_an_entry_is_an_event_of_ocsf(entry, kind, type_uid, status_id):
    event = json.loads(json.dumps(ocsf(entry)))
    validator(kind).validate(event)
    assert (event["class_uid"], event["type_uid"], event["status_id"]) == (
        kind,
        type_uid,
        status_id,
    )
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    assert event["time"] == int(entry.at.timestamp() * 1000)
    assert event["metadata"]["correlation_uid"] == entry.request_id


@pytest.mark.parametrize("missing", ["time", "metadata", "type_uid", "actor", "src_endpoint"])
def test_the_schema_notices_what_is_missing(missing):
    event = {name: value for name, value in ocsf(MADE).items() if name != missing}
    assert not validator(6003).is_valid(event)


@pytest.mark.parametrize("actor", ["=1+1", "+1", "-1", "@sum(a1)", "\tx"])
def test_no_cell_is_a_formula(actor):
    cells = replace(MADE, actor=actor).cells()
    assert cells[COLUMNS.index("actor")] == f"'{actor}"
    assert len(cells) == len(COLUMNS)
