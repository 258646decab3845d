"""Events to bytes and back: plain JSON, typed by the event's own annotations.

Stream, version and tenant are columns and stay out of the state; everything else that an event
carries is in it. What a field's type says is what comes back (UUID, Decimal, datetime, enums,
dataclasses), and free-form dictionaries survive any content.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain.kernel import EVENTS, DomainEvent, Invalid, Retired
from domain.personal import personal_fields
from infrastructure.personal_data.sealing import PERSONS, SEALED, Keys, NotOpened, seal

COLUMNS = frozenset({"originator_id", "originator_version", "tenant", "originator_topic"})
VERSION_KEY = "_version"


class UnreadableEvent(Exception):
    """A stored event that no class of this release can read; names topic, stream and version."""


class StoredEvent(NamedTuple):
    """One row of the log. `position` and `recorded_at` are the log's own."""

    position: int
    stream_id: UUID
    version: int
    tenant: str
    topic: str
    state: bytes
    recorded_at: datetime


SELECT = "SELECT position, stream_id, version, tenant, topic, state, recorded_at FROM log.events"
"""The columns of a `StoredEvent`, in its order."""

_encode = msgspec.json.Encoder().encode


@cache
def _fields(kind: type[DomainEvent]) -> tuple[tuple[str, ...], Any]:
    hints = typing.get_type_hints(kind)
    names = tuple(f.name for f in dataclasses.fields(kind) if f.name not in COLUMNS)
    state = {name: hints[name] for name in names} | {VERSION_KEY: typing.NotRequired[int]}
    state[PERSONS] = typing.NotRequired[dict[str, UUID]]
    return names, typing.TypedDict(kind.__name__, state)  # type: ignore[operator]


@cache
def _decoder(
    kind: type[DomainEvent],
) -> tuple[type[DomainEvent], Callable[[bytes], dict[str, Any]]]:
    """The class that stored states of `kind` are read as, and how."""
    today, shape = _today(kind), _fields(_today(kind))[1]
    read = msgspec.json.Decoder(shape).decode
    if today is kind and kind.class_version == 1:
        return today, read

    def upcast_and_convert(stored: bytes) -> dict[str, Any]:
        raw = msgspec.json.decode(stored)
        _upcast(kind, raw, raw.pop(VERSION_KEY, 1))
        state: dict[str, Any] = msgspec.convert(raw, shape, strict=False)
        return state

    def read_or_upcast(stored: bytes) -> dict[str, Any]:
        # Nearly all that is read is of today's version: only what is not is taken apart first.
        try:
            state: dict[str, Any] = read(stored)
        except msgspec.ValidationError:
            return upcast_and_convert(stored)
        if state.pop(VERSION_KEY, 1) == kind.class_version:
            return state
        return upcast_and_convert(stored)

    return today, read_or_upcast if today is kind else upcast_and_convert


def _today(kind: type[DomainEvent]) -> type[DomainEvent]:
    if issubclass(kind, Retired) and kind.superseded_by is not None:
        return _today(kind.superseded_by)
    return kind


def _upcast(kind: type[DomainEvent], raw: dict[str, Any], since: int) -> None:
    if since > kind.class_version:
        raise ValueError(f"version {since} of the event is of a later release")
    for version in range(since, kind.class_version):
        getattr(kind, f"upcast_v{version}_v{version + 1}")(raw)
    if issubclass(kind, Retired) and kind.superseded_by is not None:
        kind.supersede(raw)
        _upcast(kind.superseded_by, raw, kind.superseded_as)


def encode(event: DomainEvent, keys: Keys | None = None) -> bytes:
    """The state of `event` as it is stored, proven to be readable again. Personal data in it is
    encrypted with the `keys` of the persons it belongs to.

    Raises `Invalid`, naming the field, for numbers and texts that JSON has no room for (they come
    from free-form input), and `TypeError` when a field holds what its annotation does not allow,
    or a person's key is missing.
    """
    kind, values = type(event), vars(event)
    state = {name: values[name] for name in _fields(kind)[0]}
    kept = {**state, VERSION_KEY: kind.class_version} if kind.class_version > 1 else state
    try:
        stored = _encode(kept)
        back = _decoder(kind)[1](stored)
    except (msgspec.MsgspecError, UnicodeError, TypeError, ValueError) as error:
        _refuse_unstorable(state)
        raise TypeError(f"{event.TOPIC}: {error}") from error
    if back != state:
        _refuse_unstorable(state)
    return seal(event, kept, keys) if personal_fields(kind) else stored


def _refuse_unstorable(state: Mapping[str, Any]) -> None:
    for name, value in state.items():
        if not all(map(_storable, _leaves(value))):
            raise Invalid(
                "It holds a number or a text that cannot be kept.", field=name, code="not_storable"
            )


def _leaves(value: Any) -> Iterator[Any]:
    match value:
        case Mapping():
            for key, item in value.items():
                yield key
                yield from _leaves(item)
        case list() | tuple() | set() | frozenset():
            for item in value:
                yield from _leaves(item)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from _leaves(vars(value))
        case _:
            yield value


def _storable(value: Any) -> bool:
    match value:
        case float():
            return math.isfinite(value)
        case str():
            return value.encode(errors="replace").decode() == value
        case _:
            return True


def decode(topic: str, stream_id: UUID, version: int, tenant: str, state: bytes) -> DomainEvent:
    """The event that was stored. Raises `UnreadableEvent`; imports nothing that a name asks for.

    Personal data has to be opened first (`personal_data.opening`).
    """
    try:
        if state.startswith(SEALED):
            raise NotOpened
        kind, read = _decoder(EVENTS[topic])
        values = read(state)
        if VERSION_KEY in values:  # today's own has none by now
            raise ValueError(f"version {values[VERSION_KEY]} of the event is of a later release")
    except (KeyError, msgspec.MsgspecError, AttributeError, TypeError, ValueError) as error:
        raise UnreadableEvent(f"{topic}, stream {stream_id}, version {version}: {error}") from error
    values["originator_id"] = stream_id
    values["originator_version"] = version
    values["tenant"] = tenant
    if PERSONS in values:
        values["persons"] = values.pop(PERSONS)
    if version == 1:
        values["originator_topic"] = kind.aggregate.TOPIC
    # Frozen dataclasses are filled past their __init__: thousands of these are made per batch.
    event = object.__new__(kind)
    object.__setattr__(event, "__dict__", values)
    return event


def decoded(stored: StoredEvent) -> DomainEvent:
    """`decode` for a whole row."""
    return decode(stored.topic, stored.stream_id, stored.version, stored.tenant, stored.state)
