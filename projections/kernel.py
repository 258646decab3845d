"""What every room of the read side shares: how a read model and a query look.

A read model is its tables, how events fold into them, and nothing else; queries are plain
functions beside it that return a `Query`. The engine sees to batches, positions and rebuilding.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar, overload

from domain.compliance.erasures import Erasure
from domain.kernel import EVENTS, DomainEvent, stored_topics
from projections.rows import FoldError, Row, Rows
from projections.tables import NAME, Table

__all__ = ["DomainEvent", "FoldError", "Query", "ReadModel", "Row", "Rows", "Table"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Interest:
    """What a read model does with the events of one topic."""

    folded: bool
    versions: tuple[Table, ...]
    """Tables whose rows note the version of the stream."""
    forgets: bool = False
    """Whether it is the erasure of a person, and there is something to be blanked."""


class ReadModel(ABC):
    """Tables, and how events fold into them. Declared as a class, made without arguments.

    `version` goes up with every change of what `project` does: the tables are then built anew
    from the log beside the ones in use. (A change of the tables is noticed without it.)
    `parallel=False` tells a rebuild not to try to share the work among processes; it finds out
    by itself where that would change the outcome, only later.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    tables: ClassVar[tuple[Table, ...]]
    events: ClassVar[tuple[type[DomainEvent], ...]]
    parallel: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not NAME.fullmatch(getattr(cls, "name", "")):
            raise TypeError(f"{cls.__qualname__} needs a name of a-z, 0-9 and _")
        if getattr(cls, "version", 0) < 1:
            raise TypeError(f"read model {cls.name} needs a version from 1")
        if len({table.name for table in cls.tables}) < max(1, len(cls.tables)):
            raise TypeError(f"read model {cls.name} needs tables of different names")

    @abstractmethod
    def project(self, event: DomainEvent, rows: Rows) -> None:
        """Fold one of the declared events. Pure: what it is given is all it may look at."""

    @cached_property
    def interests(self) -> Mapping[str, Interest]:
        """By stored topic: the declared events (and those retired that are read as one of them),
        and whatever else happens to the streams that are rows.

        Made at first use, when every event of the release has been declared.
        """
        folded = stored_topics(kind.TOPIC for kind in self.events)
        versions: dict[str, list[Table]] = {topic: [] for topic in folded}
        for table in self.tables:
            for topic, kind in EVENTS.items() if table.of_stream else ():
                if kind.aggregate is table.of_stream:
                    versions.setdefault(topic, []).append(table)
        erasures = {Erasure.Begun.TOPIC} if any(table.personal for table in self.tables) else set()
        for topic in erasures:
            versions.setdefault(topic, [])
        return {
            topic: Interest(topic in folded, tuple(of), topic in erasures)
            for topic, of in versions.items()
        }

    def fold(
        self,
        event: DomainEvent,
        rows: Rows,
        position: int,
        *,
        history: bool = False,
    ) -> None:
        """`project`, with what the engine adds to it. For events of `interests` only.

        In `history` that is read after an erasure nothing is left to be blanked: the key was
        destroyed, and out of use everywhere, before the erasure came into the log.
        """
        rows.tenant, rows.position = event.tenant, position
        interest = self.interests[event.TOPIC]
        if interest.folded:
            self.project(event, rows)
        if interest.forgets and not history:
            self._forget(event, rows)
        for table in interest.versions:
            rows(table)[event.originator_id].note_version(event.originator_version)

    def _forget(self, event: DomainEvent, rows: Rows) -> None:
        assert isinstance(event, Erasure.Begun)
        for table in self.tables:
            for person in sorted(set(table.personal.values())):
                blanks = ", ".join(
                    f'"{name}" = {table.blanked(name)}'
                    for name, whose in table.personal.items()
                    if whose == person
                )
                rows.execute(
                    f'UPDATE "{table.name}" SET {blanks}'  # noqa: S608 - names are checked
                    f' WHERE tenant = %(tenant)s AND "{person}" = %(person)s',
                    {"person": event.person},
                )


class Query(Generic[T]):
    """One SQL statement over read models; `read.<table>` is how it names their tables.

    The tenant is a parameter that the statement must use and only the engine can give. Rows come
    back as `into`: dict, tuple, or a class that takes the columns by name. With `by_values` it is
    planned anew each time: for one whose best plan hangs on how frequent a value is.
    """

    __slots__ = ("by_values", "into", "models", "params", "sql")

    @overload
    def __init__(
        self: "Query[dict[str, Any]]",
        models: type[ReadModel] | tuple[type[ReadModel], ...],
        sql: str,
        params: Mapping[str, Any] | None = None,
        *,
        by_values: bool = False,
    ) -> None: ...

    @overload
    def __init__(
        self,
        models: type[ReadModel] | tuple[type[ReadModel], ...],
        sql: str,
        params: Mapping[str, Any] | None = None,
        *,
        into: type[T],
        by_values: bool = False,
    ) -> None: ...

    def __init__(
        self,
        models: type[ReadModel] | tuple[type[ReadModel], ...],
        sql: str,
        params: Mapping[str, Any] | None = None,
        *,
        into: Any = dict,
        by_values: bool = False,
    ) -> None:
        self.models = models if isinstance(models, tuple) else (models,)
        self.sql = sql
        self.params = params or {}
        self.into: type[T] = into
        self.by_values = by_values
        if not self.models:
            raise TypeError("a query names the read models that it reads")
        if "%(tenant)s" not in sql or "tenant" in self.params:
            raise TypeError("a query asks by %(tenant)s, which the engine gives")
