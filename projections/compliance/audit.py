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
    {"actor": str, "action": str, "request_id": str, "causation_id": str | None},
    key={"position": int},
    indexes=[("actor", "position"), ("action", "position")],
)
"""What the log has no columns for, and what is looked for; the rest is read from the log itself."""


class AuditTrail(ReadModel):
    """One row for each event there is."""

    name = "audit_trail"
    version = 2
    tables = (TRAIL,)
    events = tuple(EMISSIONS)

    def project(self, event: DomainEvent, rows: Rows) -> None:
        rows(TRAIL)[rows.position].insert(
            actor=event.actor,
            action=event.TOPIC,
            request_id=event.correlation_id,
            causation_id=event.causation_id,
        )


KINDS = {event.TOPIC: event.aggregate.TOPIC for event in EMISSIONS}
"""By the name of each event that can be in the trail, the kind of its aggregate."""

ACTIONS = (*sorted(KINDS), *REFUSED.values())
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

    def events(self) -> tuple[str, Mapping[str, Any]]:
        """What events must be, in SQL, with its parameters. Only what is asked for stands there,
        so that each question finds the index that is made for it."""
        conditions, params = "", dict[str, Any]()
        if self.actor is not None:
            conditions, params["actor"] = " AND actor = %(actor)s", self.actor
        wanted = set(KINDS) if self.action is None else _named(self.action).intersection(KINDS)
        match self.resource:
            case UUID():
                conditions += _OF_STREAM
                params["resource"] = self.resource
            case str():
                wanted = {action for action in wanted if KINDS[action] == self.resource}
        if len(wanted) < len(KINDS):
            # Of one action the index gives the rows in order; of several it does not.
            single = len(wanted) == 1
            conditions += f" AND action = {'%(actions)s' if single else 'ANY (%(actions)s)'}"
            params["actions"] = wanted.pop() if single else sorted(wanted)
        if self.since is not None:
            conditions += " AND position >= (SELECT log.position_at(%(since)s))"
        if self.until is not None:
            conditions += " AND position < (SELECT log.position_at(%(until)s))"
        return conditions, params

    def refusals(self) -> tuple[str, Mapping[str, Any]]:
        """The same for refusals."""
        conditions, params = "", dict[str, Any]()
        if self.actor is not None:
            conditions, params["actor"] = " AND r.actor = %(actor)s", self.actor
        if self.action is not None:
            wanted = _named(self.action)
            conditions += " AND r.status = ANY (%(statuses)s)"
            params["statuses"] = [status for status, name in REFUSED.items() if name in wanted]
        match self.resource:
            case UUID():
                conditions += " AND false"
            case str():
                conditions += " AND r.endpoint = %(resource)s"
                params["resource"] = self.resource
        for name, sign, instant in (("since", ">=", self.since), ("until", "<", self.until)):
            if instant is not None:
                conditions += f" AND r.at {sign} %({name})s"
                params[name] = instant
        return conditions, params


def _named(action: str) -> set[str]:
    prefix = f"{action}."
    return {each for each in ACTIONS if each == action or each.startswith(prefix)}


def trail(
    wanted: Filter, limit: int, after: Place | None = None, *, operator: bool = False
) -> Query[dict[str, Any]]:
    """The latest entries first, behind the place where the page before ended.

    Refusals of nobody's tenant are in everybody's trail; unless `operator`, their addresses are
    cut to the network (/24, /48).
    """
    events, of_events = wanted.events()
    refusals, of_refusals = wanted.refusals()
    params = {**of_events, **of_refusals, "operator": operator, "limit": limit}
    if after is not None:
        # Of what happened in one instant events come before refusals.
        behind = "%(number)s" if after.source else "(SELECT log.position_at(%(at)s))"
        events += f" AND position < {behind}"
        refusals += " AND r.at <= %(at)s AND (r.at, 0, r.id) < (%(at)s, %(source)s, %(number)s)"
        params |= {"at": after.at, "source": after.source, "number": after.number}
    return Query(AuditTrail, _TRAIL.format(events=events, refusals=refusals), params)


_OF_STREAM = (
    " AND position = ANY (ARRAY(SELECT position FROM log.events"
    " WHERE stream_id = %(resource)s AND tenant = %(tenant)s))"
)

_TRAIL = """
SELECT t.*, coalesce(t.own_address, o.address) AS address FROM (
  (SELECT 1 AS source, position AS number, l.recorded_at AS at, e.actor, e.action,
     l.stream_id::text AS resource, l.version, e.request_id, e.causation_id,
     NULL::int AS status, NULL AS reason, NULL AS method, NULL::inet AS own_address
   FROM (SELECT position, actor, action, request_id, causation_id FROM read.audit_trail
         WHERE tenant = %(tenant)s{events} ORDER BY position DESC LIMIT %(limit)s) e
   JOIN log.events l USING (position) WHERE l.tenant = %(tenant)s)
  UNION ALL
  (SELECT 0, r.id, r.at, r.actor, NULL, r.endpoint, NULL, r.request_id, NULL,
     r.status, r.reason, r.method, r.address
   FROM audit.refusals r WHERE r.tenant = %(tenant)s{refusals}
   ORDER BY r.at DESC, r.id DESC LIMIT %(limit)s)
  UNION ALL
  (SELECT 0, r.id, r.at, r.actor, NULL, r.endpoint, NULL, r.request_id, NULL,
     r.status, r.reason, r.method,
     CASE WHEN %(operator)s THEN r.address ELSE
       network(set_masklen(r.address, CASE family(r.address) WHEN 4 THEN 24 ELSE 48 END)) END
   FROM audit.refusals r WHERE r.tenant IS NULL{refusals}
   ORDER BY r.at DESC, r.id DESC LIMIT %(limit)s)
) t LEFT JOIN audit.origins o ON t.source = 1 AND o.tenant = %(tenant)s
  AND o.actor = t.actor AND o.request_id = t.request_id
ORDER BY t.at DESC, t.source DESC, t.number DESC LIMIT %(limit)s
"""
