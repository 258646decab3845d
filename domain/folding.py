"""From events to the aggregate that they add up to.

The library finds out anew for each event what holds for its class, which takes a third of the time
of a decision, and most of the time of loading. Here it is found out once.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from inspect import signature
from typing import Any, TypeVar

from eventsourcing.domain import (
    AggregateEvent,
    CanInitAggregate,
    CanMutateAggregate,
    DecoratedFuncCaller,
    OriginatorIDError,
    OriginatorVersionError,
    decorated_funcs,
)

A = TypeVar("A")


def fold(kind: type[A], events: Iterable[AggregateEvent], onto: A | None = None) -> A | None:
    """The aggregate that `events` (of one stream, in order) add up to; None without events.

    With `onto`, they go on from there. Does what each event's `mutate` does, and raises what it
    raises when the events are not those of one stream in order; what it finds out about a class
    of events it finds out once.
    """
    aggregate: Any = onto
    for each in events:
        if aggregate is None and (begun := _begun_by(type(each))):
            aggregate = begun(each)
            continue
        apply = None if aggregate is None else _applied_by(type(each))
        if apply is None:
            aggregate = each.mutate(aggregate)
            continue
        if each.originator_id != aggregate._id:
            raise OriginatorIDError(each.originator_id, aggregate._id)
        if each.originator_version != aggregate._version + 1:
            raise OriginatorVersionError(each.originator_version, aggregate._version + 1)
        apply(aggregate, each.__dict__)
        aggregate._version = each.originator_version
        aggregate._modified_on = each.timestamp
    if aggregate is not None and not isinstance(aggregate, kind):
        return None
    return aggregate


@cache
def names_of_id(kind: type[Any]) -> Sequence[str]:
    """What `create_id` of a class of aggregates may be given by name."""
    parameters = signature(kind.create_id).parameters.values()
    return [each.name for each in parameters if each.kind is not each.VAR_KEYWORD]


@cache
def _begun_by(kind: type[AggregateEvent]) -> Callable[[Any], Any] | None:
    """How an event of a kind begins its aggregate: by `__init__`, given the fields that it names,
    and the event's own `apply`. None: there is more to it, and `mutate` knows."""
    if kind.mutate is not CanInitAggregate.mutate:
        return None
    of: Any = kind.aggregate  # type: ignore[attr-defined]
    begin = of.__init__
    if (names := _fields_for(begin, kind)) is None:
        return None

    def begun(event: Any) -> Any:
        aggregate = object.__new__(of)
        aggregate.__base_init__(event.originator_id, event.originator_version, event.timestamp)
        fields = event.__dict__
        begin(aggregate, *[fields[name] for name in names])
        event.apply(aggregate)
        return aggregate

    return begun


@cache
def _applied_by(kind: type[AggregateEvent]) -> Callable[[Any, Mapping[str, Any]], None] | None:
    """How events of a kind change their aggregate: by the method that `@event` marks, given the
    fields that it names, or not at all. None: there is more to it, and `mutate` knows."""
    own = [base for base in kind.__mro__ if "apply" in vars(base)]
    if kind.mutate is not CanMutateAggregate.mutate:
        return None
    if own == [CanMutateAggregate]:
        return lambda aggregate, fields: None
    if own != [DecoratedFuncCaller, CanMutateAggregate]:
        return None
    method = decorated_funcs[kind]
    if (names := _fields_for(method, kind)) is None:
        return None
    return lambda aggregate, fields: method(aggregate, *[fields[name] for name in names])


def _fields_for(method: Callable[..., Any], kind: type[AggregateEvent]) -> Sequence[str] | None:
    """The fields of an event that a method takes, in its order; None if it takes anything else,
    or by name alone."""
    _, *parameters = signature(method).parameters.values()
    names = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    known = {each.name for each in dataclasses.fields(kind)}
    return names if len(names) == len(parameters) and known.issuperset(names) else None
