"""What the notifications context says in public."""

from typing import Annotated

from application.webhooks.public import SOME_ID, Emissions, Instant, Payload, Webhook, like

NotificationId = Annotated[str, like(f"ntf_{SOME_ID}")]
Recipient = Annotated[str, like(f"usr_{SOME_ID}")]


class NotificationSent(Payload):
    """A notification has gone out on its channels."""

    notification_id: NotificationId
    channels: Annotated[list[str], like(["email", "push"])]
    recipient: Recipient


class NotificationDelivered(Payload):
    """A channel has delivered a notification."""

    notification_id: NotificationId
    channel: Annotated[str, like("email")]
    recipient: Recipient
    delivered_at: Instant


WEBHOOKS = (
    Webhook("notification.sent", NotificationSent),
    Webhook("notification.delivered", NotificationDelivered),
)

EMISSIONS: Emissions = {}
