"""What a long stream adds up to, as bytes, so that loading it need not begin at its beginning.

A snapshot is disposable: one of another release, a damaged one, or none at all costs time and
nothing else. It is never part of the log, of a replay or of the ledger.
"""

from __future__ import annotations

import importlib.metadata
import io
import pickle
import sys
from dataclasses import is_dataclass
from enum import Enum
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import domain
from domain.kernel import Aggregate

A = TypeVar("A", bound=Aggregate)

VALUES = {
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("builtins", "bytearray"),
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("collections", "deque"),
    ("datetime", "date"),
    ("datetime", "datetime"),
    ("datetime", "time"),
    ("datetime", "timedelta"),
    ("datetime", "timezone"),
    ("decimal", "Decimal"),
    ("uuid", "UUID"),
    ("uuid", "SafeUUID"),
    ("zoneinfo", "ZoneInfo._unpickle"),
}
"""What the state of an aggregate may be made of, besides its own classes."""


class UnusableSnapshot(Exception):
    """Load the stream from its beginning instead."""


@cache
def shape(kind: type[Aggregate]) -> bytes:
    """Changes whenever the code that folds events into `kind` may have: a digest of the domain's
    sources, the aggregate's own module, and what they run on. A state is never older than that."""
    digest = sha256(
        f"{sys.version_info[:2]} {importlib.metadata.version('eventsourcing')}".encode()
    )
    own = sys.modules[kind.__module__].__file__
    sources = {Path(own)} if own else set()
    for folder in domain.__path__:
        sources |= set(Path(folder).rglob("*.py"))
    for source in sorted(sources):
        digest.update(str(source.name).encode() + b"\0" + source.read_bytes())
    digest.update(kind.TOPIC.encode())
    return digest.digest()


def freeze(aggregate: Aggregate) -> bytes:
    """The state of an aggregate without undecided events. Raises `UnusableSnapshot`."""
    state = dict(vars(aggregate))
    if state.pop("_pending_events"):
        raise UnusableSnapshot("it has events that are not in the log")
    try:
        return pickle.dumps(state, protocol=5)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        raise UnusableSnapshot(type(error).__name__) from error


def thaw(kind: type[A], stream_id: UUID, version: int, frozen: bytes) -> A:
    """The aggregate that was frozen. Raises `UnusableSnapshot` for anything else.

    Only values and the domain's own data classes come to life (the library's documentation calls
    it "restricting globals"): whoever can write to the table can spoil a state, but run nothing.
    """
    try:
        state = _Thawing(io.BytesIO(frozen), kind.__module__).load()
        if (state["_id"], state["_version"]) != (stream_id, version):
            raise UnusableSnapshot("it is another stream's, or of another version")
    except UnusableSnapshot:
        raise
    except Exception as error:  # damaged bytes fail in every way there is
        raise UnusableSnapshot(type(error).__name__) from error
    aggregate = kind.__new__(kind)
    aggregate.__dict__.update(state)
    aggregate._pending_events = []
    return aggregate


class _Thawing(pickle.Unpickler):
    def __init__(self, frozen: io.BytesIO, own: str) -> None:
        super().__init__(frozen)
        self.own = own

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in VALUES:
            return super().find_class(module, name)
        if module == self.own or module.startswith("domain."):
            found = super().find_class(module, name)
            if _is_data(found):
                return found
        raise UnusableSnapshot(f"{module}.{name} is no part of a state")


def _is_data(found: Any) -> bool:
    if not isinstance(found, type) or issubclass(found, Aggregate):
        return False
    return is_dataclass(found) or issubclass(found, Enum)
