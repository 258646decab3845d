"""One entry of the audit trail, and the forms in which it leaves: JSON lines, CSV and OCSF."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from application.compliance.time_travel import plain

OCSF_VERSION = "1.3.0"

REFUSED = {401: "access.unauthenticated", 403: "access.forbidden", 429: "access.rate_limited"}
"""What a refused request is called in the trail, by its status."""

COLUMNS = (
    "id",
    "at",
    "tenant",
    "outcome",
    "actor",
    "action",
    "resource",
    "resource_kind",
    "version",
    "address",
    "request_id",
    "caused_by",
    "method",
    "status",
    "reason",
)
"""The columns of the CSV and the members of a JSON line, in order."""

GONE = ("deleted", "erased", "removed", "withdrawn")
"""How the name of an event ends whose aggregate is taken away by it."""

CREATE, READ, UPDATE, DELETE, OTHER = 1, 2, 3, 4, 99
_OF_METHOD = {"GET": READ, "HEAD": READ, "POST": CREATE, "PUT": UPDATE, "PATCH": UPDATE,
              "DELETE": DELETE}  # fmt: skip
_NAMES = {CREATE: "Create", READ: "Read", UPDATE: "Update", DELETE: "Delete", OTHER: "Other"}


@dataclass(frozen=True, slots=True)
class Entry:
    """Who did what to what, when, from where. An event has a version, a refusal a status."""

    number: int
    at: datetime
    tenant: str | None
    actor: str | None
    action: str
    resource: str
    resource_kind: str
    address: str | None
    request_id: str
    version: int | None = None
    caused_by: str | None = None
    method: str | None = None
    status: int | None = None
    reason: str | None = None

    @property
    def id(self) -> str:
        return f"{'evt' if self.status is None else 'ref'}_{self.number}"

    @property
    def outcome(self) -> str:
        return "success" if self.status is None else "refused"

    def flat(self) -> dict[str, Any]:
        """One member for each of `COLUMNS`."""
        return {name: plain(getattr(self, name)) for name in COLUMNS}

    def cells(self) -> list[str]:
        """The same as cells of a CSV. What a spreadsheet would take for a formula begins with an
        apostrophe (OWASP, CSV injection)."""
        return [_cell(value) for value in self.flat().values()]


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def ocsf(entry: Entry) -> Mapping[str, Any]:
    """The entry as an event of the Open Cybersecurity Schema Framework.

    A request without a proven caller is a failed Authentication (3002), everything else is API
    Activity (6003). What the framework has no place for stands under `unmapped`.
    """
    refused = entry.status is not None
    event: dict[str, Any] = {
        "time": int(entry.at.timestamp() * 1000),
        "severity_id": 2 if refused else 1,
        "severity": "Low" if refused else "Informational",
        "status_id": 2 if refused else 1,
        "status": "Failure" if refused else "Success",
        "message": f"{entry.action} on {entry.resource}",
        "metadata": {
            "version": OCSF_VERSION,
            "product": {"name": "Tidings", "vendor_name": "Tidings"},
            "uid": entry.id,
            "correlation_uid": entry.request_id,
            "log_name": "audit",
            "sequence": entry.number,
        },
        "src_endpoint": {"ip": entry.address} if entry.address else {"name": "unknown"},
        "unmapped": {
            name: value
            for name, value in (
                ("tenant", entry.tenant),
                ("caused_by", entry.caused_by),
                ("http_method", entry.method),
            )
            if value is not None
        },
    }
    if refused:
        event |= {"status_code": str(entry.status), "status_detail": entry.reason}
    user = {"name": entry.actor} if entry.actor else {"name": "unknown"}
    if entry.status == 401:
        return {
            **event,
            **_classed(3, "Identity & Access Management", 3002, "Authentication", 1, "Logon"),
            "user": user,
            "service": {"name": "Tidings"},
        }
    activity = _activity(entry)
    return {
        **event,
        **_classed(6, "Application Activity", 6003, "API Activity", activity, _NAMES[activity]),
        "actor": {"user": user},
        "api": {
            "operation": entry.action if not refused else f"{entry.method} {entry.resource}",
            "service": {"name": "Tidings"},
            "request": {"uid": entry.request_id},
            **({"response": {"code": entry.status}} if refused else {}),
        },
        "resources": [
            {
                "uid": entry.resource,
                "type": entry.resource_kind,
                **({"version": str(entry.version)} if entry.version else {}),
            }
        ],
    }


def _classed(
    category: int, category_name: str, kind: int, name: str, activity: int, activity_name: str
) -> dict[str, Any]:
    return {
        "category_uid": category,
        "category_name": category_name,
        "class_uid": kind,
        "class_name": name,
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": kind * 100 + activity,
        "type_name": f"{name}: {activity_name}",
    }


def _activity(entry: Entry) -> int:
    if entry.method is not None:
        return _OF_METHOD.get(entry.method, OTHER)
    if entry.action.endswith(GONE):
        return DELETE
    return CREATE if entry.version == 1 else UPDATE
