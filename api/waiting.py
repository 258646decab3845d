"""Waiting a moment for what follows a command, so that its answer can tell the outcome.

The work itself follows the log in the background; a request only looks whether it is done. It
looks for a second at most, and not at all while many others are looking already, so that under
load the answer is simply the acceptance. `Prefer` (RFC 7240) overrides: `respond-async`, or
`wait=` seconds. A request with an Idempotency-Key is answered with the acceptance, since that
is what its repeats get.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel

from api.requests import text_header
from application.kernel import Answer, Desk
from domain.kernel import Aggregate

A = TypeVar("A", bound=Aggregate)
M = TypeVar("M", bound=BaseModel)

MOMENT, LONGEST = 1.0, 10.0
"""Seconds, by default and at most."""

CROWD = 4
"""So many requests may look at once before newcomers stop waiting unasked."""

FIRST_LOOK, LOOK_AGAIN = 0.015, 0.03
"""Seconds between looks."""


class Patience:
    """How long this request wants to wait."""

    looking = 0

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds

    async def for_outcome(
        self,
        desk: Desk,
        kind: type[A],
        answer: Answer[M],
        until: Callable[[A], bool],
        render: Callable[[A], M],
    ) -> Answer[M]:
        """The answer as it reads once `until` holds, or `answer` when time is up."""
        seconds = self.seconds
        if seconds is None:
            seconds = MOMENT if Patience.looking < CROWD and desk.idempotency is None else 0.0
        if answer.id is None or seconds <= 0:
            return answer
        Patience.looking += 1
        try:
            async with asyncio.timeout(seconds):
                pause = FIRST_LOOK
                while True:
                    await asyncio.sleep(pause)
                    aggregate = await desk.get(kind, answer.id)
                    if until(aggregate):
                        break
                    pause = LOOK_AGAIN
        except TimeoutError:
            return answer
        finally:
            Patience.looking -= 1
        body = render(aggregate).model_dump_json().encode()
        return replace(answer, body=body, version=aggregate.version)


async def _patience(request: Request) -> Patience:
    for preference in (text_header(request, b"prefer") or "").lower().split(","):
        name, _, value = preference.strip().partition("=")
        if name == "respond-async":
            return Patience(0.0)
        if name == "wait" and value.isdigit():
            return Patience(min(float(value), LONGEST))
    return Patience(None)


WithPatience = Annotated[Patience, Depends(_patience)]
