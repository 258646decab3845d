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
    # Read backwards, but written forwards: pages that grow at their end stay full.
    indexes=[("at", "position"), ("actor", "at", "position"), ("action", "at", "position")],
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

    def conditions(self) -> tuple[str, str, Mapping[str, Any]]:
        """What events and refusals must be, in SQL, with its parameters. Only what is asked for
        stands there, so that each question finds the index that is made for it."""
        events, refusals, params = "", "", dict[str, Any]()
        if self.actor is not None:
            events, refusals = " AND e.actor = %(actor)s", " AND r.actor = %(actor)s"
            params["actor"] = self.actor
        if self.action is not None:
            prefix = f"{self.action}."
            wanted = {a for a in ACTIONS if a == self.action or a.startswith(prefix)}
            actions = sorted(wanted.difference(REFUSED.values()))
            # Of one action the index gives the rows in order; of several it does not.
            single = len(actions) == 1
            events += f" AND e.action = {'%(actions)s' if single else 'ANY (%(actions)s)'}"
            refusals += " AND r.status = ANY (%(statuses)s)"
            params["actions"] = actions[0] if single else actions
            params["statuses"] = [status for status, name in REFUSED.items() if name in wanted]
        match self.resource:
            case UUID():
                events += " AND e.resource = %(resource)s"
                refusals += " AND false"
                params["resource"] = self.resource
            case str():
                events += " AND e.kind = %(resource)s"
                refusals += " AND r.endpoint = %(resource)s"
                params["resource"] = self.resource
        for name, sign, instant in (("since", ">=", self.since), ("until", "<", self.until)):
            if instant is not None:
                events += f" AND e.at {sign} %({name})s"
                refusals += f" AND r.at {sign} %({name})s"
                params[name] = instant
        return events, refusals, params


def trail(
    wanted: Filter, limit: int, after: Place | None = None, *, operator: bool = False
) -> Query[dict[str, Any]]:
    """The latest entries first, behind the place where the page before ended.

    Refusals of nobody's tenant are in everybody's trail; unless `operator`, their addresses are
    cut to the network (/24, /48).
    """
    events, refusals, params = wanted.conditions()
    if after is not None:
        events += _BEHIND.format(row="e", source=1, number="position")
        refusals += _BEHIND.format(row="r", source=0, number="id")
        params = {**params, "at": after.at, "source": after.source, "number": after.number}
    sql = _TRAIL.format(events=events, refusals=refusals)
    return Query(AuditTrail, sql, {**params, "operator": operator, "limit": limit})


_BEHIND = (
    " AND {row}.at <= %(at)s"
    " AND ({row}.at, {source}, {row}.{number}) < (%(at)s, %(source)s, %(number)s)"
)

_TRAIL = """
SELECT t.*, coalesce(t.own_address, o.address) AS address FROM (
  (SELECT 1 AS source, e.position AS number, e.at, e.actor, e.action, e.kind,
     e.resource::text AS resource, e.version, e.request_id, e.causation_id,
     NULL::int AS status, NULL AS reason, NULL AS method, NULL::inet AS own_address
   FROM read.audit_trail e WHERE e.tenant = %(tenant)s{events}
   ORDER BY e.at DESC, e.position DESC LIMIT %(limit)s)
  UNION ALL
  (SELECT 0, r.id, r.at, r.actor, NULL, 'endpoint', r.endpoint, NULL, r.request_id, NULL,
     r.status, r.reason, r.method, r.address
   FROM audit.refusals r WHERE r.tenant = %(tenant)s{refusals}
   ORDER BY r.at DESC, r.id DESC LIMIT %(limit)s)
  UNION ALL
  (SELECT 0, r.id, r.at, r.actor, NULL, 'endpoint', r.endpoint, NULL, r.request_id, NULL,
     r.status, r.reason, r.method,
     CASE WHEN %(operator)s THEN r.address ELSE
       network(set_masklen(r.address, CASE family(r.address) WHEN 4 THEN 24 ELSE 48 END)) END
   FROM audit.refusals r WHERE r.tenant IS NULL{refusals}
   ORDER BY r.at DESC, r.id DESC LIMIT %(limit)s)
) t LEFT JOIN audit.origins o ON t.source = 1 AND o.tenant = %(tenant)s
  AND o.actor = t.actor AND o.request_id = t.request_id
ORDER BY t.at DESC, t.source DESC, t.number DESC LIMIT %(limit)s
"""
