"""One endpoint as a sending process has it: its configuration, what waits for it, and its pace."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from infrastructure.egress import EgressGuard, EgressRefused
from infrastructure.event_log.codec import StoredEvent, UnreadableEvent
from infrastructure.webhooks.messages import Unspeakable, body, message_id
from infrastructure.webhooks.posting import Poster, Reply, Unanswered
from infrastructure.webhooks.signing import Sealed, Secret, Vault, signature
from infrastructure.webhooks.verdicts import State, Verdict, probe_pause

CONCURRENCY = 16
"""Requests to one endpoint at once."""
ROOM = 4 * CONCURRENCY
"""Deliveries to one endpoint that a process holds."""
SLACK = 0.05
"""Seconds by which a message may be ahead of its endpoint's rate, as timers are not exact."""


@dataclass(slots=True)
class Message:
    """What is said of one event; made once for all the endpoints that are told together."""

    stored: StoredEvent
    name: str
    _body: bytes | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        return message_id(self.stored.position, self.name)

    def body(self) -> bytes:
        """Raises `UnreadableEvent`, `Unspeakable`."""
        if self._body is None:
            self._body = body(self.stored, self.name)
        return self._body


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message for one endpoint, tried `failures` times in vain."""

    id: UUID
    failures: int
    message: Message


@dataclass(frozen=True, slots=True)
class Signing:
    """The secrets that sign, each until its time; None: until it is rotated."""

    secrets: Sequence[tuple[Secret, datetime | None]]
    asymmetric: bool

    def headers(self, id: str, at: datetime, body: bytes) -> bytes:
        """The three header lines of an attempt made `at`."""
        valid = [secret for secret, until in self.secrets if until is None or until > at]
        timestamp = int(at.timestamp())
        signed = signature(valid, self.asymmetric, id, timestamp, body)
        return (
            f"webhook-id: {id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: {signed}"
        ).encode("ascii")


class Lane:
    """What a sender knows of an endpoint that it has. Times are those of the loop's clock."""

    def __init__(self, id: UUID) -> None:
        self.id = id
        self.tenant = ""
        self.waiting: deque[Delivery] = deque()
        self.held: set[UUID] = set()
        """Deliveries that wait here, are being sent, or whose outcome is not yet recorded."""
        self.in_flight = 0
        self.concurrency = CONCURRENCY
        self.failures_in_a_row = 0
        self.look = True
        """Whether there may be more in the database."""
        self.leaving = False
        """Nothing more is begun; it is let go of as soon as nothing is held."""
        self.halted_at = 0.0
        """When this process disabled the endpoint: it is kept until everybody else knows."""
        self.busy_at = 0.0
        self.paused_until = 0.0
        self._interval, self._next_slot, self._failed_at = 0.0, 0.0, 0.0
        self._poster: Poster | None = None
        self._signing: Signing | None = None
        self._unusable: str | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def open(self) -> bool:
        """Whether more may be begun."""
        return not (self.leaving or self.halted_at)

    @property
    def room(self) -> int:
        """How many deliveries may be held: what a slow endpoint waits for long had better wait
        in the database, where changes and erasures reach it."""
        return min(ROOM, max(2, int(2 / self._interval))) if self._interval else ROOM

    def configure(
        self, row: dict[str, Any], vault: Vault, guard: EgressGuard, context: ssl.SSLContext
    ) -> None:
        """Take in the endpoint's configuration; what cannot be used fails each delivery."""
        self.close()
        self._poster = self._signing = self._unusable = None
        self.tenant = row["tenant"]
        self._interval = 1.0 / row["rate_limit"] if row["rate_limit"] else 0.0
        kept = {UUID(id): b64decode(text) for id, text in (row["sealed"] or {}).items()}
        try:
            headers = {}
            if row["headers"] is not None:
                headers = vault.headers(self.tenant, row["headers"], kept[row["headers"]])
            formers = [(UUID(f["secret"]), f["until"]) for f in row["former"]]
            self._signing = Signing(
                [
                    (
                        vault.secret(self.tenant, id, kept[id]),
                        datetime.fromisoformat(until) if until else None,
                    )
                    for id, until in [(row["secret"], None), *formers]
                ],
                row["v1a"],
            )
            self._poster = Poster(row["url"], headers, guard, context)
        except (Sealed, KeyError):
            self._unusable = "The endpoint's secrets cannot be opened."
        except EgressRefused as refusal:
            self._unusable = refusal.reason

    async def post(self, message: Message, at: datetime) -> Reply | str:
        """The receiver's answer, or the reason why there is none."""
        poster, signing = self._poster, self._signing
        if poster is None or signing is None:
            return self._unusable or "The endpoint is not configured."
        try:
            content = message.body()
            return await poster.post(signing.headers(message.id, at, content), content)
        except Unanswered as error:
            return error.reason
        except (UnreadableEvent, Unspeakable):
            return "This release of the service cannot read the event."

    def ready_at(self, now: float) -> float | None:
        """When the next one of those that wait may be sent; None when none can be started now,
        because none waits or as many as may be are under way."""
        if not self.waiting or not self.open or self.in_flight >= self.concurrency:
            return None
        return max(self.paused_until, self._next_slot - SLACK)

    def call_at(self, when: float, pump: Callable[[Lane], None]) -> None:
        """Have `pump` called at that time, and not before."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, pump, self)

    def hold(self, deliveries: Sequence[Delivery]) -> None:
        """Have these wait."""
        self.held.update(delivery.id for delivery in deliveries)
        self.waiting.extend(deliveries)

    def take(self, now: float) -> Delivery:
        """The next delivery, which counts as under way from now on."""
        self.in_flight += 1
        self.busy_at = now
        if self._interval:
            self._next_slot = max(self._next_slot, now) + self._interval
        return self.waiting.popleft()

    def note(self, verdict: Verdict, began: float, now: float) -> None:
        """Learn from the outcome of an attempt: the dead are tried rarely, one at a time.

        Failures side by side count as one: they tell of one moment.
        """
        self.in_flight -= 1
        self.busy_at = now
        if verdict.state is State.DELIVERED:
            self.failures_in_a_row = 0
            self.concurrency = min(self.concurrency * 2, CONCURRENCY)
            return
        if began >= self._failed_at:
            self.failures_in_a_row += 1
            self._failed_at = now
        self.concurrency = max(self.concurrency // 2, 1)
        pause = max(verdict.pause, probe_pause(self.failures_in_a_row))
        self.paused_until = max(self.paused_until, now + pause)

    def drop_waiting(self) -> None:
        """Leave what has not been begun to whoever has the endpoint next."""
        self.held -= {delivery.id for delivery in self.waiting}
        self.waiting.clear()

    def close_idle(self, older_than: float) -> None:
        if self._poster is not None:
            self._poster.close_idle(older_than)

    def close(self) -> None:
        """Close the connections; those in use when their answer has come."""
        if self._poster is not None:
            self._poster.close()
