"""What the management of webhooks answers with."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from application.kernel import public_id
from application.webhooks.public import Webhook
from application.webhooks.webhooks import PING
from domain.webhooks.endpoints import EndpointStatus, WebhookEndpoint
from infrastructure.webhooks.messages import message_id

Status = Literal["pending", "delivered", "failed"]


class EventType(BaseModel):
    """One public event."""

    model_config = ConfigDict(serialize_by_alias=True)

    name: str
    description: str
    version: int
    payload_schema: dict[str, Any] = Field(alias="schema")
    example: dict[str, Any]

    @classmethod
    def of(cls, webhook: Webhook) -> Self:
        return cls(
            name=webhook.name,
            description=webhook.description,
            version=webhook.version,
            schema=webhook.payload.model_json_schema(mode="serialization"),
            example=webhook.payload.example().model_dump(mode="json"),
        )


class EventTypes(BaseModel):
    """The catalogue."""

    success: bool = True
    event_types: list[EventType]


class Endpoint(BaseModel):
    """A receiver, as it stands after a command."""

    success: bool = True
    endpoint_id: str
    url: str
    events: list[str]
    description: str
    header_names: list[str]
    rate_limit: int | None
    asymmetric: bool
    public_key: str | None
    status: EndpointStatus
    created_at: datetime

    @classmethod
    def of(cls, endpoint: WebhookEndpoint, **more: Any) -> Self:
        return cls(
            endpoint_id=public_id("endpoint", endpoint.id),
            url=endpoint.url,
            events=list(endpoint.events),
            description=endpoint.description,
            header_names=list(endpoint.header_names),
            rate_limit=endpoint.rate_limit,
            asymmetric=endpoint.asymmetric,
            public_key=endpoint.public_key if endpoint.asymmetric else None,
            status=endpoint.status,
            created_at=endpoint.created_on,
            **more,
        )


class EndpointWithSecret(Endpoint):
    """The only answer that shows the secret; null in a repeat after it has been forgotten."""

    secret: str | None

    @classmethod
    def of(cls, endpoint: WebhookEndpoint, **more: Any) -> Self:
        """With the name of the secret in its place: what is kept to answer repeats has none."""
        return super().of(endpoint, secret=endpoint.secret.hex, **more)


class EndpointDetail(Endpoint):
    """A receiver and how its deliveries are doing."""

    updated_at: datetime
    disabled_at: datetime | None
    disabled_reason: str | None
    notice: str | None
    pending: int
    delivered: int
    failed: int
    success_rate: float | None
    last_delivered_at: datetime | None
    last_failure_at: datetime | None
    failing_since: datetime | None
    positions_to_replay: int

    _version: int = PrivateAttr()

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> Self:
        ended = row["delivered"] + row["failed"]
        shown = {
            **row,
            "endpoint_id": public_id("endpoint", row["id"]),
            "public_key": row["public_key"] if row["asymmetric"] else None,
            "notice": _notice(row),
            "success_rate": round(row["delivered"] / ended, 4) if ended else None,
            "positions_to_replay": row["to_replay"],
        }
        detail = cls.model_validate(shown)
        detail._version = row["version"]
        return detail


def _notice(row: dict[str, Any]) -> str | None:
    """What its owner should know."""
    match row["disabled_reason"]:
        case "gone":
            return "Disabled because it answered 410 Gone. Enable it to receive events again."
        case "failing":
            return (
                "Disabled because it answered nothing well for five days. Enable it, then replay"
                " what it has missed."
            )
    if row["failing_since"] is not None:
        return "Failing; it is disabled when it answers nothing well for five days."
    return None


class EndpointList(BaseModel):
    """All receivers of the tenant."""

    success: bool = True
    endpoints: list[EndpointDetail]


class Accepted(BaseModel):
    """Something will be done about an endpoint."""

    success: bool = True
    endpoint_id: str

    @classmethod
    def of(cls, endpoint: WebhookEndpoint) -> Self:
        return cls(endpoint_id=public_id("endpoint", endpoint.id))


class TestAccepted(Accepted):
    """A ping is on its way."""

    __test__ = False

    event: str = PING.name
    webhook_id: str = ""
    delivery_id: str = ""


class ReplayAccepted(Accepted):
    """A replay has begun: of these events, from one position of the log to another."""

    events: list[str]
    first_position: int
    last_position: int


class Attempt(BaseModel):
    """One request, and what came back: `answer` is its first kilobyte."""

    at: datetime
    status: int | None
    latency_ms: int
    error: str | None
    answer: str | None

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        answer: bytes | None = row["answer"]
        return cls(
            at=row["at"],
            status=row["status"],
            latency_ms=row["milliseconds"],
            error=row["error"],
            answer=None if answer is None else answer.decode("utf-8", "replace"),
        )


class Delivery(BaseModel):
    """One message for one endpoint."""

    delivery_id: str
    endpoint_id: str
    webhook_id: str
    event: str
    position: int
    status: Status
    attempt_count: int
    next_attempt_at: datetime | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, row: dict[str, Any], **more: Any) -> Self:
        return cls(
            delivery_id=public_id("delivery", row["id"]),
            endpoint_id=public_id("endpoint", row["endpoint_id"]),
            webhook_id=message_id(row["position"], row["name"]),
            event=row["name"],
            position=row["position"],
            status=row["status"],
            attempt_count=row["attempts"],
            next_attempt_at=row["due"],
            error=row["error"],
            created_at=row["created_at"],
            finished_at=row["finished_at"],
            **more,
        )


class DeliveryDetail(Delivery):
    """The same with every attempt, the earliest first."""

    success: bool = True
    attempts: list[Attempt]


class DeliveryList(BaseModel):
    """A page of deliveries, the latest event first; `next_cursor` is null on the last one."""

    success: bool = True
    deliveries: list[Delivery]
    next_cursor: str | None
