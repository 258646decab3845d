"""What the support context says in public."""

from typing import Annotated

from application.webhooks.public import (
    SOME_ID,
    Emissions,
    Instant,
    Payload,
    Webhook,
    like,
)

TicketId = Annotated[str, like(f"tkt_{SOME_ID}")]
TicketNumber = Annotated[str, like("TICKET-2026-000042")]
SessionId = Annotated[str, like(f"chat_{SOME_ID}")]
ArticleId = Annotated[str, like(f"art_{SOME_ID}")]
AgentId = Annotated[str, like(f"agt_{SOME_ID}")]
CustomerAddress = Annotated[str, like("ada@example.com")]
Slug = Annotated[str, like("returning-an-order")]
Visibility = Annotated[str, like("public")]


class TicketCreated(Payload):
    """A ticket has been opened."""

    ticket_id: TicketId
    ticket_number: TicketNumber
    priority: Annotated[str, like("high")]
    customer_email: CustomerAddress


class TicketAssigned(Payload):
    """An agent has been put in charge of a ticket."""

    ticket_id: TicketId
    assigned_to: AgentId
    assigned_at: Instant


class TicketUpdated(Payload):
    """A ticket has changed."""

    ticket_id: TicketId
    ticket_number: TicketNumber
    updated_fields: Annotated[list[str], like(["priority"])]
    updated_by: Annotated[str, like(f"usr_{SOME_ID}")]
    updated_at: Instant


class TicketStatusChanged(Payload):
    """A ticket has moved to another state."""

    ticket_id: TicketId
    ticket_number: TicketNumber
    old_status: Annotated[str, like("open")]
    new_status: Annotated[str, like("in_progress")]
    changed_at: Instant


class TicketResolved(Payload):
    """A ticket has been solved. `resolution_time` is in seconds, of the service hours."""

    ticket_id: TicketId
    resolution_time: Annotated[int, like(5400)]
    resolved_at: Instant


class TicketResponseAdded(Payload):
    """An answer has been added to a ticket."""

    ticket_id: TicketId
    response_id: Annotated[str, like(f"rsp_{SOME_ID}")]
    author_type: Annotated[str, like("agent")]
    is_internal: Annotated[bool, like(False)]
    created_at: Instant


class ChatStarted(Payload):
    """A live chat has begun."""

    session_id: SessionId
    customer_email: CustomerAddress


class ChatAgentJoined(Payload):
    """An agent has taken a chat."""

    session_id: SessionId
    agent_id: AgentId
    agent_name: Annotated[str, like("Grace")]
    joined_at: Instant


class ArticleCreated(Payload):
    """An article of the knowledge base has been written."""

    article_id: ArticleId
    title: Annotated[str, like("Returning an order")]
    slug: Slug
    status: Annotated[str, like("draft")]
    visibility: Visibility
    created_at: Instant


class ArticlePublished(Payload):
    """An article of the knowledge base has gone live."""

    article_id: ArticleId
    slug: Slug
    visibility: Visibility
    public_url: Annotated[str, like("https://help.example.com/returning-an-order")]
    published_at: Instant


WEBHOOKS = (
    Webhook("support.ticket.created", TicketCreated),
    Webhook("support.ticket.assigned", TicketAssigned),
    Webhook("support.ticket.updated", TicketUpdated),
    Webhook("support.ticket.status_changed", TicketStatusChanged),
    Webhook("support.ticket.resolved", TicketResolved),
    Webhook("support.ticket.response_added", TicketResponseAdded),
    Webhook("support.chat.started", ChatStarted),
    Webhook("support.chat.agent_joined", ChatAgentJoined),
    Webhook("support.kb.article_created", ArticleCreated),
    Webhook("support.kb.article_published", ArticlePublished),
)

EMISSIONS: Emissions = {}
