"""HTTP as uvicorn speaks it, with answers that leave in one piece.

uvicorn writes the head of an answer and its body one after the other, and each is a system call
and a segment of its own, which the other side has to be woken for twice. Here what is written
within one turn of the event loop leaves together; what streams is held up by nothing else.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST = 16
"""Writes that are held; a stream that writes on without a pause waits for its reader as ever."""


class Together:
    """A transport that keeps writes until the event loop turns."""

    __slots__ = ("_flush_soon", "_held", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held: list[bytes] = []
        self._flush_soon = asyncio.get_running_loop().call_soon

    def write(self, data: bytes) -> None:
        if not self._held:
            self._flush_soon(self._flush)
        self._held.append(data)
        if len(self._held) >= MOST:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, []
            self._transport.writelines(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """For uvicorn's `http`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Together(transport))  # type: ignore[arg-type]
