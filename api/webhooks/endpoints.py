"""Receivers of webhooks: who is told what, where, and what became of it."""

from dataclasses import replace
from functools import cache
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import Depends, Request

from api.kernel import ADMINS, WRITERS, AtDesk, AtReads, Router
from api.paths import path_id
from api.requests import house
from api.webhooks.models import (
    Accepted,
    Endpoint,
    EndpointDetail,
    EndpointList,
    EndpointWithSecret,
    EventType,
    EventTypes,
    ReplayAccepted,
    TestAccepted,
)
from application.kernel import Answer, Desk, public_id
from application.webhooks.catalogue import WEBHOOKS
from application.webhooks.endpoints import (
    ChangeEndpoint,
    EndpointChange,
    EndpointRequest,
    RegisterEndpoint,
    RemoveEndpoint,
    ReplayEvents,
    ReplayRequest,
    RotateSecret,
    TestEndpoint,
)
from application.webhooks.webhooks import PING
from domain.webhooks.endpoints import WebhookEndpoint
from infrastructure.webhooks.management import Webhooks
from infrastructure.webhooks.messages import delivery_id, message_id
from projections.webhooks.endpoints import endpoint_detail, endpoint_list

router = Router(prefix="/api/v1/webhooks", tags=["Webhooks"])


async def webhooks(request: Request) -> Webhooks:
    """This process's webhooks, made when somebody first asks for them."""
    state = request.app.state
    if not hasattr(state, "webhooks"):
        at_home = house(request)
        state.webhooks = Webhooks.of(at_home.settings, at_home.log.pool)
    return state.webhooks  # type: ignore[no-any-return]


AtWebhooks = Annotated[Webhooks, Depends(webhooks)]
EndpointId = Annotated[UUID, path_id("endpoint")]


@router.get("/event-types", id="webhooks.event_types", roles=WRITERS, limit="3600/hour")
async def list_event_types() -> EventTypes:
    """The catalogue: everything that an endpoint can be told."""
    return _event_types()


@cache
def _event_types() -> EventTypes:
    return EventTypes(event_types=[EventType.of(webhook) for webhook in WEBHOOKS.values()])


@router.post("/endpoints", id="webhooks.endpoints.create", roles=ADMINS, limit="1000/hour")
async def register_endpoint(
    request: EndpointRequest, desk: AtDesk, at: AtWebhooks
) -> Answer[EndpointWithSecret]:
    """Register a receiver. The answer shows the secret that it verifies messages with."""
    await at.admit(request.url)
    headers = await at.keep_headers(desk.tenant, request.headers)
    command = RegisterEndpoint(request, await at.keep_secret(desk.tenant), headers)
    return await _revealed(at, desk, await desk.create(command, EndpointWithSecret.of))


@router.get("/endpoints", id="webhooks.endpoints.list", roles=WRITERS, limit="3600/hour")
async def list_endpoints(reads: AtReads) -> EndpointList:
    """All receivers, with the figures of their deliveries."""
    rows = await reads.all(endpoint_list())
    return EndpointList(endpoints=[EndpointDetail.of_row(row) for row in rows])


@router.get(
    "/endpoints/{endpoint_id}", id="webhooks.endpoints.read", roles=WRITERS, limit="3600/hour"
)
async def read_endpoint(id: EndpointId, reads: AtReads) -> EndpointDetail:
    """One receiver, likewise."""
    return EndpointDetail.of_row(await reads.one(endpoint_detail(id), "endpoint"))


@router.patch(
    "/endpoints/{endpoint_id}", id="webhooks.endpoints.update", roles=ADMINS, limit="1000/hour"
)
async def change_endpoint(
    id: EndpointId, change: EndpointChange, desk: AtDesk, at: AtWebhooks
) -> Answer[Endpoint]:
    """Change what is given. `status` switches it off and on; what was waiting is given up."""
    if change.url is not None:
        await at.admit(change.url)
    headers = await at.keep_headers(desk.tenant, change.headers)
    return await desk.change(WebhookEndpoint, id, ChangeEndpoint(change, headers), Endpoint.of)


@router.delete(
    "/endpoints/{endpoint_id}", id="webhooks.endpoints.delete", roles=ADMINS, limit="1000/hour"
)
async def remove_endpoint(id: EndpointId, desk: AtDesk) -> Answer[Accepted]:
    """Forget a receiver; what was waiting is given up."""
    return await desk.change(WebhookEndpoint, id, RemoveEndpoint(), Accepted.of)


@router.post(
    "/endpoints/{endpoint_id}/rotate-secret",
    id="webhooks.endpoints.rotate_secret",
    roles=ADMINS,
    limit="100/hour",
)
async def rotate_secret(id: EndpointId, desk: AtDesk, at: AtWebhooks) -> Answer[EndpointWithSecret]:
    """Sign with a new secret; the old one keeps signing beside it for 24 hours."""
    command = RotateSecret(await at.keep_secret(desk.tenant))
    answer = await desk.change(WebhookEndpoint, id, command, EndpointWithSecret.of)
    return await _revealed(at, desk, answer)


async def _revealed(
    at: Webhooks, desk: Desk, answer: Answer[EndpointWithSecret]
) -> Answer[EndpointWithSecret]:
    """The answer with the secret in the place of its name."""
    body = orjson.loads(answer.body)
    body["secret"] = await at.reveal(desk.tenant, UUID(body["secret"]))
    return replace(answer, body=orjson.dumps(body))


@router.post(
    "/endpoints/{endpoint_id}/test", id="webhooks.endpoints.test", roles=ADMINS, limit="1000/hour"
)
async def test_endpoint(id: EndpointId, desk: AtDesk) -> Answer[TestAccepted]:
    """Send `webhook.ping` to this endpoint now; the delivery tells what came of it."""
    answer = await desk.change(WebhookEndpoint, id, TestEndpoint(), TestAccepted.of)
    assert answer.position is not None
    body = orjson.loads(answer.body)
    body["webhook_id"] = message_id(answer.position, PING.name)
    delivery = delivery_id(answer.position, id, PING.name)
    body["delivery_id"] = public_id("delivery", delivery)
    return replace(answer, body=orjson.dumps(body))


@router.post(
    "/endpoints/{endpoint_id}/replay",
    id="webhooks.endpoints.replay",
    roles=ADMINS,
    limit="100/hour",
)
async def replay_events(
    id: EndpointId, request: ReplayRequest, desk: AtDesk, at: AtWebhooks
) -> Answer[ReplayAccepted]:
    """Send past events again, straight from the log, each with the `webhook-id` it always had."""
    first, last = await at.positions(request.since, request.until)
    command = ReplayEvents(request, first, last)
    return await desk.change(
        WebhookEndpoint,
        id,
        command,
        lambda endpoint: ReplayAccepted(
            endpoint_id=public_id("endpoint", endpoint.id),
            events=command.names(endpoint),
            first_position=first,
            last_position=last,
        ),
    )
