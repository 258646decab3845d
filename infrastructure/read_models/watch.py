"""Whether the streams of a read model can be folded apart: found out by watching what it does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from projections.kernel import Row, Table
from projections.rows import Key


class NotShareable(Exception):
    """What one shard does to a row depends on what another does: one worker must do it all."""


@dataclass(slots=True)
class Watch:
    """Whether shards may be folded apart: each table holds either rows that belong to one stream
    (whose id leads the key) and are touched by it alone, or rows to which all only add."""

    stream: UUID | None = None
    uses: dict[str, str] = field(default_factory=dict)

    def touched(self, row: Row) -> None:
        if row.key[1] != self.stream:
            raise NotShareable(row.table.name)
        self._use(row, "by one stream")

    def added(self, row: Row) -> None:
        if row.key[1] != self.stream:
            if not row.table.grows_from_nothing:
                raise NotShareable(row.table.name)
            self._use(row, "by all")

    def _use(self, row: Row, use: str) -> None:
        if self.uses.setdefault(row.table.name, use) != use:
            raise NotShareable(row.table.name)


class WatchedRow(Row):
    """A row that tells `watch` what is done to it."""

    __slots__ = ("watch",)

    def __init__(self, table: Table, key: Key, watch: Watch) -> None:
        super().__init__(table, key)
        self.watch = watch

    def insert(self, **values: Any) -> None:
        self.watch.touched(self)
        super().insert(**values)

    def update(self, **values: Any) -> None:
        self.watch.touched(self)
        super().update(**values)

    def put(self, **values: Any) -> None:
        self.watch.touched(self)
        super().put(**values)

    def add(self, **amounts: Any) -> None:
        self.watch.added(self)
        super().add(**amounts)

    def merge(self, **parts: Any) -> None:
        self.watch.touched(self)
        super().merge(**parts)

    def append(self, **items: list[Any]) -> None:
        self.watch.touched(self)
        super().append(**items)

    def note_version(self, version: int) -> None:
        self.watch.touched(self)
        super().note_version(version)

    def delete(self) -> None:
        self.watch.touched(self)
        super().delete()
