"""Aggregates and events of any kind, shown as plain JSON values: as they are, or were."""

from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from domain.kernel import Aggregate

ENVELOPE = frozenset(
    {"timestamp", "actor", "correlation_id", "causation_id", "_version", "_persons"}
)
"""What every stored event carries beside what it says."""

HIDDEN = frozenset({"_pending_events", "_tenant"})


def shown(aggregate: Aggregate) -> dict[str, Any]:
    """All that an aggregate holds, with its kind."""
    held = {
        name.lstrip("_"): plain(value)
        for name, value in vars(aggregate).items()
        if name not in HIDDEN
    }
    return {"kind": aggregate.TOPIC, "tenant": aggregate.tenant, **held}


def said(state: Mapping[str, Any]) -> dict[str, Any]:
    """What an event says itself, from its stored state."""
    return {name: value for name, value in state.items() if name not in ENVELOPE}


def plain(value: Any) -> Any:
    """The value as JSON has it: enums by value, dates and numbers of any kind as text."""
    match value:
        case Enum():
            return plain(value.value)
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(plain(key)): plain(each) for key, each in value.items()}
        case Set():
            return sorted((plain(each) for each in value), key=repr)
        case list() | tuple():
            return [plain(each) for each in value]
        case _ if hasattr(value, "isoformat"):
            return value.isoformat().replace("+00:00", "Z")
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
        case _:
            return str(value)
