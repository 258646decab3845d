"""What the email context says in public."""

from typing import Annotated

from application.webhooks.public import (
    SOME_ID,
    Emissions,
    Instant,
    Payload,
    Webhook,
    like,
)

CampaignId = Annotated[str, like(f"cmp_{SOME_ID}")]
MessageId = Annotated[str, like(f"msg_{SOME_ID}")]
SubscriberId = Annotated[str, like(f"sub_{SOME_ID}")]
AutomationId = Annotated[str, like(f"auto_{SOME_ID}")]
Address = Annotated[str, like("ada@example.com")]
ListIds = Annotated[list[str], like([f"list_{SOME_ID}"])]


class CampaignCreated(Payload):
    """A mailing has been set up."""

    campaign_id: CampaignId
    name: Annotated[str, like("March letter")]
    total_recipients: Annotated[int, like(12000)]


class CampaignSent(Payload):
    """A mailing has gone out to all of its recipients."""

    campaign_id: CampaignId
    sent_count: Annotated[int, like(11987)]
    sent_at: Instant


class MessageSent(Payload):
    """A transactional message has been accepted by the mail provider."""

    message_id: MessageId
    recipient: Address
    status: Annotated[str, like("sent")]


class MessageDelivered(Payload):
    """A message has arrived, says the mail provider."""

    message_id: MessageId
    recipient: Address
    delivered_at: Instant


class MessageBounced(Payload):
    """A message has come back."""

    message_id: MessageId
    recipient: Address
    bounce_type: Annotated[str, like("hard")]
    reason: Annotated[str, like("550 5.1.1 User unknown")]


class SubscriberAdded(Payload):
    """A person has joined mailing lists."""

    subscriber_id: SubscriberId
    email: Address
    list_ids: ListIds


class SubscriberConfirmed(Payload):
    """A subscriber has confirmed the address."""

    subscriber_id: SubscriberId
    email: Address
    list_ids: ListIds
    confirmed_at: Instant


class TemplateCreated(Payload):
    """A template has been stored."""

    template_id: Annotated[str, like(f"tpl_{SOME_ID}")]
    name: Annotated[str, like("Welcome")]
    version: Annotated[int, like(1)]
    created_at: Instant


class ListCreated(Payload):
    """A mailing list has been set up."""

    list_id: Annotated[str, like(f"list_{SOME_ID}")]
    name: Annotated[str, like("Newsletter")]
    subscription_type: Annotated[str, like("double_opt_in")]
    created_at: Instant


class AutomationCreated(Payload):
    """An automation has been set up."""

    automation_id: AutomationId
    name: Annotated[str, like("Welcome series")]
    trigger_type: Annotated[str, like("subscription")]
    status: Annotated[str, like("active")]
    total_steps: Annotated[int, like(3)]
    created_at: Instant


class AutomationTriggered(Payload):
    """A subscriber has entered an automation."""

    automation_id: AutomationId
    trigger_type: Annotated[str, like("subscription")]
    subscriber_id: SubscriberId
    step: Annotated[int, like(1)]
    triggered_at: Instant


class DeliverabilityAlert(Payload):
    """A mail domain has problems; told once for each finding."""

    domain: Annotated[str, like("mail.example.com")]
    overall_health: Annotated[str, like("poor")]
    health_score: Annotated[float, like(0.42)]
    issues: Annotated[list[str], like(["The DKIM key cannot be found."])]
    checked_at: Instant


WEBHOOKS = (
    Webhook("email.campaign.created", CampaignCreated),
    Webhook("email.campaign.sent", CampaignSent),
    Webhook("email.sent", MessageSent),
    Webhook("email.delivered", MessageDelivered),
    Webhook("email.bounced", MessageBounced),
    Webhook("email.subscriber.added", SubscriberAdded),
    Webhook("email.subscriber.confirmed", SubscriberConfirmed),
    Webhook("email.template.created", TemplateCreated),
    Webhook("email.list.created", ListCreated),
    Webhook("email.automation.created", AutomationCreated),
    Webhook("email.automation.triggered", AutomationTriggered),
    Webhook("email.deliverability.alert", DeliverabilityAlert),
)

EMISSIONS: Emissions = {}
