"""Webhook endpoints as people look at them; figures come from deliveries, which are no events."""

from datetime import datetime
from typing import Any
from uuid import UUID

from domain.webhooks.endpoints import EndpointStatus, WebhookEndpoint
from projections.kernel import DomainEvent, Query, ReadModel, Rows, Table

ENDPOINTS = Table(
    "webhook_endpoints",
    {
        "url": str,
        "events": list[str],
        "description": str,
        "header_names": list[str],
        "rate_limit": int | None,
        "asymmetric": bool,
        "public_key": str,
        "status": str,
        "disabled_reason": str | None,
        "disabled_at": datetime | None,
        "created_at": datetime,
        "updated_at": datetime,
    },
    of_stream=WebhookEndpoint,
    indexes=[("created_at", "id")],
)


class WebhookEndpoints(ReadModel):
    name = "webhook_endpoints"
    version = 1
    tables = (ENDPOINTS,)
    events = (
        WebhookEndpoint.Registered,
        WebhookEndpoint.UrlChanged,
        WebhookEndpoint.EventsChanged,
        WebhookEndpoint.DescriptionChanged,
        WebhookEndpoint.HeadersChanged,
        WebhookEndpoint.RateLimitChanged,
        WebhookEndpoint.SigningChanged,
        WebhookEndpoint.SecretRotated,
        WebhookEndpoint.Disabled,
        WebhookEndpoint.Enabled,
        WebhookEndpoint.Removed,
    )

    def project(self, event: DomainEvent, rows: Rows) -> None:
        row = rows(ENDPOINTS)[event.originator_id]
        match event:
            case WebhookEndpoint.Registered():
                row.insert(
                    url=event.url,
                    events=list(event.events),
                    description=event.description,
                    header_names=list(event.header_names),
                    rate_limit=event.rate_limit,
                    asymmetric=event.asymmetric,
                    public_key=event.public_key,
                    status=EndpointStatus.ENABLED,
                    created_at=event.timestamp,
                    updated_at=event.timestamp,
                )
            case WebhookEndpoint.Removed():
                row.delete()
            case _:
                row.update(updated_at=event.timestamp, **_changed(event))


def _changed(event: DomainEvent) -> dict[str, Any]:
    match event:
        case WebhookEndpoint.UrlChanged(url=url):
            return {"url": url}
        case WebhookEndpoint.EventsChanged(events=events):
            return {"events": list(events)}
        case WebhookEndpoint.DescriptionChanged(description=description):
            return {"description": description}
        case WebhookEndpoint.HeadersChanged(header_names=names):
            return {"header_names": list(names)}
        case WebhookEndpoint.RateLimitChanged(rate_limit=rate_limit):
            return {"rate_limit": rate_limit}
        case WebhookEndpoint.SigningChanged(asymmetric=asymmetric):
            return {"asymmetric": asymmetric}
        case WebhookEndpoint.SecretRotated(public_key=public_key):
            return {"public_key": public_key}
        case WebhookEndpoint.Disabled(reason=reason):
            status = EndpointStatus.DISABLED
            return {
                "status": status,
                "disabled_reason": reason,
                "disabled_at": event.timestamp,
            }
        case _:
            return {
                "status": EndpointStatus.ENABLED,
                "disabled_reason": None,
                "disabled_at": None,
            }


_FIGURES = """
    SELECT e.*, coalesce(q.pending, 0) AS pending, coalesce(q.delivered, 0) AS delivered,
        coalesce(q.failed, 0) AS failed, q.last_delivered_at, q.last_failure_at, q.failing_since,
        coalesce((SELECT sum(r.last - r.next + 1) FROM webhooks.replays r
                  WHERE r.tenant = %(tenant)s AND r.endpoint_id = e.id), 0)::bigint AS to_replay
    FROM read.webhook_endpoints e
    LEFT JOIN webhooks.queues q ON q.tenant = %(tenant)s AND q.endpoint_id = e.id
    WHERE e.tenant = %(tenant)s
"""


def endpoint_list() -> Query[dict[str, Any]]:
    """All endpoints of a tenant with the figures of their deliveries, the oldest first."""
    return Query(WebhookEndpoints, _FIGURES + " ORDER BY e.created_at, e.id")


def endpoint_detail(id: UUID) -> Query[dict[str, Any]]:
    """One endpoint, likewise."""
    return Query(WebhookEndpoints, _FIGURES + " AND e.id = %(id)s", {"id": id})
