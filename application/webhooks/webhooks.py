"""What the endpoints themselves say in public."""

from typing import Annotated

from application.kernel import public_id
from application.webhooks.public import (
    INTERNAL,
    SOME_ID,
    Emission,
    Emissions,
    Instant,
    Payload,
    Webhook,
    like,
)
from domain.webhooks.endpoints import WebhookEndpoint

EndpointId = Annotated[str, like(f"endpoint_{SOME_ID}")]


class Ping(Payload):
    """Somebody tests an endpoint; only this endpoint is told."""

    endpoint_id: EndpointId
    tested_at: Instant


class EndpointDisabled(Payload):
    """Nothing is sent to an endpoint any more: it was switched off (`asked`), it answered 410
    (`gone`), or it has failed for five days (`failing`)."""

    endpoint_id: EndpointId
    url: Annotated[str, like("https://example.com/hooks/tidings")]
    reason: Annotated[str, like("failing")]
    disabled_at: Instant


PING = Webhook("webhook.ping", Ping, only_subject=True)
ENDPOINT_DISABLED = Webhook("webhook.endpoint.disabled", EndpointDisabled)

WEBHOOKS = (PING, ENDPOINT_DISABLED)


def _ping(event: WebhookEndpoint.Tested) -> Ping:
    return Ping(endpoint_id=public_id("endpoint", event.originator_id), tested_at=event.timestamp)


def _disabled(event: WebhookEndpoint.Disabled) -> EndpointDisabled:
    return EndpointDisabled(
        endpoint_id=public_id("endpoint", event.originator_id),
        url=event.url,
        reason=event.reason,
        disabled_at=event.timestamp,
    )


EMISSIONS: Emissions = {
    WebhookEndpoint.Registered: INTERNAL,
    WebhookEndpoint.UrlChanged: INTERNAL,
    WebhookEndpoint.EventsChanged: INTERNAL,
    WebhookEndpoint.DescriptionChanged: INTERNAL,
    WebhookEndpoint.HeadersChanged: INTERNAL,
    WebhookEndpoint.RateLimitChanged: INTERNAL,
    WebhookEndpoint.SigningChanged: INTERNAL,
    WebhookEndpoint.SecretRotated: INTERNAL,
    WebhookEndpoint.Tested: [Emission(PING, _ping)],
    WebhookEndpoint.ReplayRequested: INTERNAL,
    WebhookEndpoint.RetryRequested: INTERNAL,
    WebhookEndpoint.Disabled: [Emission(ENDPOINT_DISABLED, _disabled)],
    WebhookEndpoint.Enabled: INTERNAL,
    WebhookEndpoint.Removed: INTERNAL,
}
