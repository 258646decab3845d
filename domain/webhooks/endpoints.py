"""An address of a tenant that is told what happens, and what it wants to be told.

Secrets and the values of a receiver's own headers are kept outside the log, sealed; events name
them by id. A leaked key can then be replaced by sealing those few rows again, which events, being
for ever, would not allow.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.kernel import Aggregate, Conflict, Invalid, NotFound, event, now
from domain.positions import GREATEST

UNTIL_NOW = GREATEST
"""The last position of a replay that ends at its own request."""

MOST_SECRETS = 5
"""Secrets that may sign at the same time: each message carries a signature of every one."""


class EndpointStatus(StrEnum):
    """Whether anything is sent."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class DisabledBecause(StrEnum):
    """Why nothing is sent any more."""

    ASKED = "asked"
    GONE = "gone"
    FAILING = "failing"


class WebhookEndpoint(Aggregate, topic="webhooks.endpoint"):
    """A receiver: where it is, which events it wants, how fast, and what it verifies with."""

    class Registered(Aggregate.Created):
        TOPIC = "webhooks.endpoint.registered"
        url: str
        events: tuple[str, ...]
        description: str
        header_names: tuple[str, ...]
        headers: UUID | None
        rate_limit: int | None
        asymmetric: bool
        secret: UUID
        public_key: str

    class UrlChanged(Aggregate.Event):
        TOPIC = "webhooks.endpoint.url_changed"
        url: str

    class EventsChanged(Aggregate.Event):
        TOPIC = "webhooks.endpoint.events_changed"
        events: tuple[str, ...]

    class DescriptionChanged(Aggregate.Event):
        TOPIC = "webhooks.endpoint.description_changed"
        description: str

    class HeadersChanged(Aggregate.Event):
        TOPIC = "webhooks.endpoint.headers_changed"
        header_names: tuple[str, ...]
        headers: UUID | None

    class RateLimitChanged(Aggregate.Event):
        TOPIC = "webhooks.endpoint.rate_limit_changed"
        rate_limit: int | None

    class SigningChanged(Aggregate.Event):
        TOPIC = "webhooks.endpoint.signing_changed"
        asymmetric: bool

    class SecretRotated(Aggregate.Event):
        TOPIC = "webhooks.endpoint.secret_rotated"
        secret: UUID
        public_key: str
        former_until: datetime

    class Tested(Aggregate.Event):
        TOPIC = "webhooks.endpoint.tested"

    class ReplayRequested(Aggregate.Event):
        TOPIC = "webhooks.endpoint.replay_requested"
        events: tuple[str, ...]
        first: int
        last: int
        only_failed: bool

    class RetryRequested(Aggregate.Event):
        TOPIC = "webhooks.endpoint.retry_requested"
        delivery: UUID

    class Disabled(Aggregate.Event):
        TOPIC = "webhooks.endpoint.disabled"
        url: str
        reason: DisabledBecause

    class Enabled(Aggregate.Event):
        TOPIC = "webhooks.endpoint.enabled"

    class Removed(Aggregate.Event):
        TOPIC = "webhooks.endpoint.removed"

    @event(Registered)
    def __init__(
        self,
        url: str,
        events: tuple[str, ...],
        description: str,
        header_names: tuple[str, ...],
        headers: UUID | None,
        rate_limit: int | None,
        asymmetric: bool,
        secret: UUID,
        public_key: str,
    ) -> None:
        self.url, self.events, self.description = url, events, description
        self.header_names, self.headers = header_names, headers
        self.rate_limit, self.asymmetric = rate_limit, asymmetric
        self.secret, self.public_key = secret, public_key
        self.formers: tuple[datetime, ...] = ()
        self.status = EndpointStatus.ENABLED
        self.removed = False

    def change_url(self, url: str) -> None:
        """Send to another address from now on, also what is still waiting."""
        self._check_present()
        if url != self.url:
            self._url_changed(url)

    def change_events(self, events: Sequence[str]) -> None:
        """Be told of other events from now on."""
        self._check_present()
        if tuple(events) != self.events:
            self._events_changed(tuple(events))

    def change_description(self, description: str) -> None:
        """Call it something else."""
        self._check_present()
        if description != self.description:
            self._description_changed(description)

    def change_headers(self, names: Sequence[str], headers: UUID | None) -> None:
        """Send other headers of the receiver's own; `headers` is where their values are kept."""
        self._check_present()
        if headers != self.headers:
            self._headers_changed(tuple(names), headers)

    def change_rate_limit(self, rate_limit: int | None) -> None:
        """Send at most so many messages a second; None for as many as it takes."""
        self._check_present()
        if rate_limit != self.rate_limit:
            self._rate_limit_changed(rate_limit)

    def change_signing(self, asymmetric: bool) -> None:
        """Sign with the key pair too, or no longer."""
        self._check_present()
        if asymmetric != self.asymmetric:
            self._signing_changed(asymmetric)

    def rotate_secret(self, secret: UUID, public_key: str, former_until: datetime) -> None:
        """Sign with a new secret; the present one keeps signing beside it until `former_until`."""
        self._check_present()
        still_signing = sum(until > now() for until in self.formers)
        if still_signing + 1 >= MOST_SECRETS:
            raise Conflict(
                f"{MOST_SECRETS} secrets sign already; the oldest lapses on its own.",
                code="too_many_secrets",
            )
        self._secret_rotated(secret, public_key, former_until)

    def test(self) -> None:
        """Have a ping sent."""
        self._check_sending()
        self._tested()

    def replay(self, events: Sequence[str], first: int, last: int, only_failed: bool) -> None:
        """Send again what the log holds from position `first` to `last`, but nothing that comes
        after this request."""
        self._check_sending()
        if first > last:
            raise Invalid("Nothing was recorded in that time.", field="since", code="empty_range")
        self._replay_requested(tuple(events), first, last, only_failed)

    def retry(self, delivery: UUID) -> None:
        """Make the next attempt at one delivery now."""
        self._check_sending()
        self._retry_requested(delivery)

    def disable(self, reason: DisabledBecause) -> None:
        """Send nothing any more; what is waiting is given up."""
        self._check_present()
        if self.status is EndpointStatus.ENABLED:
            self._disabled(self.url, reason)

    def enable(self) -> None:
        """Send again what happens from now on."""
        self._check_present()
        if self.status is EndpointStatus.DISABLED:
            self._enabled()

    def remove(self) -> None:
        """Forget it; what is waiting is given up."""
        self._check_present()
        self._removed()

    def _check_present(self) -> None:
        if self.removed:
            raise NotFound("There is no such endpoint.")

    def _check_sending(self) -> None:
        self._check_present()
        if self.status is EndpointStatus.DISABLED:
            raise Conflict("The endpoint is disabled; enable it first.", status=self.status)

    @event(UrlChanged)
    def _url_changed(self, url: str) -> None:
        self.url = url

    @event(EventsChanged)
    def _events_changed(self, events: tuple[str, ...]) -> None:
        self.events = events

    @event(DescriptionChanged)
    def _description_changed(self, description: str) -> None:
        self.description = description

    @event(HeadersChanged)
    def _headers_changed(self, header_names: tuple[str, ...], headers: UUID | None) -> None:
        self.header_names, self.headers = header_names, headers

    @event(RateLimitChanged)
    def _rate_limit_changed(self, rate_limit: int | None) -> None:
        self.rate_limit = rate_limit

    @event(SigningChanged)
    def _signing_changed(self, asymmetric: bool) -> None:
        self.asymmetric = asymmetric

    @event(SecretRotated)
    def _secret_rotated(self, secret: UUID, public_key: str, former_until: datetime) -> None:
        self.secret, self.public_key = secret, public_key
        self.formers = (*self.formers, former_until)[-MOST_SECRETS:]

    @event(Tested)
    def _tested(self) -> None:
        pass

    @event(ReplayRequested)
    def _replay_requested(
        self, events: tuple[str, ...], first: int, last: int, only_failed: bool
    ) -> None:
        pass

    @event(RetryRequested)
    def _retry_requested(self, delivery: UUID) -> None:
        pass

    @event(Disabled)
    def _disabled(self, url: str, reason: DisabledBecause) -> None:
        self.status = EndpointStatus.DISABLED

    @event(Enabled)
    def _enabled(self) -> None:
        self.status = EndpointStatus.ENABLED

    @event(Removed)
    def _removed(self) -> None:
        self.removed = True
