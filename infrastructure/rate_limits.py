"""Rate limits, counted in Redis for all processes together.

A limit is a fixed window that begins with a caller's first counted request. A caller may use the
whole limit at once; in one window never more than `count` pass, so in any span as long as the
window never more than twice that. Refused requests are not counted and move nothing, so a steady
caller gets a fresh allowance when the window ends. GCRA, which smooths that edge, would let
requests through while a long burst is still running: "105 posts, then 429" would depend on speed.

All requests that wait in a process go to the server as one call of one script, which is atomic
and uses the server's clock: the count is exact whatever the number of callers and processes.

Without Redis each process counts for itself, with the same limits: a caller may then have one
further allowance per process and window, never an unlimited one. A Redis that lost its memory
begins fresh windows.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextvars import Context
from hashlib import sha1
from importlib.resources import files
from itertools import chain
from typing import Any, NamedTuple

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from domain.identity import Role
from infrastructure.limits import PROFILES, UNLIMITED, Allowance, Limit

log = structlog.get_logger()

BATCH = 256
"""Most requests in one call: enough for any burst, too few to hold up the server's other users."""

PATIENCE = 0.25
"""Seconds that a request waits for Redis before it is counted here."""

PAUSE = 1.0
"""Seconds between two probes whether a lost Redis is back."""

LOCAL_WINDOWS = 10_000
"""Windows that a process keeps while Redis is lost; the least recently used go first."""

_SCRIPT = files(__package__).joinpath("rate_limits.lua").read_text()
_SCRIPT_SHA = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


def connect(url: str) -> Redis:
    """A client for the limiter alone: a repeated call would count a request twice."""
    return Redis.from_url(url, retry=Retry(NoBackoff(), 0))


class _Step(NamedTuple):
    """One request's wish: take from the key's window, or give back to the one that ends then."""

    key: bytes
    most: int
    window_ms: int
    returned: int
    answer: asyncio.Future[_Answer]


class _Answer(NamedTuple):
    """`remaining` is -1 for a refusal; both times are in ms of the clock that was asked."""

    remaining: int
    window_end: int
    now: int


class RateLimiter:
    """Counts requests. Belongs to one event loop.

    `profile` is RATE_LIMIT_PROFILE: `strict` gives every role the same limit, `off` lifts all
    limits. `patience` and `pause` are explained at their defaults. `clock` (seconds) replaces the
    server's, for simulations.
    """

    def __init__(
        self,
        redis: Redis,
        profile: str = "default",
        *,
        patience: float = PATIENCE,
        pause: float = PAUSE,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if profile not in PROFILES:
            raise ValueError(f"RATE_LIMIT_PROFILE must be one of {', '.join(PROFILES)}")
        self._redis = redis
        self._profile = profile
        self._patience = patience
        self._pause = pause
        self._clock = clock
        self._local = LocalWindows(LOCAL_WINDOWS)
        self._waiting: deque[_Step] = deque()
        self._serving: asyncio.Task[None] | None = None
        self._lost_since: float | None = None
        self._probe_at = 0.0
        self._probe: asyncio.Task[object] | None = None

    def effective(self, limit: Limit, role: Role | None) -> Limit:
        """The limit that holds for a role, or for a caller without one: never less than one
        request."""
        match self._profile:
            case "strict":
                return limit
            case "off":
                return Limit(UNLIMITED, limit.window)
            case _:
                multiplier = role.multiplier if role else 1
                return Limit(max(1, int(limit.count * multiplier)), limit.window)

    async def take(self, key: str, limit: Limit) -> Allowance:
        """Count one request of `key` (see `limit_key`) against `limit`; never raises."""
        count, window = limit.count, limit.window
        if count >= UNLIMITED:
            return Allowance(True, count, count, 0.0, window, 0)
        remaining, end, now = await self._ask(key, count, window, 0)
        passed = remaining >= 0
        left = max(0, end - now) / 1000
        return Allowance(passed, count, remaining if passed else 0, left, window, end)

    async def give_back(self, key: str, allowance: Allowance) -> None:
        """Undo one `take` that was allowed: the request was refused for another reason.

        Nothing happens when the window has ended since, so that no window ever gains a request.
        Once per allowance.
        """
        if allowance.allowed and allowance.window_end:
            await self._ask(key, allowance.limit, allowance.window, allowance.window_end)

    async def _ask(self, key: str, count: int, window: int, returned: int) -> _Answer:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_Answer] = loop.create_future()
        name = b"window:" + key.encode(errors="surrogatepass")
        self._waiting.append(_Step(name, count, window * 1000, returned, answer))
        if self._serving is None:
            # An empty context: what this task logs belongs to no single request.
            self._serving = loop.create_task(self._serve(), context=Context())
        return await answer

    async def _serve(self) -> None:
        """Answer all that wait, including those who come while a call is under way."""
        try:
            while self._waiting:
                size = min(BATCH, len(self._waiting))
                batch = [self._waiting.popleft() for _ in range(size)]
                for step, answer in zip(batch, await self._decide(batch), strict=True):
                    if not step.answer.done():  # its caller may have gone away
                        step.answer.set_result(answer)
        finally:
            self._serving = None

    async def _decide(self, batch: Sequence[_Step]) -> Sequence[_Answer]:
        if self._lost_since is None:
            answers = await self._from_redis(batch)
            if answers is not None:
                return answers
        elif time.monotonic() >= self._probe_at:
            # Nobody waits for a lost server: this batch is answered here, and sent as the probe.
            self._probe_at = time.monotonic() + self._pause
            self._probe = asyncio.create_task(self._from_redis(batch))
        now = int((self._clock or time.monotonic)() * 1000)
        return [self._local.step(step, now) for step in batch]

    async def _from_redis(self, batch: Sequence[_Step]) -> Sequence[_Answer] | None:
        """The server's answers; None, and the next ones are local, when it gives none in time."""
        try:
            answers = await self._call(batch)
        except Exception as error:  # noqa: BLE001 - whatever Redis does, a request goes on
            self._probe_at = time.monotonic() + self._pause
            if self._lost_since is None:
                self._lost_since = time.monotonic()
                log.warning("rate_limits.redis_lost", error=type(error).__name__)
            return None
        if self._lost_since is not None:
            seconds = round(time.monotonic() - self._lost_since, 1)
            self._lost_since = None
            log.info("rate_limits.redis_back", after_seconds=seconds)
        return answers

    async def _call(self, batch: Sequence[_Step]) -> Sequence[_Answer]:
        call = asyncio.ensure_future(self._run_script(batch))
        # In two halves: when this process was held up, the first ends at once and the answer,
        # which has long arrived, is read during the second.
        for _ in range(2):
            done, _pending = await asyncio.wait({call}, timeout=self._patience / 2)
            if done:
                break
        else:
            call.cancel()
            raise TimeoutError
        numbers = call.result()
        if len(numbers) != 2 * len(batch) + 1 or not all(type(n) is int for n in numbers):
            raise ValueError("not the script's answer")
        now = numbers[0]
        return [
            _Answer(remaining, end, now)
            for remaining, end in zip(numbers[1::2], numbers[2::2], strict=True)
        ]

    async def _run_script(self, batch: Sequence[_Step]) -> Any:
        wishes = chain.from_iterable((step.most, step.window_ms, step.returned) for step in batch)
        arguments = (
            *(step.key for step in batch),
            "" if self._clock is None else int(self._clock() * 1000),
            struct.pack(f">{3 * len(batch)}d", *wishes),
        )
        try:
            return await self._redis.evalsha(_SCRIPT_SHA, len(batch), *arguments)
        except NoScriptError:
            return await self._redis.eval(_SCRIPT, len(batch), *arguments)


class LocalWindows:
    """One process's own windows, in memory: the script's accounting, for a bounded number."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._windows: OrderedDict[bytes, tuple[int, int]] = OrderedDict()

    def step(self, step: _Step, now: int) -> _Answer:
        """What the script would do with the one step at `now` (ms)."""
        used, end = self._windows.pop(step.key, (0, 0))
        if end <= now:
            used, end = 0, now + step.window_ms
        end = min(end, now + step.window_ms)
        remaining = -1
        if step.returned:
            used -= used > 0 and end == step.returned
        elif used < step.most:
            used += 1
            remaining = step.most - used
        if used:
            self._windows[step.key] = (used, end)
            if len(self._windows) > self._most:
                self._windows.popitem(last=False)
        return _Answer(remaining, end, now)
