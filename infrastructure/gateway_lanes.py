"""How much an outside service is asked at once, and when it is left alone for a while."""

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """Times in seconds. `longest_wait` bounds the pause between two attempts: an answer whose
    `Retry-After` asks for more is handed to the caller. `idle_connections` stays small because the
    pool's work for each request grows with its square."""

    timeout: float = 15.0
    connect_timeout: float = 5.0
    attempts: int = 3
    first_wait: float = 0.25
    longest_wait: float = 10.0
    redirects: int = 5
    per_lane: int = 16
    connections: int = 500
    idle_connections: int = 20
    idle_seconds: float = 30.0
    failures_to_open: int = 5
    open_seconds: float = 30.0


class Lane:
    """The gate to one service: so many calls at once, none while its circuit is open.

    After `failures_to_open` failures in a row the circuit opens. Every `open_seconds` it then lets
    one call through as a probe, until one succeeds.
    """

    def __init__(self, limits: GatewayLimits) -> None:
        self.slots = asyncio.Semaphore(limits.per_lane)
        self.users = 0
        self.failures = 0
        self._limits = limits
        self._open_until = 0.0

    def admits(self, now: float) -> bool:
        """Whether a call may go now; asked once for each call."""
        if self.failures < self._limits.failures_to_open:
            return True
        if now < self._open_until:
            return False
        # The pause begins anew, so that a probe which hangs or is cancelled stays the only one.
        self._open_until = now + self._limits.open_seconds
        return True

    def failed(self, now: float) -> None:
        """Notes a call for whose end the service is to blame."""
        self.failures += 1
        self._open_until = now + self._limits.open_seconds

    def succeeded(self) -> None:
        """Notes an answer."""
        self.failures = 0
