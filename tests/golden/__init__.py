"""What the log may hold, as a file that only grows: `events.json`.

Each event has an entry for each of its versions: the fields of its state with their types, and a
state as such a release would have stored it. Names and fields are stored for ever, so an entry is
never changed; what changes is a new version of the event, with an upcast beside it.

`python -m tests.golden` accepts new events and new versions, and refuses all else.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import api.wiring  # noqa: F401 - so that every event class is known
from domain.kernel import EVENTS, DomainEvent, Retired
from infrastructure.event_log.codec import COLUMNS, VERSION_KEY, UnreadableEvent, decode

FILE = Path(__file__).parent / "events.json"
SAMPLES: Mapping[Any, Any] = {
    str: "text",
    int: 7,
    float: 0.5,
    bool: True,
    bytes: "AAE=",
    UUID: "01890a5d-ac96-774b-bcce-b302099a8057",
    Decimal: "12.50",
    datetime: "2030-01-02T03:04:05.678900Z",
    date: "2030-01-02",
    time: "03:04:05",
    timedelta: "PT90S",
    Any: {"_type_": "free", "nested": [1, None, "x"]},
    type(None): None,
}
Entry = dict[str, Any]


def known() -> dict[str, type[DomainEvent]]:
    """The events of the product, by topic (those of the tests are none)."""
    return {
        topic: kind
        for topic, kind in sorted(EVENTS.items())
        if kind.aggregate.__module__.startswith("domain.")
    }


def entry(kind: type[DomainEvent]) -> Entry:
    """What a state of this class looks like today."""
    hints = typing.get_type_hints(kind)
    fields = {f.name: hints[f.name] for f in dataclasses.fields(kind) if f.name not in COLUMNS}
    sample: dict[str, Any] = {name: _sample(hint) for name, hint in fields.items()}
    if kind.class_version > 1:
        sample[VERSION_KEY] = kind.class_version
    return {"fields": {name: _shape(hint) for name, hint in fields.items()}, "sample": sample}


def _shape(hint: Any) -> Any:
    """A type as JSON: a name, or what it is made of."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return {"any of": [_shape(each) for each in arguments]}
    if origin is typing.Literal:
        return {"literal": list(arguments)}
    if origin is not None:
        return {origin.__name__: [_shape(each) for each in arguments if each is not ...]}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"enum": sorted(str(each.value) for each in hint)}
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return {"of": {f.name: _shape(hints[f.name]) for f in dataclasses.fields(hint)}}
    return "null" if hint is type(None) else getattr(hint, "__name__", str(hint))


def _sample(hint: Any) -> Any:
    """A value of that type, as JSON holds it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _sample(arguments[0])
    if origin is typing.Literal:
        return arguments[0]
    if origin is not None and issubclass(origin, Mapping):
        return {str(_sample(arguments[0])): _sample(arguments[1])}
    if origin is tuple and ... not in arguments:
        return [_sample(each) for each in arguments]
    if origin is not None:
        return [_sample(arguments[0])]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return next(iter(hint)).value
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return {f.name: _sample(hints[f.name]) for f in dataclasses.fields(hint)}
    if hint in (dict, Mapping):
        return SAMPLES[Any]
    return [] if hint in (list, tuple, set, frozenset) else SAMPLES[hint]


def golden() -> dict[str, dict[str, Entry]]:
    """The file: entries by topic and version."""
    entries: dict[str, dict[str, Entry]] = json.loads(FILE.read_text())
    return entries


def problems(stored: dict[str, dict[str, Entry]]) -> list[str]:
    """What this release could no longer read, or would store otherwise than before."""
    found = []
    for topic, versions in stored.items():
        kind = EVENTS.get(topic)
        if kind is None:
            found.append(f"{topic} is gone; retire it in domain/<context>/legacy.py instead")
            continue
        if max(map(int, versions)) > kind.class_version:
            found.append(f"{topic} has gone back to version {kind.class_version}")
        same = versions.get(str(kind.class_version))
        if same and not _grown(same["fields"], entry(kind)["fields"]):
            found.append(
                f"{topic} has other fields; leave them, or raise its class_version to"
                f" {kind.class_version + 1} and write the upcast"
            )
        for version, each in versions.items():
            try:
                _read(topic, each["sample"])
            except UnreadableEvent as error:
                found.append(f"version {version} cannot be read any more: {error}")
    return found


def news(stored: dict[str, dict[str, Entry]]) -> list[tuple[str, int]]:
    """Events and versions that are not in the file yet; also those with new values in an enum."""
    return [
        (topic, kind.class_version)
        for topic, kind in known().items()
        if stored.get(topic, {}).get(str(kind.class_version), {}).get("fields")
        != entry(kind)["fields"]
    ]


def accept() -> list[tuple[str, int]]:
    """Add what is new to the file. Raises `ValueError` when something old has changed."""
    stored = golden() if FILE.exists() else {}
    if found := problems(stored):
        raise ValueError("\n".join(found))
    new = news(stored)
    for topic, version in new:
        kind = EVENTS[topic]
        old = stored.setdefault(topic, {}).get(str(version))
        now = entry(kind)
        _read(topic, now["sample"])
        stored[topic][str(version)] = {**now, "sample": old["sample"]} if old else now
    FILE.write_text(json.dumps(stored, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    return new


def _read(topic: str, sample: Any) -> DomainEvent:
    kind = EVENTS[topic]
    first = not issubclass(kind, Retired) and hasattr(kind, "originator_topic")
    state = json.dumps(sample).encode()
    return decode(topic, UUID(int=1), 1 if first else 2, "demo", state)


def _grown(old: Any, new: Any) -> bool:
    """Whether they are the same but for values that have been added to enums."""
    if isinstance(old, dict) and isinstance(new, dict):
        if old.keys() != new.keys():
            return False
        return all(
            set(old[name]) <= set(new[name]) if name == "enum" else _grown(old[name], new[name])
            for name in old
        )
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_grown, old, new))
    return bool(old == new)
