"""How far a rebuild has come, for whoever is watching."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

WINDOW = 5.0
"""Seconds over which the rate is taken."""
PAUSE = 0.1
"""Seconds at least from one call of the listener to the next, within a phase."""


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` positions of the log; `rate` in positions a second.

    `phase` is folding, indexing, catching up, switching or done. `seconds_left` is None as long
    as nothing can be said.
    """

    phase: str
    done: int
    total: int
    rate: float
    seconds_left: float | None


class Reporter:
    """Adds up what the shards report, and tells `listener`, not too often."""

    def __init__(self, listener: Callable[[Progress], None] | None) -> None:
        self.listener = listener
        self._phase, self._total, self._done = "folding", 0, 0.0
        self._shards: list[int] = []
        self._seen: deque[tuple[float, float]] = deque()
        self._told = 0.0

    @property
    def reached_so_far(self) -> int:
        return int(self._done)

    def begin(self, shards: int, total: int) -> None:
        """From nothing, by `shards` workers."""
        self._shards, self._total, self._done = [0] * shards, total, 0.0
        self._seen.clear()
        self.phase("folding")

    def shard(self, number: int, position: int) -> None:
        """A worker has come to `position`; each has about its part of the events before it."""
        self._shards[number] = position
        self._step(sum(self._shards) / len(self._shards))

    def reached(self, position: int, total: int) -> None:
        self._total = total
        self._step(position)

    def phase(self, phase: str) -> None:
        self._phase = phase
        self._tell()

    def done(self, position: int) -> None:
        self._done = self._total = position
        self.phase("done")

    def _step(self, done: float) -> None:
        self._done = done
        if monotonic() - self._told >= PAUSE:
            self._tell()

    def _tell(self) -> None:
        if self.listener is None:
            return
        self._told = now = monotonic()
        self._seen.append((now, self._done))
        while len(self._seen) > 2 and now - self._seen[0][0] > WINDOW:
            self._seen.popleft()
        began, earlier = self._seen[0]
        rate = (self._done - earlier) / (now - began) if now > began else 0.0
        left = (self._total - self._done) / rate if rate > 0 else None
        self.listener(Progress(self._phase, int(self._done), self._total, rate, left))
