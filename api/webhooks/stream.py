"""`GET /stream`: the messages of webhooks as Server-Sent Events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

import structlog
from fastapi import Header, Query, Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from api.descriptions import NUMBER
from api.kernel import WRITERS, AtReads, Router
from api.paths import made
from api.requests import number_of, text_header
from api.webhooks.endpoints import AtWebhooks
from application.webhooks.catalogue import check_patterns, matching
from domain.kernel import Invalid
from infrastructure.webhooks.stream import Said, TooSlow

log = structlog.get_logger()

router = Router(prefix="/api/v1/webhooks", tags=["Webhooks"])

LIFETIME = 3600.0
"""Seconds after which a stream ends, so that nobody outlives their token for long."""
PATIENCE = 30.0
"""Seconds that a reader may take for one piece before it is cut off."""
RETRY = b"retry: 1000\n\n"
"""How long a client waits before it comes back, in milliseconds."""


async def _last_event_id(request: Request) -> str | None:
    return text_header(request, b"last-event-id")


def _described(last_event_id: Annotated[str | None, Header(pattern=NUMBER)] = None) -> None: ...


LastEventId = Annotated[str | None, made(_last_event_id, _described)]


class EventStream(Response):
    """An answer that goes on until the reader leaves, is too slow, or has been here for an hour."""

    media_type = "text/event-stream"

    def __init__(self, said: AsyncIterator[Said], status_code: int = 200) -> None:
        super().__init__(
            status_code=status_code,  # a parameter, since OpenAPI is made of the signature
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )
        del self.headers["content-length"]
        self.said = said

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send(scope, send))
        leaving = asyncio.create_task(_left(receive))
        try:
            async with asyncio.timeout(LIFETIME + PATIENCE):
                await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            ended, _ = await asyncio.gather(sending, leaving, return_exceptions=True)
            if isinstance(ended, Exception):
                log.info("stream.cut_off", error=type(ended).__name__)

    async def _send(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        clock = asyncio.get_running_loop().time
        until = clock() + LIFETIME

        async def write(piece: bytes, more: bool = True) -> None:
            async with asyncio.timeout(PATIENCE):
                await send({"type": "http.response.body", "body": piece, "more_body": more})

        await write(RETRY)
        try:
            async with aclosing(self.said) as said:  # type: ignore[type-var]
                async for each in said:
                    await write(written(each))
                    if clock() > until:
                        break
        except TooSlow as slow:
            await write(f": too slow; {slow}\n\n".encode())
        await write(b"", more=False)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def written(said: Said) -> bytes:
    """As Server-Sent Events. When one position says several things only the last one carries the
    id, so that a reader who was cut off between them gets all of them again."""
    if not said.messages:
        return b"id: %d\n\n" % said.position
    *first, last = [
        b"event: %b\ndata: %b\n\n" % (name.encode(), body) for name, body in said.messages
    ]
    return b"".join(first) + b"id: %d\n" % said.position + last


@router.get("/stream", id="webhooks.stream", roles=WRITERS, limit="3600/hour")
async def stream(
    reads: AtReads,
    at: AtWebhooks,
    events: Annotated[list[str], Query(max_length=100)] = ["*"],  # noqa: B006 - never changed
    last_event_id: LastEventId = None,
) -> EventStream:
    """The messages that endpoints get, as Server-Sent Events whose id is the position in the log.

    `Last-Event-ID` resumes behind any position, 0 from the beginning; without it the stream
    begins now. A stream ends after an hour, and is resumed like after any other interruption.
    """
    try:
        names = matching(check_patterns(events))
    except ValueError as error:
        raise Invalid(f"{error}.", field="events") from None
    after = None
    if last_event_id is not None:
        after = await _position(at, last_event_id)
    return EventStream(at.stream.read(reads.caller.tenant, names, after))


async def _position(at: AtWebhooks, text: str) -> int:
    position = number_of(text)
    if position is None or position > await at.head():
        raise Invalid("Last-Event-ID is a position in the event log.", field="Last-Event-ID")
    return position
