"""The newest rows of the log, as far as they were read in this process already.

Those who follow the log in one process want the same rows within the same moment, and each that
asks for them costs the database as much as the first. Rows never change once they can be read, and
positions have no holes, so what one has read serves the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

from infrastructure.event_log.codec import StoredEvent

MOST = 10_000
"""Rows that are kept."""

BYTES = 16 * 1024 * 1024
"""Bytes of their states at most."""


class Recent:
    """Rows without a gap between them, as they are stored. Belongs to one event loop."""

    def __init__(self) -> None:
        self._rows: deque[StoredEvent] = deque()
        self._bytes = 0

    def note(self, rows: Sequence[StoredEvent]) -> None:
        """Keep rows that were read from the log: any number in their order, none left out."""
        if not rows:
            return
        last = self._rows[-1].position if self._rows else 0
        if rows[0].position > last + 1:
            self.forget()
        for row in islice(rows, max(0, last + 1 - rows[0].position), None):
            self._rows.append(row)
            self._bytes += len(row.state)
        while len(self._rows) > MOST or self._bytes > BYTES:
            self._bytes -= len(self._rows.popleft().state)

    def after(self, position: int, most: int) -> Sequence[StoredEvent]:
        """The next rows behind `position`, at most so many; none when they are not all here."""
        if not self._rows or not self._rows[0].position <= position + 1:
            return ()
        start = position + 1 - self._rows[0].position
        return list(islice(self._rows, start, start + most))

    def forget(self) -> None:
        """Begin anew: after a connection was lost the server may be one that knows less."""
        self._rows.clear()
        self._bytes = 0
