"""Personal data, declared where it is: on the fields of events, with the person they belong to.

    author: Annotated[str, Personal(of="author_id")]

The log keeps such a field encrypted with its person's own key. When that key is destroyed the
field reads as its erased form, for ever: a text as `ERASED`, what may be missing as None, a list
or an object as an empty one.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from operator import attrgetter
from typing import Any

from domain.kernel import Aggregate, events_of

ERASED = "[erased]"
"""What a text of an erased person reads as."""


@dataclass(frozen=True)
class Personal:
    """Marks a field, of an event or of a data class in it, as a person's.

    `of` says whose: the path of the field that holds the person's subject, or a function of the
    event. A subject is a text that names one person within a tenant.
    """

    of: str | Callable[[Any], str]

    @cached_property
    def _find(self) -> Callable[[Any], Any]:
        return attrgetter(self.of) if isinstance(self.of, str) else self.of

    def subject(self, event: Any) -> str:
        """Whose data `event` holds in this field. Raises `TypeError` when it names nobody."""
        subject = self._find(event)
        if not isinstance(subject, str) or not subject:
            raise TypeError(f"{type(event).__qualname__} holds personal data of nobody")
        return subject


def remembers_persons(aggregate: type[Aggregate]) -> bool:
    """Whether the state of such an aggregate may hold personal data, so that no copy of it may be
    kept. One that has personal data pass by says so with `impersonal_state = True`."""
    if getattr(aggregate, "impersonal_state", False):
        return False
    return any(personal_fields(kind) for kind in events_of(aggregate))


@dataclass(frozen=True, slots=True)
class PersonalField:
    """One personal field of a kind of events, by its path from the event."""

    path: tuple[str, ...]
    name: str
    personal: Personal
    erased: Any


@cache
def personal_fields(kind: type) -> tuple[PersonalField, ...]:
    """The personal fields of a kind of events, also those of data classes within it.

    Raises `TypeError` for a type that has no erased form, and for one inside a collection, where
    a path does not lead: give each person an event of their own.
    """
    return tuple(_fields(kind, ()))


@cache
def persons_of(kind: type) -> tuple[tuple[Personal, tuple[PersonalField, ...]], ...]:
    """The same, by whose they are."""
    fields: dict[Personal, list[PersonalField]] = {}
    for each in personal_fields(kind):
        fields.setdefault(each.personal, []).append(each)
    return tuple((personal, tuple(of)) for personal, of in fields.items())


def _fields(kind: type, path: tuple[str, ...]) -> Iterator[PersonalField]:
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        hint, here = hints[field.name], (*path, field.name)
        marks = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Personal)]
        if marks:
            name = ".".join(here)
            yield PersonalField(here, name, marks[0], erased_form(hint, name))
            continue
        for each in _variants(hint):
            if dataclasses.is_dataclass(each):
                yield from _fields(typing.cast(type, each), here)
            elif any(_holds_personal(part) for part in typing.get_args(each)):
                raise TypeError(f"{kind.__qualname__}.{field.name}: personal data in a collection")


def _holds_personal(hint: Any) -> bool:
    if any(isinstance(mark, Personal) for mark in getattr(hint, "__metadata__", ())):
        return True
    if dataclasses.is_dataclass(hint):
        return bool(personal_fields(typing.cast(type, hint)))
    return any(_holds_personal(part) for part in typing.get_args(hint))


def _variants(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return typing.get_args(hint)
    return (hint,)


def erased_form(hint: Any, name: str) -> Any:
    """What a value of type `hint` reads as without its key. Raises `TypeError` naming the field
    when there is no such value."""
    variants = _variants(hint)
    if types.NoneType in variants:
        return None
    match [typing.get_origin(each) or each for each in variants]:
        case [kind] if kind is str:
            return ERASED
        case [kind] if kind in (list, tuple, set, frozenset):
            return []
        case [kind] if kind is dict:
            return {}
    raise TypeError(f"{name}: personal data of this type must be allowed to be None")
