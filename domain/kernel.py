"""What every room of the domain shares: aggregates, their events, and the ways to say no.

An aggregate decides in a public method and applies in a private, past-tense one marked with
`@event(TheEvent)`. Rules belong in the public method: the private one runs again at every replay.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID

import eventsourcing.domain as es
from eventsourcing.domain import event
from eventsourcing.utils import register_topic
from uuid_utils.compat import uuid7

from domain.folding import fold, names_of_id

__all__ = [
    "Acting",
    "Aggregate",
    "Conflict",
    "Forbidden",
    "Invalid",
    "NotFound",
    "PreconditionFailed",
    "Refusal",
    "Retired",
    "Unavailable",
    "acting",
    "acting_as",
    "event",
    "now",
]


@dataclass(frozen=True)
class Acting:
    """Who is deciding, on whose behalf, when, and because of what.

    `correlation_id` is the request that began it all; `causation_id` names the event that a
    policy answered to (`stream/version`), and is None for a caller's own command.
    """

    tenant: str
    actor: str
    correlation_id: str
    now: datetime
    causation_id: str | None = None


acting: ContextVar[Acting] = ContextVar("acting")


@contextmanager
def acting_as(who: Acting) -> Iterator[None]:
    """Everything decided inside carries `who` on its events."""
    token = acting.set(who)
    try:
        yield
    finally:
        acting.reset(token)


def now() -> datetime:
    """The instant of the decision being made (UTC); the domain owns no clock."""
    return acting.get().now


class Refusal(Exception):
    """A rule said no. The text is meant for the caller; `code` is stable for programs."""

    code: ClassVar[str] = "refused"

    def __init__(self, message: str, *, code: str | None = None, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.reason = code or self.code
        self.facts: Mapping[str, Any] = facts


class NotFound(Refusal):
    """There is no such thing for this tenant."""

    code = "not_found"


class Conflict(Refusal):
    """The present state does not allow it; `facts` tell that state."""

    code = "conflict"


class Invalid(Refusal):
    """The request contradicts itself or a rule; `field` names the culprit."""

    code = "invalid"

    def __init__(self, message: str, *, field: str, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.field = field


class Forbidden(Refusal):
    """This role may not do that."""

    code = "forbidden"


class PreconditionFailed(Refusal):
    """The aggregate has moved on since the caller looked."""

    code = "precondition_failed"


class Unavailable(Refusal):
    """Not now; nothing was written. `retry_after` is in seconds."""

    code = "unavailable"

    def __init__(self, message: str, *, retry_after: int = 1, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


EVENTS: dict[str, type["Aggregate.Event"]] = {}
"""Every event class that has been declared, by topic: what a stored name may resolve to."""


class Aggregate(es.Aggregate):
    """Belongs to one tenant. It and each of its events has a topic free of module paths.

    The topic is the name under which the log keeps them for ever; `class_version` and
    `upcast_vN_vN+1(state)` on an event say how older stored states become today's.
    """

    TOPIC: ClassVar[str]

    @staticmethod
    def create_id(*_: Any, **__: Any) -> UUID:
        return uuid7()

    class Event(es.Aggregate.Event):
        TOPIC: ClassVar[str]
        class_version: ClassVar[int] = 1
        aggregate: ClassVar[type["Aggregate"]]
        persons: ClassVar[Mapping[str, UUID]] = {}
        """Of an event read from the log: the person, as the id of a key, by personal field."""

        tenant: str = field(kw_only=True, default_factory=lambda: acting.get().tenant)
        actor: str = field(kw_only=True, default_factory=lambda: acting.get().actor)
        correlation_id: str = field(
            kw_only=True, default_factory=lambda: acting.get().correlation_id
        )
        causation_id: str | None = field(
            kw_only=True, default_factory=lambda: acting.get().causation_id
        )

        @classmethod
        def create_timestamp(cls) -> datetime:
            return acting.get().now

    class Created(Event, es.Aggregate.Created):
        def apply(self, aggregate: Any) -> None:
            aggregate._tenant = self.tenant

    _tenant = ""

    # The next two do what the library's do, by what `domain.folding` has found out once.

    @classmethod
    def _create(cls, event_class: Any, *, id: UUID | None = None, **values: Any) -> Self:
        of_id = {name: values[name] for name in names_of_id(cls) if name in values}
        new = event_class(
            originator_topic=cls.TOPIC,
            originator_id=cls.create_id(**of_id) if id is None else id,
            originator_version=cls.INITIAL_VERSION,
            timestamp=event_class.create_timestamp(),
            **values,
        )
        aggregate = fold(cls, (new,))
        assert aggregate is not None
        aggregate._pending_events.append(new)
        return aggregate

    def trigger_event(self, event_class: Any, **values: Any) -> None:
        new = event_class(
            originator_id=self._id,
            originator_version=self._version + 1,
            timestamp=event_class.create_timestamp(),
            **values,
        )
        fold(type(self), (new,), self)
        self._pending_events.append(new)

    @property
    def tenant(self) -> str:
        """Whose it is: no event of another tenant ever joins the stream."""
        return self._tenant

    def __init_subclass__(cls, *, topic: str, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.TOPIC = topic  # after the library's own look, which would want one on `Created` too
        register_topic(topic, cls)
        for kind in events_of(cls):
            if not getattr(kind, "TOPIC", "").startswith(f"{topic}."):
                raise TypeError(f"{kind.__qualname__} needs a TOPIC that begins with {topic}.")
            register_topic(kind.TOPIC, kind)
            kind.aggregate = cls
            EVENTS[kind.TOPIC] = kind


A = TypeVar("A", bound=Aggregate)
DomainEvent = Aggregate.Event


def events_of(aggregate: type[Aggregate]) -> list[type[DomainEvent]]:
    """The event classes that an aggregate declares, in the order of declaration."""
    return [
        kind
        for name, kind in vars(aggregate).items()
        if isinstance(kind, type)
        and issubclass(kind, Aggregate.Event)
        and name not in ("Event", "Created")
    ]


class Retired(Aggregate.Event):
    """An event that nothing decides any more, kept so that what was stored can be read.

    It stands in `domain/<context>/legacy.py` with its TOPIC and fields as they were, and names
    the `aggregate` that it was of. `superseded_by` is the event of today that says the same;
    `supersede(state)` turns the stored state (a dictionary of JSON) into that of its version
    `superseded_as`. Without a successor the event is read as itself and changes nothing.
    """

    superseded_by: ClassVar[type[Aggregate.Event] | None] = None
    superseded_as: ClassVar[int] = 1

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        topic, of = cls.__dict__.get("TOPIC", ""), cls.__dict__.get("aggregate")
        if of is None or not topic.startswith(f"{of.TOPIC}."):
            raise TypeError(f"{cls.__qualname__} needs its aggregate, and a TOPIC below that one's")
        if topic in EVENTS:
            raise TypeError(f"{topic} is in use, so it cannot be retired")
        successor = cls.superseded_by
        if successor is not None and successor.aggregate is not of:
            raise TypeError(f"{cls.__qualname__} is superseded by an event of another aggregate")
        EVENTS[topic] = cls

    @staticmethod
    def supersede(state: dict[str, Any]) -> None:
        """Turn the stored state into that of the successor, in place."""


def stored_topics(topics: Iterable[str]) -> list[str]:
    """The names under which the log may hold events of `topics`: theirs, and those of retired
    events that are read as one of them."""
    wanted = set(topics)
    for topic, kind in EVENTS.items():
        if issubclass(kind, Retired) and getattr(kind.superseded_by, "TOPIC", None) in wanted:
            wanted.add(topic)
    return sorted(wanted)


def utc(instant: datetime) -> datetime:
    """The same instant in UTC; a naive time means UTC already."""
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
