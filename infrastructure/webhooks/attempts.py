"""Attempts: begun at each endpoint's pace, judged, and handed over to be recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from application.kernel import Desk, Log
from application.webhooks.endpoints import DisableEndpoint
from domain.kernel import Refusal
from domain.webhooks.endpoints import DisabledBecause, WebhookEndpoint
from infrastructure import metrics
from infrastructure.webhooks.lanes import Delivery, Lane
from infrastructure.webhooks.posting import Reply
from infrastructure.webhooks.recording import Outcome
from infrastructure.webhooks.verdicts import GONE, judge, utc_now

log = structlog.get_logger()

ACTOR = "tidings:webhooks"
"""Who disables endpoints that are gone or dead."""

CROWD = 512
"""Requests at once; beyond, each endpoint may have one under way. The slow ones would else keep
everybody else's places."""


class Attempts:
    """The attempts of one process. `tell` takes what became of them."""

    def __init__(self, log_: Log, tell: Callable[[Outcome], None]) -> None:
        self.log, self.tell = log_, tell
        self.in_flight = 0
        self.crowded: dict[Lane, None] = {}
        """Endpoints that wait for the crowd to thin, in the order in which they are served."""
        self.tasks: set[asyncio.Task[object]] = set()
        self.clock = asyncio.get_running_loop().time

    async def finish(self, seconds: float) -> None:
        """Wait until what is under way has ended, for so long at most."""
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=seconds)
        for task in self.tasks:
            task.cancel()

    def pump(self, lane: Lane) -> None:
        """Begin as many attempts as the endpoint's pace and the crowd allow."""
        now = self.clock()
        while (ready := lane.ready_at(now)) is not None:
            if ready > now:
                lane.call_at(ready, self.pump)
                return
            if lane.in_flight and self.in_flight >= CROWD:
                self.crowded[lane] = None
                return
            self.in_flight += 1
            self.begin(self._attempt(lane, lane.take(now)))

    def begin(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _attempt(self, lane: Lane, delivery: Delivery) -> None:
        at, began = utc_now(), self.clock()
        answer: Reply | str
        try:
            answer = await lane.post(delivery.message, at)
        except Exception as error:
            log.error("webhooks.attempt_broke", endpoint=lane.id.hex, exc_info=error)
            answer = "The service failed to make the attempt."
        finally:
            self.in_flight -= 1
        ended = self.clock()
        verdict = judge(answer, delivery.failures, utc_now())
        lane.note(verdict, began, ended)
        gone = not isinstance(answer, str) and answer.status == GONE
        if gone and not await self.disable(lane, DisabledBecause.GONE):
            verdict = judge("The receiver answered 410.", delivery.failures, utc_now())
        self.tell(Outcome(lane, delivery, at, round((ended - began) * 1000), answer, verdict))
        if self.crowded:
            first = next(iter(self.crowded))
            del self.crowded[first]
            self.pump(first)
        self.pump(lane)

    async def disable(self, lane: Lane, reason: DisabledBecause) -> bool:
        """Disable an endpoint, in the log; False when the log cannot be reached now."""
        desk = Desk(self.log, lane.tenant, ACTOR, correlation_id=lane.id.hex, follows=False)
        try:
            await desk.carry_out(WebhookEndpoint, lane.id, DisableEndpoint(reason=reason))
        except Refusal as refusal:
            log.warning("webhooks.not_disabled", endpoint=lane.id.hex, code=refusal.reason)
            return refusal.reason == "not_found"
        log.warning("webhooks.endpoint_disabled", endpoint=lane.id.hex, reason=reason)
        metrics.webhook_endpoints_disabled.labels(reason).inc()
        lane.halted_at = self.clock()
        lane.drop_waiting()
        return True
