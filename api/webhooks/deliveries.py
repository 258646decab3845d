"""Deliveries: what is on its way to receivers, what has arrived, and what has not."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from api.kernel import ADMINS, WRITERS, AtDesk, AtReads, Router
from api.paths import inner_id, path_id
from api.webhooks.endpoints import AtWebhooks
from api.webhooks.models import (
    Accepted,
    Attempt,
    Delivery,
    DeliveryDetail,
    DeliveryList,
    Status,
)
from application.kernel import Answer
from application.webhooks.catalogue import WEBHOOKS
from application.webhooks.endpoints import RetryDelivery
from domain.kernel import Invalid, NotFound
from domain.webhooks.endpoints import WebhookEndpoint
from infrastructure.webhooks.management import Wanted

router = Router(prefix="/api/v1/webhooks", tags=["Webhooks"])

DeliveryId = Annotated[UUID, path_id("delivery")]


@router.get("/deliveries", id="webhooks.deliveries.list", roles=WRITERS, limit="3600/hour")
async def list_deliveries(
    reads: AtReads,
    at: AtWebhooks,
    endpoint_id: str | None = None,
    status: Status | None = None,
    event: str | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> DeliveryList:
    """What is on its way, what has arrived and what has not, the latest event first."""
    if event is not None and event not in WEBHOOKS:
        raise Invalid(f"There is no event {event!r}.", field="event")
    wanted = Wanted(
        endpoint_id=None if endpoint_id is None else inner_id("endpoint", "endpoint", endpoint_id),
        status=status,
        name=event,
        before=_cursor(cursor),
        limit=limit + 1,
    )
    rows = await at.deliveries(reads.caller, wanted, reads.at_least)
    page = [Delivery.of(row) for row in rows[:limit]]
    return DeliveryList(
        deliveries=page, next_cursor=page[-1].delivery_id if len(rows) > limit else None
    )


def _cursor(text: str | None) -> UUID | None:
    if text is None:
        return None
    try:
        return inner_id("delivery", "delivery", text)
    except NotFound:
        raise Invalid("The cursor is the next_cursor of a page before.", field="cursor") from None


@router.get(
    "/deliveries/{delivery_id}", id="webhooks.deliveries.read", roles=WRITERS, limit="3600/hour"
)
async def read_delivery(id: DeliveryId, reads: AtReads, at: AtWebhooks) -> DeliveryDetail:
    """One delivery and every attempt at it."""
    row, attempts = await at.delivery(reads.caller, id, reads.at_least)
    return DeliveryDetail.of(row, attempts=[Attempt.of(each) for each in attempts])


@router.post(
    "/deliveries/{delivery_id}/retry",
    id="webhooks.deliveries.retry",
    roles=ADMINS,
    limit="1000/hour",
)
async def retry_delivery(
    id: DeliveryId, reads: AtReads, desk: AtDesk, at: AtWebhooks
) -> Answer[Accepted]:
    """Make the next attempt at a delivery now, whatever became of it before."""
    row, _ = await at.delivery(reads.caller, id)
    return await desk.change(WebhookEndpoint, row["endpoint_id"], RetryDelivery(id), Accepted.of)
