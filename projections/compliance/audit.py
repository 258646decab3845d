"""The audit trail: every event of the log, and every request that was refused, in one list.

The events are folded from the log, so the trail cannot tell anything else than what happened.
Refusals and addresses come from notes that are taken beside the requests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from application.compliance.trail import REFUSED
from application.webhooks.catalogue import EMISSIONS
from projections.kernel import DomainEvent, Query, ReadModel, Rows, Table

TRAIL = Table(
    "audit_trail",
    {
        "at": datetime,
        "actor": str,
        "action": str,
        "kind": str,
        "version": int,
        "request_id": str,
        "causation_id": str | None,
    },
    key={"resource": UUID, "position": int},
    indexes=[
        ("at DESC", "position DESC"),
        ("actor", "at DESC", "position DESC"),
        ("action", "at DESC", "position DESC"),
    ],
)


class AuditTrail(ReadModel):
    """One row for each event there is."""

    name = "audit_trail"
    version = 1
    tables = (TRAIL,)
    events = tuple(EMISSIONS)

    def project(self, event: DomainEvent, rows: Rows) -> None:
        rows(TRAIL)[event.originator_id, rows.position].insert(
            at=rows.recorded_at,
            actor=event.actor,
            action=event.TOPIC,
            kind=event.aggregate.TOPIC,
            version=event.originator_version,
            request_id=event.correlation_id,
            causation_id=event.causation_id,
        )


ACTIONS = (*sorted(kind.TOPIC for kind in EMISSIONS), *REFUSED.values())
"""Everything that can be in the trail."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of the trail ended: time, whether event (1) or refusal (0), and its number."""

    at: datetime
    source: int
    number: int


@dataclass(frozen=True, slots=True)
class Filter:
    """What to look for; None means everything.

    `action` is a name of `ACTIONS` or the beginning of some up to a dot; `resource` an aggregate's
    id, or the topic of a kind of aggregates, or an endpoint's id.
    """

    actor: str | None = None
    action: str | None = None
    resource: UUID | str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def params(self) -> Mapping[str, Any]:
        """For the statement below; a status stands for the name of a refusal."""
        actions = statuses = None
        if self.action is not None:
            prefix = f"{self.action}."
            wanted = [a for a in ACTIONS if a == self.action or a.startswith(prefix)]
            actions = [a for a in wanted if a not in REFUSED.values()]
            statuses = [status for status, name in REFUSED.items() if name in wanted]
        stream = self.resource if isinstance(self.resource, UUID) else None
        return {
            "actor": self.actor,
            "actions": actions,
            "statuses": statuses,
            "stream": stream,
            "kind": None if stream else self.resource,
            "since": self.since,
            "until": self.until,
        }


def trail(
    wanted: Filter, limit: int, after: Place | None = None, *, operator: bool = False
) -> Query[dict[str, Any]]:
    """The latest entries first, behind the place where the page before ended.

    Refusals of nobody's tenant are in everybody's trail; unless `operator`, their addresses are
    cut to the network (/24, /48).
    """
    return Query(
        AuditTrail,
        """
        SELECT t.*, coalesce(t.own_address, o.address) AS address FROM (
          (SELECT 1 AS source, e.position AS number, e.at, e.actor, e.action, e.kind,
             e.resource::text AS resource, e.version, e.request_id, e.causation_id,
             NULL::int AS status, NULL AS reason, NULL AS method, NULL::inet AS own_address
           FROM read.audit_trail e
           WHERE e.tenant = %(tenant)s
             AND (%(after_at)s::timestamptz IS NULL OR e.at <= %(after_at)s
                  AND (e.at, 1, e.position) < (%(after_at)s, %(after_source)s, %(after_number)s))
             AND (%(actor)s::text IS NULL OR e.actor = %(actor)s)
             AND (%(actions)s::text[] IS NULL OR e.action = ANY (%(actions)s))
             AND (%(stream)s::uuid IS NULL OR e.resource = %(stream)s)
             AND (%(kind)s::text IS NULL OR e.kind = %(kind)s)
             AND (%(since)s::timestamptz IS NULL OR e.at >= %(since)s)
             AND (%(until)s::timestamptz IS NULL OR e.at < %(until)s)
           ORDER BY e.at DESC, e.position DESC LIMIT %(limit)s)
          UNION ALL
          (SELECT 0, r.id, r.at, r.actor, NULL, 'endpoint', r.endpoint, NULL, r.request_id, NULL,
             r.status, r.reason, r.method,
             CASE WHEN r.tenant IS NOT NULL OR %(operator)s THEN r.address ELSE
               network(set_masklen(r.address, CASE family(r.address) WHEN 4 THEN 24 ELSE 48 END))
             END
           FROM audit.refusals r
           WHERE (r.tenant = %(tenant)s OR r.tenant IS NULL) AND %(stream)s::uuid IS NULL
             AND (%(after_at)s::timestamptz IS NULL OR r.at <= %(after_at)s
                  AND (r.at, 0, r.id) < (%(after_at)s, %(after_source)s, %(after_number)s))
             AND (%(actor)s::text IS NULL OR r.actor = %(actor)s)
             AND (%(statuses)s::int[] IS NULL OR r.status = ANY (%(statuses)s))
             AND (%(kind)s::text IS NULL OR r.endpoint = %(kind)s)
             AND (%(since)s::timestamptz IS NULL OR r.at >= %(since)s)
             AND (%(until)s::timestamptz IS NULL OR r.at < %(until)s)
           ORDER BY r.at DESC, r.id DESC LIMIT %(limit)s)
        ) t LEFT JOIN audit.origins o ON t.source = 1 AND o.tenant = %(tenant)s
          AND o.actor = t.actor AND o.request_id = t.request_id
        ORDER BY t.at DESC, t.source DESC, t.number DESC LIMIT %(limit)s
        """,
        {
            **wanted.params(),
            "after_at": after.at if after else None,
            "after_source": after.source if after else 0,
            "after_number": after.number if after else 0,
            "operator": operator,
            "limit": limit,
        },
    )
