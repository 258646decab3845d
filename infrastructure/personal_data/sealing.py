"""How personal data looks in a stored state: taken out of its fields and encrypted per person.

A state with personal data begins with `_sealed`, a list of `[key, fields, data]`: the id of the
person's key, the paths of the fields, and in base64 a nonce and the fields' values, a JSON list,
encrypted with AES-256-GCM (NIST SP 800-38D) and bound to tenant, stream, version, topic and
fields. The fields themselves hold their erased form, so that without the key the state reads as
what is left of it.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.kernel import DomainEvent
from domain.personal import PersonalField, persons_of

SEALED = b'{"_sealed":'
"""How a state with personal data begins; no event has a field of that name."""
PERSONS = "_persons"
"""In an opened state: the id of the person's key by the path of each personal field."""
NONCE = 12
"""Bytes, random for each sealing."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class PersonKey:
    """A person's key, ready for use."""

    id: UUID
    cipher: AESGCM = field(repr=False)
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", str(self.id))


Keys = Mapping[tuple[str, str], PersonKey]
"""By tenant and subject."""


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
        named = "\0".join((self.topic, *fields))
        return f"{self.tenant}\0{self.stream_id.hex}\0{self.version}\0{named}".encode()


def subjects(event: DomainEvent) -> set[tuple[str, str]]:
    """Tenant and subject of everybody whose data `event` holds."""
    return {(event.tenant, personal.subject(event)) for personal, _ in persons_of(type(event))}


def seal(event: DomainEvent, stored: bytes, keys: Keys | None) -> bytes:
    """The state `stored` of `event` with its personal data sealed. Raises `TypeError` when the
    key of one of its persons is not given."""
    state = _decode(stored)
    place = Place(event.TOPIC, event.originator_id, event.originator_version, event.tenant)
    sealed = []
    for personal, fields in persons_of(type(event)):
        names, values = _taken(state, fields)
        if not names:
            continue
        key = keys.get((event.tenant, personal.subject(event))) if keys else None
        if key is None:
            raise TypeError(f"{event.TOPIC} holds personal data, and its person's key is not here")
        nonce = os.urandom(NONCE)
        data = nonce + key.cipher.encrypt(nonce, _encode(values), place.bound(names))
        sealed.append((key.name, names, b64encode(data).decode()))
    return _encode({"_sealed": sealed, **state}) if sealed else stored


def _taken(state: dict[str, Any], fields: Sequence[PersonalField]) -> tuple[list[str], list[Any]]:
    """Names and values of one person's fields, which hold their erased form from now on."""
    names, values = [], []
    for each in fields:
        owner, last = _owner(state, each.path), each.path[-1]
        if owner is not None and owner.get(last) is not None:
            names.append(each.name)
            values.append(owner[last])
            owner[last] = each.erased
    return names, values


class SealedState:
    """A stored state with personal data, taken apart."""

    def __init__(self, place: Place, stored: bytes) -> None:
        self.place, self.state = place, _decode(stored)
        self.sealed: list[tuple[UUID, list[str], str]] = [
            (UUID(id), fields, data) for id, fields, data in self.state.pop("_sealed")
        ]

    def opened(self, keys: Mapping[UUID, PersonKey]) -> bytes:
        """The state with the data of everybody whose key is there. Raises `Altered`."""
        for id, fields, data in self.sealed:
            if key := keys.get(id):
                self._put(fields, self._values(key, fields, data))
        return self._with_persons()

    def masked(self, keys: Mapping[UUID, PersonKey], mask: str) -> bytes:
        """The state with `mask` for each personal text that is there, for looking at."""
        for id, fields, _ in self.sealed:
            for name in fields if id in keys else ():
                path = tuple(name.split("."))
                owner = _owner(self.state, path)
                if owner is not None and isinstance(owner[path[-1]], str):
                    owner[path[-1]] = mask
        return self._with_persons()

    def values_of(self, key: PersonKey) -> list[Any]:
        """The personal data of one person. Raises `Altered`."""
        return [
            value
            for id, fields, data in self.sealed
            if id == key.id
            for value in self._values(key, fields, data)
        ]

    def _values(self, key: PersonKey, fields: list[str], data: str) -> list[Any]:
        raw = b64decode(data)
        try:
            values = key.cipher.decrypt(raw[:NONCE], raw[NONCE:], self.place.bound(fields))
        except (InvalidTag, ValueError):
            raise Altered(f"{self.place.topic}, stream {self.place.stream_id}") from None
        decoded: list[Any] = _decode(values)
        return decoded

    def _put(self, fields: list[str], values: list[Any]) -> None:
        for name, value in zip(fields, values, strict=True):
            path = tuple(name.split("."))
            owner = _owner(self.state, path)
            if owner is not None:
                owner[path[-1]] = value

    def _with_persons(self) -> bytes:
        persons = {name: str(id) for id, fields, _ in self.sealed for name in fields}
        return _encode({**self.state, PERSONS: persons})


def _owner(state: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any] | None:
    """The object that holds the last name of `path`; None where an optional part is missing."""
    owner: Any = state
    for name in path[:-1]:
        owner = owner.get(name)
        if owner is None:
            return None
    return owner  # type: ignore[no-any-return]
