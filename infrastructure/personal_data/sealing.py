"""How personal data looks in a stored state: taken out of its fields and encrypted per person.

A state with personal data begins with `_sealed`, a list of `[key, fields, data]`: the id of the
person's key, the paths of the fields, and in base64 a nonce and the fields' values, a JSON list,
encrypted with AES-256-GCM (NIST SP 800-38D) and bound to tenant, stream, version, topic and
fields. The fields themselves hold their erased form, so that without the key the state reads as
what is left of it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from typing import Any
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.kernel import DomainEvent
from domain.personal import Personal, PersonalField, personal_fields, persons_of

SEALED = b'{"_sealed":'
"""How a state with personal data begins; no event has a field of that name."""
PERSONS = "_persons"
"""In an opened state: the id of the person's key by the path of each personal field."""
NONCE = 12
"""Bytes, random for each sealing."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_apart = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_apart_if_any = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode
_parts = msgspec.json.Decoder(list[msgspec.Raw]).decode
_sealings = msgspec.json.Decoder(list[tuple[UUID, list[str], bytes]]).decode


@dataclass(frozen=True, slots=True)
class PersonKey:
    """A person's key, ready for use."""

    id: UUID
    cipher: AESGCM = field(repr=False)
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", str(self.id))


Subject = tuple[str, str]
"""Tenant and subject."""

Keys = Mapping[Subject, PersonKey]


class NotOpened(ValueError):
    """The personal data of a state was not asked for; see `opening`."""

    def __init__(self) -> None:
        super().__init__("its personal data has not been opened")


class Altered(Exception):
    """Personal data that is not what was stored there."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the log a state belongs."""

    topic: str
    stream_id: UUID
    version: int
    tenant: str

    def bound(self, fields: Sequence[str]) -> bytes:
        """What the data of these fields is bound to. None of it can hold a NUL."""
        return _bound(self.tenant, self.stream_id, self.version) + _named(self.topic, fields)


def _bound(tenant: str, stream: UUID, version: int) -> bytes:
    return f"{tenant}\0{stream.int:032x}\0{version}".encode()


def _named(topic: str, fields: Sequence[str]) -> bytes:
    return "\0".join(("", topic, *fields)).encode()


def subjects(events: Iterable[DomainEvent]) -> list[Subject]:
    """Tenant and subject of everybody whose data is in `events`."""
    return [
        (event.tenant, share.personal.subject(event))
        for event in events
        for share in _plan(type(event)).shares
    ]


def seal(event: DomainEvent, state: dict[str, Any], keys: Keys | None) -> bytes:
    """`state`, all that is stored of `event` by field, as JSON with its personal data sealed.
    Raises `TypeError` when the key of one of its persons is not given."""
    plan, tenant = _plan(type(event)), event.tenant
    sealed = []
    for share in plan.shares:
        taken = share.taken(event)
        if taken is None:
            continue
        names, named, values = taken
        key = keys.get((tenant, share.personal.subject(event))) if keys else None
        if key is None:
            raise TypeError(f"{event.TOPIC} holds personal data, and its person's key is not here")
        nonce = os.urandom(NONCE)
        bound = _bound(tenant, event.originator_id, event.originator_version) + named
        sealed.append((key.name, names, nonce + key.cipher.encrypt(nonce, _encode(values), bound)))
    return _encode(plan.erase({"_sealed": sealed, **state}) if sealed else state)


@dataclass(frozen=True, slots=True)
class _Share:
    """What a kind of events holds of one person."""

    topic: str
    personal: Personal
    names: tuple[str, ...]
    named: bytes
    find: Callable[[Any], tuple[Any, ...]]

    def taken(self, event: DomainEvent) -> tuple[Sequence[str], bytes, Sequence[Any]] | None:
        """Names and values of the fields that hold something, with the names as they are bound."""
        try:
            values = self.find(event)
        except AttributeError:  # an optional part is missing
            values = tuple(_reached(event, name) for name in self.names)
        if None not in values:
            return self.names, self.named, values
        there = {n: v for n, v in zip(self.names, values, strict=True) if v is not None}
        return (
            (list(there), _named(self.topic, list(there)), list(there.values())) if there else None
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    """How the events of a kind are sealed. `erase` puts the erased forms into a state's fields."""

    shares: tuple[_Share, ...]
    erase: Callable[[dict[str, Any]], dict[str, Any]]


@cache
def _plan(kind: type[DomainEvent]) -> _Plan:
    shares = [
        _Share(kind.TOPIC, personal, names, _named(kind.TOPIC, names), _finder(names))
        for personal, fields in persons_of(kind)
        if (names := tuple(each.name for each in fields))
    ]
    return _Plan(tuple(shares), _eraser([(each.path, each) for each in personal_fields(kind)]))


def _finder(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    find = attrgetter(*names)
    return find if len(names) > 1 else lambda event: (find(event),)


def _reached(owner: Any, name: str) -> Any:
    for each in name.split("."):
        owner = getattr(owner, each, None)
    return owner


def _eraser(
    fields: Sequence[tuple[tuple[str, ...], PersonalField]],
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    here = [(path[0], each.erased) for path, each in fields if len(path) == 1]
    owners = dict.fromkeys(path[0] for path, _ in fields if len(path) > 1)
    below = [
        (owner, _eraser([(path[1:], each) for path, each in fields if path[0] == owner]))
        for owner in owners
    ]

    def erase(state: dict[str, Any]) -> dict[str, Any]:
        for name, erased in here:
            if state.get(name) is not None:
                state[name] = erased
        for name, deeper in below:
            if (value := state.get(name)) is not None:
                state[name] = deeper({n: getattr(value, n) for n in _names(value.__class__)})
        return state

    return erase


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


class SealedState:
    """A stored state with personal data, taken apart as far as it has to be. Raises `Altered`."""

    def __init__(self, place: Place, stored: bytes) -> None:
        self.place = place
        try:
            self.state: dict[str, Any] = _apart(stored)
            self.sealed = _sealings(self.state.pop("_sealed"))
        except msgspec.MsgspecError:
            raise Altered(self._where) from None

    def opened(self, keys: Mapping[UUID, PersonKey]) -> bytes:
        """The state with the data of everybody whose key is there. Raises `Altered`."""
        for id, fields, data in self.sealed:
            if key := keys.get(id):
                values = _parts(self._clear(key, fields, data))
                for name, value in zip(fields, values, strict=True):
                    self._put(name, value)
        return self._with_persons()

    def masked(self, keys: Mapping[UUID, PersonKey], mask: str) -> bytes:
        """The state with `mask` for each personal text that is there, for looking at."""
        for id, fields, _ in self.sealed:
            for name in fields if id in keys else ():
                self._put(name, mask, only_text=True)
        return self._with_persons()

    def values_of(self, key: PersonKey) -> list[Any]:
        """The personal data of one person. Raises `Altered`."""
        return [
            value
            for id, fields, data in self.sealed
            if id == key.id
            for value in _decode(self._clear(key, fields, data))
        ]

    def _clear(self, key: PersonKey, fields: list[str], data: bytes) -> bytes:
        try:
            return key.cipher.decrypt(data[:NONCE], data[NONCE:], self.place.bound(fields))
        except (InvalidTag, ValueError):
            raise Altered(self._where) from None

    def _put(self, name: str, value: Any, *, only_text: bool = False) -> None:
        *path, last = name.split(".")
        owner: dict[str, Any] | None = self.state
        for each in path:
            owner = self._below(owner, each) if owner is not None else None
        if owner is None or (only_text and not bytes(owner.get(last, b"")).startswith(b'"')):
            return
        owner[last] = value

    def _below(self, owner: dict[str, Any], name: str) -> dict[str, Any] | None:
        """The object in a field, taken apart as well; None where there is none."""
        there: dict[str, Any] | None = owner.get(name)
        if isinstance(there, msgspec.Raw):
            try:
                there = owner[name] = _apart_if_any(there)
            except msgspec.MsgspecError:
                raise Altered(self._where) from None
        return there

    def _with_persons(self) -> bytes:
        self.state[PERSONS] = {name: id for id, fields, _ in self.sealed for name in fields}
        return _encode(self.state)

    @property
    def _where(self) -> str:
        return f"{self.place.topic}, stream {self.place.stream_id}"
