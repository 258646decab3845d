"""What may be asked of webhook endpoints.

Secrets, and the values of a receiver's own headers, are put away before anything is decided;
what is decided only names where they are kept.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from application.instants import AnyInstant
from application.kernel import Command
from application.webhooks.catalogue import as_patterns, both, check_patterns, wanted
from domain.kernel import Invalid, now
from domain.webhooks.endpoints import DisabledBecause, EndpointStatus, WebhookEndpoint

OVERLAP = timedelta(hours=24)
"""How long a former secret keeps signing beside the new one."""

MOST_HEADERS = 20
MOST_HEADER_TEXT = 4096
"""A receiver's own headers: how many, and characters of all together."""


def _unique(patterns: list[str]) -> list[str]:
    return list(dict.fromkeys(check_patterns(patterns, of_networks=True)))


def _bounded(headers: dict[str, str]) -> dict[str, str]:
    if sum(len(name) + len(value) for name, value in headers.items()) > MOST_HEADER_TEXT:
        raise ValueError(f"At most {MOST_HEADER_TEXT} characters of headers")
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("A header is named twice")
    return headers


Url = Annotated[str, Field(min_length=1, max_length=2048, examples=["https://example.com/hook"])]
Patterns = Annotated[
    list[Annotated[str, Field(max_length=100)]],
    Field(
        min_length=1,
        max_length=100,
        examples=[["social.*", "payment.failed"]],
        description="Names of events, `social.*`, or `*`; `social.*@twitter` is only those about"
        " that network",
    ),
    AfterValidator(_unique),
]
Description = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Headers = Annotated[dict[str, str], Field(max_length=MOST_HEADERS), AfterValidator(_bounded)]
RateLimit = Annotated[int, Field(ge=1, le=10_000, description="Messages a second")]


@dataclass(frozen=True, slots=True)
class NewSecret:
    """Where a secret is kept, and the public half of its key pair."""

    id: UUID
    public_key: str


class EndpointRequest(Command):
    """Register a receiver. `asymmetric` has messages signed with an ed25519 key (`v1a`) too."""

    url: Url
    events: Patterns
    description: Description = ""
    headers: Headers | None = None
    rate_limit: RateLimit | None = None
    asymmetric: bool = False


@dataclass(frozen=True, slots=True)
class RegisterEndpoint:
    """The request, with its secrets put away. An `id` is for what must not be made twice."""

    request: EndpointRequest
    secret: NewSecret
    headers: UUID | None = None
    id: UUID | None = None

    def handle(self) -> WebhookEndpoint:
        asked = self.request
        return WebhookEndpoint._create(
            WebhookEndpoint.Registered,
            id=self.id,
            url=asked.url,
            events=tuple(asked.events),
            description=asked.description,
            header_names=tuple(asked.headers or ()),
            headers=self.headers,
            rate_limit=asked.rate_limit,
            asymmetric=asked.asymmetric,
            secret=self.secret.id,
            public_key=self.secret.public_key,
        )


class EndpointChange(Command):
    """Change what is given and leave the rest. `headers` replaces all of them; null removes the
    headers, or the rate limit."""

    url: Url | None = None
    events: Patterns | None = None
    description: Description | None = None
    headers: Headers | None = None
    rate_limit: RateLimit | None = None
    asymmetric: bool | None = None
    status: EndpointStatus | None = None

    @model_validator(mode="after")
    def _something(self) -> "EndpointChange":
        if not self.model_fields_set:
            raise ValueError("Name at least one field to change")
        return self


@dataclass(frozen=True, slots=True)
class ChangeEndpoint:
    """The change, with the headers' values put away."""

    change: EndpointChange
    headers: UUID | None

    def handle(self, endpoint: WebhookEndpoint) -> None:
        change = self.change
        if change.url is not None:
            endpoint.change_url(change.url)
        if change.events is not None:
            endpoint.change_events(change.events)
        if change.description is not None:
            endpoint.change_description(change.description)
        if "headers" in change.model_fields_set:
            endpoint.change_headers(tuple(change.headers or ()), self.headers)
        if "rate_limit" in change.model_fields_set:
            endpoint.change_rate_limit(change.rate_limit)
        if change.asymmetric is not None:
            endpoint.change_signing(change.asymmetric)
        if change.status is EndpointStatus.ENABLED:
            endpoint.enable()
        elif change.status is EndpointStatus.DISABLED:
            endpoint.disable(DisabledBecause.ASKED)


@dataclass(frozen=True, slots=True)
class RotateSecret:
    """Sign with a new secret from now on, and with the former one for a day more."""

    secret: NewSecret

    def handle(self, endpoint: WebhookEndpoint) -> None:
        endpoint.rotate_secret(self.secret.id, self.secret.public_key, now() + OVERLAP)


class TestEndpoint(Command):
    """Send `webhook.ping` now."""

    __test__ = False

    def handle(self, endpoint: WebhookEndpoint) -> None:
        endpoint.test()


class ReplayRequest(Command):
    """Send again what happened from `since` on, before `until`; only `events` of those that the
    endpoint gets, or only what has failed."""

    since: AnyInstant
    until: AnyInstant | None = None
    events: Patterns | None = None
    only_failed: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> "ReplayRequest":
        if self.until is not None and self.until <= self.since:
            raise ValueError("until must come after since")
        return self


@dataclass(frozen=True, slots=True)
class ReplayEvents:
    """The replay, as positions in the log; what `events` stand for is settled here."""

    request: ReplayRequest
    first: int
    last: int

    def names(self, endpoint: WebhookEndpoint) -> list[str]:
        """What is sent again: of the events that the endpoint gets, those that were asked for."""
        gets, asked = wanted(endpoint.events), self.request.events
        return as_patterns(gets if asked is None else both(gets, wanted(asked)))

    def handle(self, endpoint: WebhookEndpoint) -> None:
        if self.request.since > now():
            raise Invalid("since lies in the future.", field="since")
        names = self.names(endpoint)
        if not names:
            raise Invalid("The endpoint gets none of these events.", field="events")
        endpoint.replay(names, self.first, self.last, self.request.only_failed)


@dataclass(frozen=True, slots=True)
class RetryDelivery:
    """Make the next attempt at one delivery now."""

    delivery: UUID

    def handle(self, endpoint: WebhookEndpoint) -> None:
        endpoint.retry(self.delivery)


class DisableEndpoint(Command):
    """The house has reason to send nothing there any more."""

    reason: DisabledBecause

    def handle(self, endpoint: WebhookEndpoint) -> None:
        endpoint.disable(self.reason)


class RemoveEndpoint(Command):
    """Forget a receiver."""

    def handle(self, endpoint: WebhookEndpoint) -> None:
        endpoint.remove()
